"""What `bench/run workflows` calls. See docs/how-to/measure.md."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import uvloop

from avow.errors import AvowError, EnvironmentFault
from avow.store.pool import connect
from bench.speed import surroundings as machine
from bench.speed.run import Pace, say
from bench.speed.stage import ROOT
from bench.workflows.parts import PARTS
from bench.workflows.report import table
from bench.workflows.rounds import RoundFailed
from bench.workflows.stage import surroundings

RESULTS = ROOT / "bench" / "results" / "workflows.json"
SERVER = ROOT / "bench" / "speed" / "peers" / "restate" / "package.json"


def read() -> argparse.Namespace:
    """The options of this call."""
    parser = argparse.ArgumentParser(
        prog="bench/run workflows", description="Sagas and timers beside DBOS, Restate and Procrastinate."
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"only these: {', '.join(PARTS)}")
    parser.add_argument("--rounds", type=int, default=5, help="of each half of a pair")
    parser.add_argument("--seconds", type=int, default=3, help="about so long is a round")
    parser.add_argument("--result", type=Path, help="where to write; a whole run writes bench/results")
    parser.add_argument(
        "--add", action="store_true", help="leave what the result already has of other parts of this revision"
    )
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no part is called {', '.join(sorted(unknown))}")
    return options


async def measure(options: argparse.Namespace) -> None:
    """Measure the parts that were asked for, print the page, and keep the result of a whole run."""
    pace, parts = Pace(options.rounds, options.seconds, warm_up_s=1), dict[str, Any]()
    async with surroundings() as around:
        for name in options.parts or PARTS:
            say(name)
            try:
                parts[name] = await PARTS[name](around, pace)
            except EnvironmentFault as fault:
                say(f"left out: {fault.detail}")
                parts[name] = {"left_out": fault.detail}
        connection = await connect(around.stage.cluster.url())
        try:
            result = await _described(connection, pace, around.stage.cluster.version)
        finally:
            await connection.close()
    file = options.result or (None if options.parts else RESULTS)
    _keep(result, parts, file, add=options.add)


async def _described(connection: Any, pace: Pace, postgres: str) -> dict[str, Any]:
    described = await machine.surroundings(connection, pace, postgres)
    wanted = json.loads(SERVER.read_text())["dependencies"]
    described["versions"] |= {"restate-server": wanted["@restatedev/restate-server"]}
    return described


def _keep(result: dict[str, Any], parts: dict[str, Any], file: Path | None, *, add: bool) -> None:
    """Print it, and write both files where one was named."""
    held: dict[str, Any] = {}
    if add and file is not None and file.exists():
        earlier = json.loads(file.read_text())
        if earlier["versions"]["commit"] == result["versions"]["commit"]:
            held = earlier["parts"]
    result["parts"] = {name: (held | parts)[name] for name in PARTS if name in held | parts}
    print(table(result))
    if file is not None:
        file.write_text(json.dumps(result, indent=2) + "\n")
        file.with_suffix(".md").write_text(table(result) + "\n")


def main() -> int:
    """0: measured. 1: what was measured doesn't add up. 3: the surroundings are missing."""
    options = read()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # everything that was started is ended
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(measure(options))
    except AvowError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except RoundFailed as error:
        print(f"RoundFailed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
