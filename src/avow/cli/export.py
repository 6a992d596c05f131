"""`avow export`: the log as files, for whoever wants to keep or check it without the database."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from avow.cli import output
from avow.cli.connection import ask_database
from avow.cli.options import target_option
from avow.cli.target import load_target, mode_of
from avow.engine.log.export import Exported, export
from avow.engine.log.outside import keys_in
from avow.engine.log.tiles import Damaged, Folder, demand_linked, epochs_in, read
from avow.errors import UsageError
from avow.evidence.verifier import Invalid, VerifierKey, parse_key
from avow.store.driver import Connection


@click.command(name="export")
@click.argument("folder", type=click.Path(path_type=Path))
@target_option
@click.option("--check", is_flag=True, help="Check what was exported, without a database.")
@click.option(
    "--key",
    metavar="KEY",
    help="With --check: the log's public key, or a file with those of all epochs; by default what is there.",
)
@click.option(
    "--parquet", is_flag=True, help="Also write Parquet files for analysis, or check those that are there."
)
@output.json_option
def command(folder: Path, target: str, check: bool, key: str | None, parquet: bool, as_json: bool) -> int:
    """Write the log into FOLDER as files (C2SP tlog-tiles): all entries of all tenants, the tree over them,
    and the newest checkpoint. Everything is checked as it is read. Run again, it goes on where it was.

    With --parquet each entry is also a row of FOLDER/epoch-N/parquet/*.parquet; that needs avow[parquet].

    Exit code 1: something isn't what was signed.
    """
    tables = _parquet() if parquet else None
    try:
        if check:
            epochs = epochs_in(folder) if mode_of(folder) else []
            done = [_check(path, key, tables) for path in epochs]
            demand_linked(epochs, [_key(path, key) for path in epochs])
            if not done:
                raise UsageError(
                    f"there is no export in {folder}", "Name the folder that `avow export` wrote."
                )
        else:
            system = load_target(target)
            done = ask_database(system, lambda connection: _export(connection, folder))
            if tables is not None:
                _tabulate(folder, tables)
    except Damaged as damage:
        output.error("log-damaged", str(damage), "Run `avow verify`; keep what is there.", as_json)
        return output.FOUND
    if as_json:
        output.document(
            {"items": [{"origin": log.origin, "size": log.size, "kept": log.kept} for log in done]}
        )
    else:
        for log in done:
            output.data(output.plain(f"{log.origin}: {log.size:,} entries hold"))
    return output.HOLDS


async def _export(connection: Connection, folder: Path) -> list[Exported]:
    with output.Progress(sys.stderr, "entries", 0) as progress:
        return await export(connection, folder, progress.reach)


def _parquet() -> Any:
    """The module that writes and checks Parquet files, if what it needs is installed."""
    try:
        return import_module("avow.engine.log.parquet")
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("pyarrow"):
            raise
        raise UsageError(
            "--parquet needs pyarrow, which isn't installed", "Run `pip install 'avow[parquet]'`."
        ) from None


def _tabulate(folder: Path, tables: Any) -> None:
    with output.Progress(sys.stderr, "rows", 0) as progress:
        for path in epochs_in(folder):
            tables.write(Folder(path), _key(path, None), progress.reach)


def _key(path: Path, given: str | None) -> VerifierKey:
    """The key of an exported log: of those that were given its own, or else the one that lies there."""
    if given is not None:
        note = Folder(path).checkpoint() or b""
        for key in keys_in(given):
            if note.startswith(f"{key.name}\n".encode()):
                return key
        raise Damaged(f"{path}: it isn't of a log whose key was given")
    try:
        return parse_key((path / "key").read_text("utf-8").strip())
    except (OSError, UnicodeDecodeError, Invalid) as error:
        raise Damaged(f"{path}: the key can't be read: {error}") from None


def _check(path: Path, given: str | None, tables: Any) -> Exported:
    key = _key(path, given)
    checkpoint = read(Folder(path), key)
    if tables is not None:
        tables.check(Folder(path), key)
    return Exported(checkpoint.origin, checkpoint.size, checkpoint.size)
