"""What bench/run calls: the benchmark, or one thing of it. See docs/how-to/measure.md."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys

import uvloop

from avow.errors import AvowError
from avow.store.pool import connect
from bench.speed import arguments, whole
from bench.speed.contender import Contender
from bench.speed.limit import PgbenchFailed
from bench.speed.meter import UnaccountedFor
from bench.speed.run import Pace, Run, avow_engine, avow_http
from bench.speed.stage import stage
from bench.speed.tokens import issuer
from bench.speed.wrk import RoundFailed, find

FAULTS = (RoundFailed, PgbenchFailed, UnaccountedFor)


async def one(options: argparse.Namespace) -> None:
    """Measure one thing and print it, as often as was asked for."""
    pace = Pace(options.rounds, options.seconds, 2)
    if options.parts == ["http"]:
        find()
    async with stage(records=options.records) as made:
        admin = await connect(made.admin_url())
        with issuer() as who:
            run = Run(made, who, admin, None, pace)
            if options.parts == ["http"]:
                async with avow_http(run, options.workers) as server:
                    await _rounds(run, server.contender(options.clients, options.operation))
            else:
                async with avow_engine(run, options.tasks) as inside:
                    await _rounds(run, inside)
        await admin.close()


async def _rounds(run: Run, measured: Contender) -> None:
    await measured.run(run.pace.warm_up_s)
    for _ in range(run.pace.rounds):
        sample = await measured.run(run.pace.seconds)
        print(json.dumps({"what": measured.name, **sample.described()}), flush=True)


def main() -> int:
    """0: measured. 1: what was measured doesn't add up. 3: the surroundings are missing."""
    options = arguments.read()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # everything that was started is ended
    single = options.parts and options.parts[0] in arguments.SINGLE
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(one(options) if single else whole.measure(options))
    except AvowError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except FAULTS as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
