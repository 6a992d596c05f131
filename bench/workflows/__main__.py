"""What `bench/run workflows` calls. See docs/how-to/measure.md."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys

import uvloop

from avow.errors import AvowError
from bench.workflows.contest import RUNS, SAGAS, TIMERS, rival
from bench.workflows.rounds import RoundFailed, Rounds
from bench.workflows.stage import surroundings


async def one(options: argparse.Namespace) -> None:
    async with surroundings() as around, rival(around, options.name) as running:
        rounds = Rounds(around, running, options.sort)
        for _ in range(options.rounds + 1):
            print(json.dumps((await rounds.run(options.seconds)).described()), flush=True)


def main() -> int:
    """0: measured. 1: what was measured doesn't add up. 3: the surroundings are missing."""
    parser = argparse.ArgumentParser(prog="bench/run workflows")
    parser.add_argument("name", choices=[*RUNS])
    parser.add_argument("sort", choices=[SAGAS, TIMERS])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=4)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(one(parser.parse_args()))
    except AvowError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
