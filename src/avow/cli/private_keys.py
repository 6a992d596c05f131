"""The keys of keys of private values: make a file of them, put a new one in its place, drop an old one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click

from avow.cli import output
from avow.cli.connection import ask_database
from avow.cli.options import target_option
from avow.cli.settings import private_keyring
from avow.cli.target import load_target
from avow.cli.word import SUBJECT
from avow.engine.privacy import FileKeyring, rewrap_all
from avow.errors import UsageError
from avow.model.system import System
from avow.store.driver import Connection
from avow.store.subjects import SubjectKeys

Answer = TypeVar("Answer")


@click.command(name="new-private")
@click.argument("file", type=click.Path(path_type=Path))
@output.json_option
def new(file: Path, as_json: bool) -> int:
    """Make FILE with a new key of keys, for AVOW_PRIVATE_KEY. Without it, nothing private can be read."""
    if file.exists():
        raise UsageError(f"{file} is there already", "Name another file.")
    made = FileKeyring.made(file)
    said = f"{file} has the key {made.current}; keep a copy where no copy of the database is"
    return output.said({"file": str(file), "current": made.current}, said, as_json)


@click.command(name="rotate-private")
@target_option
@output.json_option
def rotate(target: str, as_json: bool) -> int:
    """Put a new key of keys in place, and put the keys of all persons under it, while everything goes on.

    The old one stays in the file until `avow keys retire-private`. With a keyring of your own, only the keys
    that aren't under its current key are put there.
    """
    system = load_target(target)
    keyring = private_keyring(system)
    if keyring is None:
        raise UsageError(f"nothing is private in {system.name}", "There are no keys to rotate.")
    if isinstance(keyring, FileKeyring):
        keyring.add()
    done = _work(system, lambda keys: rewrap_all(keys, keyring))
    said = f"{keyring.current} is the key now; {done:,} keys of persons were put under it"
    return output.said({"current": keyring.current, "rewrapped": done}, said, as_json)


@click.command(name="retire-private")
@click.argument("name", type=SUBJECT)
@target_option
@output.json_option
def retire(name: str, target: str, as_json: bool) -> int:
    """Destroy the key of keys called NAME in the file: what was erased is then gone from old copies, too."""
    system = load_target(target)
    keyring = private_keyring(system)
    if not isinstance(keyring, FileKeyring):
        raise UsageError("the keys of keys aren't in a file", "Destroy the key where you keep it.")
    if name not in keyring.names or name == keyring.current:
        known = ", ".join(keyring.names[1:]) or "none"
        raise UsageError("that isn't a key that was replaced", f"Those that were: {known}.")
    under = _work(system, lambda keys: keys.retire(name))
    if under:
        raise UsageError(f"{under:,} keys of persons are still under it", "Run `avow keys rotate-private`.")
    keyring.drop(name)
    said = f"{name} is destroyed here; destroy the copies of this file that still have it"
    return output.said({"destroyed": name, "current": keyring.current}, said, as_json)


def _work(system: System, ask: Callable[[SubjectKeys], Awaitable[Answer]]) -> Answer:
    async def run(connection: Connection) -> Answer:
        keys = SubjectKeys(connection, system)
        await keys.act_as_owner()
        return await ask(keys)

    return ask_database(system, run)
