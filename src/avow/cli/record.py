"""The record that `avow why`, `avow history` and `avow receipt` are asked about, and in whose eyes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar
from uuid import UUID

import click

from avow.cli.connection import ask_pool
from avow.cli.options import target_option, tenant_option, together
from avow.cli.target import load_target
from avow.cli.word import SUBJECT, parse_id
from avow.engine.explain import Operator, Reader
from avow.errors import UsageError, reject
from avow.model.actor import Actor
from avow.model.entity import Entity
from avow.model.system import System
from avow.model.values import Subject
from avow.store.pool import Pool
from avow.store.reads import Reads

PLURAL_CHARACTERS_MAX: Final = 60

Answer = TypeVar("Answer")

reader_options: Final = together(
    target_option,
    tenant_option("Whose record it is."),
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
"""Which application, which tenant, and whose eyes."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One record, and who asks about it."""

    system: System
    entity: Entity
    record: UUID
    reader: Reader


def asked(target: str, record: str, tenant: str, subject: str | None, roles: tuple[str, ...]) -> Asked:
    """Read the arguments. Raises UsageError for a record that can't be meant."""
    reader = reader_of(tenant, subject, roles)
    system = load_target(target)
    plural, _, text = record.partition("/")
    entity = system.by_plural(plural) or system.entities.get(plural)
    if entity is None:
        known = ", ".join(e.plural for e in system.entities.values())
        raise UsageError(f"{system.name} has no {plural[:PLURAL_CHARACTERS_MAX]}", f"There are: {known}.")
    record_id = parse_id(text, "record", f"Write {entity.plural}/ID, with a UUID.")
    return Asked(system, entity, record_id, reader)


def reader_of(tenant: str, subject: str | None, roles: tuple[str, ...]) -> Reader:
    """In whose eyes. Raises UsageError for roles of nobody."""
    if roles and subject is None:
        raise UsageError("--role says nothing without --as", "Add --as SUBJECT.")
    return Operator(tenant) if subject is None else Actor(Subject(subject), tenant, frozenset(roles))


def answer(
    question: Asked, ask: Callable[[Reads], Awaitable[Answer | None]], as_of: datetime | None = None
) -> Answer:
    """Ask the database, of what could be known at a time or of all that is known.

    Raises ProblemError where there is no such record for this reader.
    """

    async def read(pool: Pool) -> Answer | None:
        reads = Reads(question.system, pool)
        return await ask(reads if as_of is None else await reads.as_of(as_of))

    return answer_of(question.system, question.reader, read)


def answer_of(system: System, reader: Reader, ask: Callable[[Pool], Awaitable[Answer | None]]) -> Answer:
    """Ask the database through a pool of one connection. Raises as `answer` does."""

    found = ask_pool(system, ask)
    if found is None:
        raise reject("not-found", f"There is no such record in tenant {reader.tenant} for this reader.")
    return found
