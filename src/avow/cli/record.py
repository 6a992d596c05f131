"""What `avow why` and `avow history` share: which record, whose eyes, which database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

import click

from avow.cli.connection import database_url
from avow.cli.target import load_target
from avow.cli.word import SUBJECT, TENANT
from avow.engine.explain import Operator, Reader
from avow.errors import UsageError, reject
from avow.model.actor import Actor
from avow.model.entity import Entity
from avow.model.system import System
from avow.model.types import DateTimeType, Misfit, UuidType
from avow.model.values import Subject
from avow.store.pool import Pool
from avow.store.reads import Reads

DEFAULT_TENANT: Final = "main"
VALUE_CHARACTERS_MAX: Final = 60
"""How much of a value is printed; --json gives all of it."""

Answer = TypeVar("Answer")

_OPTIONS: Final = (
    click.option("--target", default=".", show_default=True, help="The application: folder, file or module."),
    click.option(
        "--tenant", default=DEFAULT_TENANT, show_default=True, type=TENANT, help="Whose record it is."
    ),
    click.option(
        "--as",
        "subject",
        metavar="SUBJECT",
        type=SUBJECT,
        help="Show what this subject may see, not everything.",
    ),
    click.option(
        "--role", "roles", multiple=True, type=SUBJECT, help="With --as: a role that it has. May be repeated."
    ),
)


def reader_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which application, which tenant, and whose eyes."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Asked:
    """One record, and who asks about it."""

    system: System
    entity: Entity
    record: UUID
    reader: Reader


def asked(target: str, record: str, tenant: str, subject: str | None, roles: tuple[str, ...]) -> Asked:
    """Read the arguments. Raises UsageError for a record that can't be meant."""
    if roles and subject is None:
        raise UsageError("--role says nothing without --as", "Add --as SUBJECT.")
    system = load_target(target)
    plural, _, text = record.partition("/")
    entity = system.by_plural(plural) or system.entities.get(plural)
    if entity is None:
        known = ", ".join(e.plural for e in system.entities.values())
        raise UsageError(f"{system.name} has no {plural[:VALUE_CHARACTERS_MAX]}", f"There are: {known}.")
    try:
        record_id = UuidType().parse(text, "")
    except Misfit:
        raise UsageError("that isn't the id of a record", f"Write {entity.plural}/ID, with a UUID.") from None
    reader = Operator(tenant) if subject is None else Actor(Subject(subject), tenant, frozenset(roles))
    return Asked(system, entity, record_id, reader)


def answer(
    question: Asked, ask: Callable[[Reads], Awaitable[Answer | None]], as_of: datetime | None = None
) -> Answer:
    """Ask the database, of what could be known at a time or of all that is known.

    Raises ProblemError where there is no such record for this reader.
    """

    async def read(pool: Pool) -> Answer | None:
        reads = Reads(question.system, pool)
        return await ask(reads if as_of is None else await reads.as_of(as_of))

    return answer_by(question, read)


def answer_by(question: Asked, ask: Callable[[Pool], Awaitable[Answer | None]]) -> Answer:
    """Ask the database through a pool of one connection. Raises as `answer` does."""

    async def run(url: str) -> Answer | None:
        pool = Pool(url, 1)
        try:
            return await ask(pool)
        finally:
            await pool.close()

    with database_url(question.system) as url:
        found = asyncio.run(run(url))
    if found is None:
        raise reject(
            "not-found", f"There is no such record in tenant {question.reader.tenant} for this reader."
        )
    return found


def instant_of(text: str | None, option: str) -> datetime | None:
    """The instant that an option names; None where it isn't given. Raises UsageError."""
    return None if text is None else parse_instant(text, option)


def parse_instant(text: str, what: str) -> datetime:
    """The instant that somebody has written. Raises UsageError, which says what was to be one."""
    try:
        return DateTimeType().parse(text, "")
    except Misfit:
        raise UsageError(f"{what} isn't an instant", "Write it as 2026-11-21T09:30:00Z.") from None


def shown(value: Any) -> str:
    """A value of an entry in one short line."""
    match value:
        case {"hidden": True}:
            return "(hidden)"
        case {"private": str()}:
            return "(private)"
        case {"sha256": str() as digest}:
            return f"(gone; SHA-256 {digest[:12]})"
        case {"amount": str() as amount, "currency": str() as currency}:
            return f"{amount} {currency}"
        case None:
            return "-"
        case bool():
            return "true" if value else "false"
        case list():
            text = ", ".join(map(shown, value))  # pyright: ignore[reportUnknownArgumentType]
        case str():
            text = repr(value) if not value or value != value.strip() or not value.isprintable() else value
        case _:
            text = str(value)
    return text if len(text) <= VALUE_CHARACTERS_MAX else f"{text[: VALUE_CHARACTERS_MAX - 3]}..."


def moment(at: str) -> str:
    """An instant for people: to the millisecond, in UTC."""
    return f"{at[:10]} {at[11:23]}Z"


def who(actor: Any) -> str:
    """An actor for people: subject and roles."""
    if actor.get("hidden"):
        return "(hidden)"
    roles = ", ".join(actor["roles"])
    return f"{actor['subject']} ({roles})" if roles else str(actor["subject"])
