"""`avow subject`: what is held about a person; give it to them, or hold it against erasing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, TypeVar

import click

from avow.cli import output
from avow.cli.connection import ask_database, database_url
from avow.cli.options import target_option, tenant_option
from avow.cli.settings import private_keyring
from avow.cli.target import load_target
from avow.cli.word import SUBJECT
from avow.engine.privacy import Vault
from avow.engine.subject_export import export as export_of
from avow.errors import UsageError
from avow.model.system import System
from avow.store.disclosures import Disclosures
from avow.store.driver import Connection
from avow.store.pool import Pool, connect
from avow.store.reads import Reads
from avow.store.schema.rights import demand_own_tables
from avow.store.subjects import Subjects

Answer = TypeVar("Answer")

_person: Final = click.argument("person", metavar="SUBJECT", type=SUBJECT)
_by: Final = click.option("--as", "by", metavar="NAME", required=True, type=SUBJECT, help="Who does it.")
_reason: Final = click.option("--reason", required=True, help="Why; kept with who did it.")
_tenant: Final = tenant_option("Whose data it is.")


@click.group(name="subject")
def command() -> None:
    """Look at what is held about a person, as the owner of the database."""


@command.command(name="show")
@_person
@_tenant
@target_option
@output.json_option
def show(person: str, tenant: str, target: str, as_json: bool) -> int:
    """Show how much is private about SUBJECT, and what keeps it: never the values."""

    async def ask(subjects: Subjects) -> dict[str, Any]:
        held, holds = await subjects.held(person), await subjects.holds(person)
        return {"private": [_dated(row) for row in held], "holds": [_dated(row) for row in holds]}

    found = _work(load_target(target), tenant, ask)
    if as_json:
        output.document(found)
        return output.HOLDS
    for row in found["private"]:
        kept = f", to be kept until {row['keep_until'][:10]}" if row["keep_until"] else ""
        records = f"{row['records']:,} record{'s' * (row['records'] != 1)}"
        said = f"{row['number']:>6,}  {row['kind']}.{row['field']} in {records}{kept}"
        output.data(output.plain(said))
    for row in found["holds"]:
        output.data(output.plain(f"held since {row['since'][:10]} by {row['placed_by']}: {row['reason']}"))
    if not found["private"]:
        output.talk(f"nothing private is held about {person}")
    return output.HOLDS


@command.command(name="export")
@_person
@_by
@_reason
@_tenant
@target_option
@output.json_option
def export(person: str, by: str, reason: str, tenant: str, target: str, as_json: bool) -> int:
    """Write all that is held about SUBJECT as JSON, in clear, each value with why it is there.

    That it was given out, by whom and why, is kept.
    """
    del as_json  # it is JSON either way
    system = load_target(target)
    keyring = private_keyring(system)
    if keyring is None:
        raise UsageError(f"nothing is private in {system.name}", "Use `avow history`.")

    async def run(url: str) -> dict[str, Any]:
        connection, pool = await connect(url), Pool(url, 2)
        try:
            await demand_own_tables(connection, system)
            subjects = Subjects(connection, system, tenant)
            await subjects.act_as_owner()
            vault = Vault(Disclosures(pool), keyring)
            document = await export_of(system, Reads(system, pool), subjects, vault, tenant, person)
            await subjects.note_export(by, reason)
            return document
        finally:
            await pool.close()
            await connection.close()

    with database_url(system) as url:
        output.document(asyncio.run(run(url)))
    return output.HOLDS


@command.command(name="hold")
@_person
@_by
@_reason
@_tenant
@target_option
@output.json_option
def hold(person: str, by: str, reason: str, tenant: str, target: str, as_json: bool) -> int:
    """Hold what is private about SUBJECT: until it is released, nobody can have it erased."""
    return _hold(load_target(target), _Wish(person, True, by, reason), tenant, as_json)


@command.command(name="release")
@_person
@_by
@_reason
@_tenant
@target_option
@output.json_option
def release(person: str, by: str, reason: str, tenant: str, target: str, as_json: bool) -> int:
    """Let go of what is private about SUBJECT: it may be erased again."""
    return _hold(load_target(target), _Wish(person, False, by, reason), tenant, as_json)


class _Wish(NamedTuple):
    """That what is private about somebody be held, or released: who wants it, and why."""

    person: str
    held: bool
    by: str
    reason: str


def _hold(system: System, wish: _Wish, tenant: str, as_json: bool) -> int:
    changed = _work(system, tenant, lambda subjects: subjects.hold(*wish))
    word = "held" if wish.held else "released"
    said = f"{wish.person} is {word}" if changed else f"{wish.person} was {word} already"
    return output.said({"subject": wish.person, "held": wish.held, "changed": changed}, said, as_json)


def _work(system: System, tenant: str, ask: Callable[[Subjects], Awaitable[Answer]]) -> Answer:
    async def run(connection: Connection) -> Answer:
        subjects = Subjects(connection, system, tenant)
        await subjects.act_as_owner()
        return await ask(subjects)

    return ask_database(system, run)


def _dated(row: dict[str, Any]) -> dict[str, Any]:
    dates = {name: value.isoformat() for name, value in row.items() if hasattr(value, "isoformat")}
    return {**row, **dates}
