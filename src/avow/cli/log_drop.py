"""`avow log drop`: let old entries leave the database, once they are sealed and exported."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from avow.cli import output
from avow.cli.connection import ask_database
from avow.cli.options import target_option
from avow.cli.target import load_target
from avow.cli.word import parse_instant
from avow.engine.log.retention import Planned, carry_out, plan
from avow.store.driver import Connection


@click.command(name="drop")
@click.option(
    "--before",
    required=True,
    metavar="TIME",
    help="Of what was sealed until then: 2026-01-01T00:00:00Z.",
)
@click.option(
    "--export",
    "folder",
    required=True,
    type=click.Path(path_type=Path),
    help="The folder of `avow export` that has it; it is checked as a whole.",
)
@click.option("--as", "subject", required=True, metavar="SUBJECT", help="Who does it: it is kept.")
@click.option("--reason", required=True, help="Why: it is kept, too.")
@click.option("--yes", is_flag=True, help="Do it; without it, what would be dropped is shown.")
@target_option
@output.json_option
def command(
    before: str, folder: Path, subject: str, reason: str, yes: bool, target: str, as_json: bool
) -> int:
    """Drop the entries that were sealed before a time from the database, as its owner.

    Only what is sealed and lies in the export goes. Leaves, checkpoints and each record's newest entry stay:
    receipts hold as before, `avow verify` checks what is left, and history and why say what was dropped and
    where it was exported to. It can't be undone.
    """
    system, until = load_target(target), parse_instant(before, "--before")
    folder = folder.resolve()

    async def work(connection: Connection) -> tuple[list[Planned], int]:
        planned = await plan(connection, until, folder, subject, reason)
        if not yes:
            return planned, 0
        with output.Progress(sys.stderr, "leaves", 0) as progress:
            return planned, await carry_out(connection, planned, progress.reach)

    planned, done = ask_database(system, work)
    if as_json:
        items = [
            {"origin": one.origin, "upto": one.order.upto, "leaves": one.found.leaves} for one in planned
        ]
        output.document({"dropped": done, "exported_to": str(folder), "items": items})
        return output.HOLDS
    for one in planned:
        said = f"{one.found.leaves:,} of the first {one.order.upto:,} leaves have entries to drop"
        output.data(output.plain(f"{one.origin}: {said}, but for each record's newest"))
    if not planned:
        output.talk("nothing was sealed by then that fills a bundle of 256")
    elif yes:
        output.talk(f"dropped the entries of {done:,} leaves; they are in {folder}")
    else:
        output.talk("nothing was dropped: --yes does it")
    return output.HOLDS
