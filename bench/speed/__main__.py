"""`python -m bench.speed`: the benchmark, or one thing of it. See docs/how-to/measure.md."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from functools import partial

import uvloop

from avow.errors import AvowError
from avow.store.pool import connect
from bench.speed.avow_http import avow_server, records_file
from bench.speed.in_process import engine_call, tasks
from bench.speed.meter import Meter, accounted
from bench.speed.sample import Sample
from bench.speed.stage import RECORDS, Stage, stage
from bench.speed.tokens import issuer
from bench.speed.wrk import Load, find

WARM_UP_S = 2


async def http(made: Stage, options: argparse.Namespace) -> Sample:
    """Avow over HTTP."""
    find()
    admin = await connect(made.admin_url())
    with issuer() as who:
        async with avow_server(made, who, options.workers) as server:
            records = records_file(made)
            load = Load(server.url, who.token("clerk-1", "clerk"), records, options.operation)
            await load.run(options.clients, WARM_UP_S)
            once = partial(load.run, options.clients, options.seconds)
            meter = Meter(admin, made.postmaster, server.pid)
            if options.operation in ("read", "list"):
                return await meter.measure(once)
            return await accounted(admin, options.clients, lambda: meter.measure(once))


async def engine(made: Stage, options: argparse.Namespace) -> Sample:
    """The engine in this process."""
    admin = await connect(made.admin_url())
    async with engine_call(made) as call:
        await tasks(call, options.tasks, WARM_UP_S)
        meter = Meter(admin, made.postmaster, os.getpid())
        once = partial(tasks, call, options.tasks, options.seconds)
        return await accounted(admin, 0, lambda: meter.measure(once))


async def one(options: argparse.Namespace) -> None:
    """Measure one thing and print it, as often as was asked for."""
    async with stage(records=options.records) as made:
        for _ in range(options.rounds):
            sample = await {"http": http, "engine": engine}[options.what](made, options)
            print(json.dumps({"what": options.what, **sample.described()}), flush=True)


def main() -> int:
    """0 when it was measured, 3 where the surroundings are missing."""
    parser = argparse.ArgumentParser(prog="python -m bench.speed", description=__doc__)
    parser.add_argument("what", choices=["http", "engine"])
    parser.add_argument("--seconds", type=int, default=4, help="of a round")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--clients", type=int, default=64, help="requests under way, over HTTP")
    parser.add_argument("--tasks", type=int, default=64, help="commands under way, in process")
    parser.add_argument("--workers", type=int, default=1, help="server processes")
    parser.add_argument("--records", type=int, default=RECORDS, help="payments to draw from")
    parser.add_argument("--operation", choices=["capture", "create", "read", "list"], default="capture")
    options = parser.parse_args()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(one(options))
    except AvowError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
