"""`avow log`: the log that entries are sealed in, its checkpoints, and its epochs."""

from __future__ import annotations

import os
from typing import Any

import click

from avow.cli import log_drop, output
from avow.cli.connection import ask_database
from avow.cli.home import home_folder
from avow.cli.options import target_option
from avow.cli.target import load_target
from avow.engine.log.epochs import begin_epoch
from avow.engine.log.key import log_key
from avow.errors import EnvironmentFault
from avow.store.log.reads import Epoch, LogReads


@click.group(name="log")
def command() -> None:
    """The log that audit entries are sealed in: a Merkle tree whose checkpoints are signed with a key that
    lies outside of the database."""


command.add_command(log_drop.command)


@command.command(name="list")
@target_option
@output.json_option
def list_logs(target: str, as_json: bool) -> int:
    """List the epochs of the log: name, size, newest checkpoint, and the key to check with."""
    logs = ask_database(load_target(target), lambda connection: LogReads.on(connection).epochs())
    if as_json:
        output.document({"items": [_document(log) for log in logs]})
        return output.HOLDS
    for log in logs:
        sealed = (
            "no checkpoint yet"
            if log.at is None
            else f"checkpoint {log.size:,} at {log.at:%Y-%m-%d %H:%M:%S}Z"
        )
        output.data(output.plain(f"{log.origin}  {sealed}"))
        output.data(output.plain(f"    {log.reason}"))
        output.data(output.plain(f"    {log.key}"))
    if not logs:
        output.talk("there is no log: `avow dev` begins one, and so does `avow serve` with AVOW_LOG_KEY")
    return output.HOLDS


@command.command(name="checkpoint")
@target_option
@output.json_option
def checkpoint(target: str, as_json: bool) -> int:
    """Print the newest checkpoint, as it was signed. Keep it where the database's owner can't reach it, and
    compare later with `avow verify --checkpoint FILE`."""
    head = ask_database(load_target(target), lambda connection: LogReads.on(connection).head())
    if head is None or head.note is None:
        raise EnvironmentFault(
            "log-missing", "nothing is sealed here yet", "Serve with AVOW_LOG_KEY set, or `avow dev`."
        )
    if as_json:
        output.document({"origin": head.origin, "size": head.size, "key": head.key, "note": head.note})
    else:
        output.data(head.note.rstrip("\n"))
    return output.HOLDS


@command.command(name="epoch")
@click.option("--reason", required=True, help="Why: it is kept for whoever looks at the log later.")
@target_option
@output.json_option
def epoch(reason: str, target: str, as_json: bool) -> int:
    """End the log and begin another one with a new key, as the owner of the database.

    For a planned change of the key, and after the database was restored from a backup: its log then lacks
    what was signed already, and nothing more may be signed with that key. The old key is put aside, and old
    receipts stay valid.
    """
    system = load_target(target)
    key = log_key(os.environ.get("AVOW_LOG_KEY"), home_folder(os.environ), system.name)
    begun = ask_database(system, lambda connection: begin_epoch(connection, system.name, key, reason))
    if as_json:
        output.document(
            {"epoch": begun.epoch, "origin": begun.origin, "key": begun.key, "goes_on_from": begun.size}
        )
    else:
        output.data(begun.key)
        before = "the first log" if begun.size is None else f"it goes on from checkpoint {begun.size:,}"
        output.talk(f"{begun.origin} has begun: {before}. Give this key to whoever checks receipts.")
    return output.HOLDS


def _document(log: Epoch) -> dict[str, Any]:
    return {
        "epoch": log.epoch,
        "origin": log.origin,
        "key": log.key,
        "reason": log.reason,
        "begun_at": log.begun_at.isoformat(),
        "size": log.size,
        "sealed_at": None if log.at is None else log.at.isoformat(),
    }
