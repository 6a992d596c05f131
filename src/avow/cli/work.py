"""`avow work`: a worker without a server, on a PostgreSQL of yours."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable

import click
import uvloop

from avow.api.app import problem_body
from avow.cli import output
from avow.cli.settings import Settings, key_of_log, keyring_of, read_settings, witnesses_of
from avow.cli.target import load_target
from avow.engine.execute import Engine
from avow.engine.log.sealer import sealer_of
from avow.engine.log.witnessing import witnessing_of
from avow.engine.workers.inside import WorkInside
from avow.engine.workers.publishing import telling_of
from avow.model.system import System
from avow.store.pool import Pool
from avow.store.schema.rights import demand_fit


@click.command(name="work")
@click.argument("target", default=".")
@output.json_option
def command(target: str, as_json: bool) -> None:
    """Do TARGET's work: its calls to the outside, and what its times bring about.

    Any number of these may run at once, beside servers that work too. Ends cleanly on SIGTERM: what has
    begun is brought to an end, and the rest is taken over by others.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    system, settings = load_target(target), read_settings(os.environ)

    def announce() -> None:
        if as_json:
            output.document({"working": system.name})
        else:
            output.data(f"working for {system.name}")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_work(system, settings, announce))


async def _work(system: System, settings: Settings, announce: Callable[[], None]) -> None:
    """Work until SIGINT or SIGTERM."""
    await demand_fit(settings.database_url, system)
    pool, ending = Pool(settings.database_url), asyncio.Event()
    engine = Engine(system, pool, problem_body, keyring=keyring_of(system, settings.private_key))
    inside = WorkInside(
        system, engine, settings.database_url, settings.destinations,
        telling_of(settings.secret, private=settings.private_subscribers), listens=True,
    )  # fmt: skip
    sealer = sealer_of(system, settings.database_url, key_of_log(system, os.environ))
    witnessing = witnessing_of(settings.database_url, witnesses_of(os.environ))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ending.set)
    inside.start()
    for beside in (sealer, witnessing):
        if beside is not None:
            beside.start()
    announce()
    try:
        await ending.wait()
    finally:
        await inside.close()
        for beside in (sealer, witnessing):
            if beside is not None:
                await asyncio.to_thread(beside.stop)
        await pool.close()
