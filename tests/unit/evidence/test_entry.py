"""An entry is joined from pieces, and is the canonical encoding of its members all the same."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from avow import canonical
from avow.evidence.entry import (
    FORMAT,
    HEADER_BYTES_MAX,
    INLINE_BYTES_MAX,
    Command,
    EntryWriter,
    HeaderTooLong,
    Reference,
    Step,
)  # fmt: skip
from avow.model import types as kinds
from avow.model.actor import Actor
from avow.model.entity import Entity, Field, Parameter, State, Transition
from avow.model.expression import Everybody
from avow.model.system import System
from avow.model.types import ValueType, instant
from avow.model.values import Money, Subject

TYPES: dict[str, ValueType] = {
    "zeal": kinds.Text(),
    "count": kinds.Integer(),
    "flag": kinds.Boolean(),
    "price": kinds.MoneyType("EUR", 2),
    "ratio": kinds.DecimalType(12, 3),
    "owner": kinds.SubjectType(),
    "due": kinds.DateTimeType(),
    "other": kinds.Reference("Thing"),
    "tags": kinds.ListOf(kinds.Text()),
    "b2": kinds.Text(),
    "b_2": kinds.Text(),
}
MOVE = Transition(
    "move", "move", ("open",), "open", Everybody(),
    parameters=tuple(Parameter(name, kind, True) for name, kind in TYPES.items()),
)  # fmt: skip
THING = Entity(
    "Thing",
    "things",
    {name: Field(name, kind, optional=True) for name, kind in TYPES.items()},
    {"open": State("open", initial=True)},
    {"move": MOVE},
    Everybody(),
)
SYSTEM = System("things", {"Thing": THING})

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ['"', "\\", "\x00\x1f\x7f", "\u2028", "\U0001f600", "a" * 1_022, "a" * 1_023, "ä" * 511, "ä" * 512]
)
instants = st.datetimes(timezones=st.just(UTC))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "zeal": texts,
    "count": st.integers(-canonical.INTEGER_MAX, canonical.INTEGER_MAX),
    "flag": st.booleans(),
    "price": st.integers(-10, 10).map(lambda cents: Money(Decimal(cents).scaleb(-2), "EUR")),
    "ratio": st.integers(-10, 10).map(lambda thousandths: Decimal(thousandths).scaleb(-3)),
    "owner": texts.map(Subject),
    "due": instants,
    "other": st.uuids(),
    "tags": st.lists(texts, max_size=3).map(tuple),
    "b2": texts,
    "b_2": texts,
}
values = st.fixed_dictionaries({}, optional={name: st.none() | value for name, value in VALUES.items()})
references = st.builds(Reference, st.just("Thing"), st.uuids(), st.integers(1, canonical.INTEGER_MAX))
commands = st.builds(
    Command,
    st.uuids(),
    st.builds(Actor, texts.map(Subject), texts, st.frozensets(texts, max_size=3), texts),
    texts,
    instants,
    st.lists(references, max_size=3),
)
performers = st.dictionaries(st.sampled_from(["move", "verify"]), st.lists(texts, max_size=2).map(tuple))
waits = st.dictionaries(st.sampled_from(["capture", "lapse"]), st.none() | st.tuples(instants, texts, texts))
asked = st.none() | st.fixed_dictionaries({"acts": st.integers(0, 9), "ends": st.booleans(), "role": texts})
tasks = st.dictionaries(st.sampled_from(["approve", "check"]), asked)
steps = st.builds(
    Step, references, st.just(MOVE), st.none() | st.just("open"), values, values,
    st.none() | performers, st.none() | references, waits, tasks,
)  # fmt: skip


def members_of(command: Command, step: Step, prev: bytes, inline: int) -> dict[str, Any]:
    """The header as plain data, made in the obvious way."""
    header: dict[str, Any] = {
        "v": FORMAT,
        "app": SYSTEM.name,
        "tenant": command.actor.tenant,
        **named(step.record),
        "prev": prev.hex(),
        "transition": "move",
        "from": step.source,
        "to": "open",
        "actor": {
            "subject": str(command.actor.subject),
            "roles": sorted(command.actor.roles),
            "credential": command.actor.credential,
        },
        "command": str(command.id),
        "cause": None if step.cause is None else named(step.cause),
        "reads": [[read.kind, str(read.id), read.version] for read in command.reads],
        "request": command.request_id,
        "boundary": SYSTEM.fingerprint.hex(),
        "at": instant(command.at),
    }
    for member, held in (("changes", step.changes), ("input", step.input)):
        short, long = split(held, inline)
        header[member] = short
        if long:
            header[f"{member}_sha256"] = {name: canonical.digest(data).hex() for name, data in long.items()}
    if step.performers is not None:
        header["performers"] = {name: list(subjects) for name, subjects in step.performers.items()}
    if step.waits:
        header["waits"] = {name: waited(wait) for name, wait in step.waits.items()}
    if step.tasks:
        header["tasks"] = dict(step.tasks)
    return header


def split(held: Mapping[str, Any], inline: int) -> tuple[dict[str, Any], dict[str, bytes]]:
    short, long = dict[str, Any](), dict[str, bytes]()
    for name, value in held.items():
        dumped = None if value is None else TYPES[name].dump(value)
        data = rfc8785.dumps(dumped)  # type: ignore[arg-type]
        if isinstance(dumped, str | list | dict) and len(data) > inline:
            long[name] = data
        else:
            short[name] = dumped
    return short, long


def waited(wait: tuple[datetime, str, str] | None) -> dict[str, str] | None:
    return None if wait is None else {"due": instant(wait[0]), "to": wait[1], "line": wait[2]}


def named(reference: Reference) -> dict[str, Any]:
    return {"kind": reference.kind, "id": str(reference.id), "ver": reference.version}


@settings(max_examples=200, deadline=None)
@given(commands, steps, st.binary(min_size=32, max_size=32))
def test_a_header_is_the_canonical_encoding_of_its_members(command: Command, step: Step, prev: bytes) -> None:
    entry = EntryWriter(SYSTEM, command).write(step, prev)
    assert entry.header == rfc8785.dumps(members_of(command, step, prev, INLINE_BYTES_MAX))
    assert entry.hash == canonical.leaf_hash(entry.header)
    long = [
        *split(step.changes, INLINE_BYTES_MAX)[1].values(),
        *split(step.input, INLINE_BYTES_MAX)[1].values(),
    ]
    assert entry.payloads == {canonical.digest(data): data for data in long}


ID = UUID(int=1)
COMMAND = Command(
    ID,
    Actor(Subject("ann"), "t"), "", datetime(2026, 11, 21, tzinfo=UTC), (),
)  # fmt: skip


def step_of(**changes: Any) -> Step:
    return Step(Reference("Thing", ID, 1), MOVE, "open", {}, changes, None, None)


def test_a_header_that_would_be_too_long_names_every_value_by_hash() -> None:
    tags = tuple("a" * 1_000 for _ in range(90))
    entry = EntryWriter(SYSTEM, COMMAND).write(step_of(tags=tags, zeal="b" * 1_000), bytes(32))
    assert b'"zeal":"bbb' in entry.header, "one value alone is long"
    many = Actor(Subject("ann"), "t", frozenset(f"{number:0600}" for number in range(107)))
    entry = EntryWriter(SYSTEM, COMMAND._replace(actor=many)).write(step_of(zeal="b" * 1_000), bytes(32))
    assert b'"changes":{},"changes_sha256":{"zeal":"' in entry.header
    assert len(entry.header) <= HEADER_BYTES_MAX
    crowd = Actor(Subject("ann"), "t", frozenset(f"{number:0600}" for number in range(200)))
    writer = EntryWriter(SYSTEM, COMMAND._replace(actor=crowd))
    with pytest.raises(HeaderTooLong):
        writer.write(step_of(), bytes(32))


@given(st.datetimes(timezones=st.just(UTC)))
def test_an_instant_is_written_with_four_digits_of_a_year_and_six_of_a_second(at: datetime) -> None:
    fields = (at.year, at.month, at.day, at.hour, at.minute, at.second, at.microsecond)
    assert instant(at) == "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z".format(*fields)
