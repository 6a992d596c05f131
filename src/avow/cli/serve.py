"""`avow serve`: server processes on a PostgreSQL of yours."""

from __future__ import annotations

import asyncio
import logging
import os

import click

from avow.api.serving import listen, serve, url_of
from avow.cli import output
from avow.cli.application import application
from avow.cli.target import load_target
from avow.cli.workers import Workers

WORKERS_MAX = 64


@click.command(name="serve")
@click.argument("target", default=".")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, help="Port to listen on; 0 takes a free one.")
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(1, WORKERS_MAX),
    help="How many server processes share the port.",
)
@click.option(
    "--work/--no-work",
    default=True,
    show_default=True,
    help="Make calls to the outside and let times come; without it `avow work` does.",
)
@output.json_option
def command(target: str, host: str, port: int, workers: int, work: bool, as_json: bool) -> None:
    """Serve TARGET on the database of AVOW_DATABASE_URL, with a login that has the application's rights only.

    Development tokens are refused. Ends cleanly on SIGTERM: requests under way are answered.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    system = load_target(target)
    app = application(system, os.environ, works=work)
    listening = listen(host, port)

    def announce() -> None:
        if as_json:
            output.document({"url": url_of(listening)})
        else:
            output.data(f"{system.name} is served at {url_of(listening)}")

    if workers > 1:
        asyncio.run(Workers(target, listening, workers, announce, work).run())
    else:
        serve(app, listening, announce)
