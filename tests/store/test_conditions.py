"""A condition in SQL is true, false or unknown exactly where the kernel says so, whatever is missing."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from avow import (
    Entity,
    Money,
    State,
    Subject,
    create,
    everybody,
    field,
    performed,
    read,
    ref,
    system,
    transition,
)  # fmt: skip
from avow.engine.identifier import new_id
from avow.kernel.command import Key, Record
from avow.kernel.draft import Pool, RecordScope
from avow.model import expression as ast
from avow.model.actor import ANONYMOUS, Actor
from avow.model.expression import Expression, meaning
from avow.store.columns import reader, select_list
from avow.store.conditions import FALSE, TRUE, Compiler, settle
from avow.store.driver import Connection
from avow.store.pool import connect
from tests.fix_database import MakeDatabase

ROWS = 60
SEED = 20_261_121
EXAMPLES_MAX = 1_500
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


class Size(StrEnum):
    """Two of a kind."""

    SMALL = "small"
    LARGE = "large"


@dataclass(frozen=True)
class Part:
    """A value object."""

    count: int
    weight: Decimal | None
    label: str
    due: date | None
    span: timedelta | None
    sold: bool
    price: Size | None


class Other(Entity):
    """What a sample refers to."""

    fresh, stale = State(initial=True), State(final=True)
    amount: int | None = field()
    owner: Subject | None = field()
    flag: bool | None = field()
    visible = read(by=everybody)
    make = create(fresh, by=everybody, sets=[amount, owner, flag])
    age = transition(fresh, to=stale, by=everybody)


class Sample(Entity):
    """One field of each type, each of which may be missing."""

    fresh, used, gone = State(initial=True), State(), State(final=True)
    count: int | None = field()
    more: int | None = field()
    ratio: Decimal | None = field(digits=12, scale=3)
    price: Money | None = field(currency="EUR")
    cost: Money | None = field(currency="EUR")
    title: str | None = field()
    name: str | None = field()
    owner: Subject | None = field()
    maker: Subject | None = field()
    flag: bool | None = field()
    sure: bool = field(default=False)
    size: Size | None = field()
    due: date | None = field()
    begins: datetime | None = field()
    ends: datetime | None = field()
    span: timedelta | None = field()
    key: UUID | None = field()
    part: Part | None = field()
    other: Other | None = ref()
    tracked = read(by=everybody)
    make = create(fresh, by=everybody)
    use = transition(fresh, to=used, by=everybody)
    end = transition(used, to=gone, by=~performed(use))


app = system("conditions", Other, Sample)
SAMPLE, OTHER = app.entities["Sample"], app.entities["Other"]

# Close to each other, so that equal and ordered values meet; and the extremes of what is stored.
VALUES: dict[str, list[Any]] = {
    "integer": [0, 1, 2, -1, 2**53 - 1, -(2**53 - 1)],
    "decimal": [Decimal(d) for d in ("0.000", "1.000", "0.001", "-1.500", "999999999.999")],
    "money": [Money(Decimal(a), "EUR") for a in ("0.00", "1.00", "0.01", "-1.00", "9999999999999999.99")],
    "text": ["", "a", "A", "b", "ä", "Z", "z", "a b", "ab", "\U0001f600", "\uffff", "1", "'", "\\", "%"],
    "subject": [Subject(s) for s in ("ann", "bob", "Ann", "eve")],
    "boolean": [True, False],
    "size": list(Size),
    "date": [date(2026, 11, 21), date(2026, 11, 22), date(1, 1, 1), date(9999, 12, 31)],
    "instant": [NOW, NOW + timedelta(microseconds=1), NOW - timedelta(days=1), datetime(1, 1, 2, tzinfo=UTC),
                datetime(9999, 12, 30, tzinfo=UTC)],
    "duration": [timedelta(0), timedelta(microseconds=1), timedelta(days=1), timedelta(hours=-25),
                 timedelta(days=3_650_000)],
    "uuid": [UUID(int=1), UUID(int=2), UUID("ffffffff-ffff-7fff-bfff-ffffffffffff")],
}  # fmt: skip
FIELDS: dict[str, list[ast.Path]] = {
    "integer": [("count",), ("more",), ("part", "count"), ("other", "amount")],
    "decimal": [("ratio",), ("part", "weight")],
    "money": [("price",), ("cost",)],
    "text": [("title",), ("name",), ("part", "label")],
    "subject": [("owner",), ("maker",), ("other", "owner")],
    "boolean": [("flag",), ("sure",), ("part", "sold"), ("other", "flag")],
    "size": [("size",), ("part", "price")],
    "date": [("due",), ("part", "due")],
    "instant": [("begins",), ("ends",)],
    "duration": [("span",), ("part", "span")],
    "uuid": [("key",)],
}
UNORDERED = frozenset({"boolean", "subject", "size", "uuid"})
ORDERS = ("==", "!=", "<", "<=", ">", ">=")

ACTORS = st.builds(
    lambda subject, roles: Actor(
        Subject(subject), "t", frozenset(roles) if subject != ANONYMOUS else frozenset()
    ),
    st.sampled_from(["ann", "bob", "eve", str(ANONYMOUS)]),
    st.sets(st.sampled_from(["clerk", "dean"])),
)


def terms(kind: str, depth: int) -> st.SearchStrategy[Expression]:
    """Values of one type."""
    found: list[st.SearchStrategy[Expression]] = [
        st.sampled_from([ast.FieldOf(path) for path in FIELDS[kind]])
    ]
    if kind != "instant":  # an instant can't be a constant
        found.append(st.sampled_from([ast.Const(value) for value in VALUES[kind]]))
    if kind == "subject":
        found.append(st.just(ast.ActorSubject()))
    if kind == "instant":
        found.append(st.just(ast.Now()))
    if depth > 0:
        found += [
            st.builds(ast.Arithmetic, st.sampled_from(ops), terms(left, depth - 1), terms(right, depth - 1))
            for ops, left, right in CALCULATIONS.get(kind, [])
        ]
    return st.one_of(found)


CALCULATIONS: dict[str, list[tuple[str, str, str]]] = {
    "integer": [("+-*", "integer", "integer")],
    "decimal": [("+-*", "decimal", "decimal"), ("+-*", "integer", "decimal"), ("+-*", "decimal", "integer")],
    "money": [("+-", "money", "money"), ("*", "money", "integer"), ("*", "integer", "money")],
    "duration": [("+-", "duration", "duration"), ("-", "instant", "instant")],
    "instant": [("+-", "instant", "duration")],
}


def comparisons(kind: str) -> st.SearchStrategy[Expression]:
    """Two values of one type, or one among constants."""
    orders = ORDERS[:2] if kind in UNORDERED else ORDERS
    side = terms(kind, 2)
    found = [st.builds(ast.Compare, st.sampled_from(orders), side, side), st.builds(ast.Missing, side)]
    if kind != "instant":
        options = st.lists(st.sampled_from(VALUES[kind]), min_size=1, max_size=3).map(tuple)
        found.append(st.builds(ast.OneOf, side, options))
    return st.one_of(found)


CLAUSES: st.SearchStrategy[Expression] = st.one_of(
    *(comparisons(kind) for kind in VALUES),
    st.builds(ast.Compare, st.sampled_from(ORDERS), terms("integer", 1), terms("decimal", 1)),
    st.builds(ast.Compare, st.sampled_from(ORDERS[:2]), terms("subject", 0), terms("text", 0)),
    st.sampled_from([ast.FieldOf(path) for path in FIELDS["boolean"]]),
    st.builds(ast.InState, st.sampled_from([("fresh",), ("fresh", "used"), ("gone",)]), st.just(())),
    st.builds(ast.InState, st.sampled_from([("fresh",), ("stale",)]), st.just(("other",))),
    st.sampled_from(
        [
            ast.Everybody(), ast.Authenticated(), ast.Internal(), ast.Performed("use"), ast.HasRole("clerk"),
            ast.HasRole("dean"), ast.Missing(ast.ActorSubject()), ast.Missing(ast.FieldOf(("other",))),
        ]
    ),
)  # fmt: skip
CONDITIONS = st.recursive(
    CLAUSES,
    lambda parts: st.one_of(
        st.builds(ast.All, st.lists(parts, min_size=1, max_size=3).map(tuple)),
        st.builds(ast.AnyOf, st.lists(parts, min_size=1, max_size=3).map(tuple)),
        st.builds(ast.Not, parts),
    ),
    max_leaves=6,
)


@pytest.fixture
def compare(database: MakeDatabase) -> Iterator[Callable[[Expression, Actor], None]]:
    """Compares a condition in SQL with the kernel's value of it, on every row of a table of random rows."""
    with asyncio.Runner() as runner:
        connection = runner.run(connect(database(app).admin_url, {"timezone": "Asia/Kolkata"}))
        runner.run(_fill(connection))
        records = runner.run(_records(connection))

        def agree(condition: Expression, actor: Actor) -> None:
            found, held = runner.run(_in_sql(connection, condition, actor)), meaning(condition)
            for key, record in records.items():
                if record.entity == "Sample":
                    expected = held(RecordScope(Pool(app, actor, NOW, dict(records), records), record))
                    assert found[key[1]] is expected, (condition, actor, record.values)

        yield agree
        runner.run(connection.close())


@settings(
    max_examples=EXAMPLES_MAX, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(condition=CONDITIONS, actor=ACTORS)
@example(ast.Not(ast.Performed("use")), Actor(ANONYMOUS, "t"))
@example(
    ast.Compare(
        "<", ast.Arithmetic("-", ast.FieldOf(("begins",)), ast.Const(timedelta(days=3_650_000))), ast.Now()
    ),
    Actor(Subject("ann"), "t"),
)
def test_the_kernel_and_the_database_agree_on_every_condition(
    compare: Callable[[Expression, Actor], None], condition: Expression, actor: Actor
) -> None:
    compare(condition, actor)


def test_the_rows_have_missing_values_in_every_field(database: MakeDatabase) -> None:
    """The comparison above would prove little on rows that are complete."""
    rows = _rows(random.Random(SEED))
    for name in SAMPLE.fields:
        held = [row[name] is None for row in rows]
        assert name == "sure" or (any(held) and not all(held)), name


async def _in_sql(connection: Connection, condition: Expression, actor: Actor) -> dict[UUID, bool | None]:
    held = settle(condition, actor)
    compiled = (
        Compiler(app, SAMPLE, "t", "$1::text").compile(held)
        if held not in (TRUE, FALSE)
        else str(held == TRUE)
    )
    subject = str(actor.subject) if actor.authenticated else None
    sql = f"SELECT t.id, ({compiled}) AS held FROM conditions.samples t WHERE $1::text IS NULL OR true"
    return {row["id"]: row["held"] for row in await connection.fetch(sql, subject)}


def _rows(chance: random.Random) -> list[dict[str, Any]]:
    """Random rows as the driver takes them; a quarter of all values is missing."""

    def pick(values: list[Any]) -> Any:
        return None if chance.random() < 0.25 else chance.choice(values)

    rows = list[dict[str, Any]]()
    for _ in range(ROWS):
        row: dict[str, Any] = {}
        for kind, paths in FIELDS.items():
            for path in (path for path in paths if len(path) == 1):
                value = pick(VALUES[kind])
                row[path[0]] = value.amount if isinstance(value, Money) else value
        row["sure"] = chance.random() < 0.5
        members = {m: pick(VALUES[k]) for m, k in PARTS.items()} | {
            "count": chance.choice(VALUES["integer"]), "label": chance.choice(VALUES["text"]),
            "sold": chance.random() < 0.5,
        }  # fmt: skip
        part = SAMPLE.fields["part"].type
        row["part"] = None if chance.random() < 0.25 else part.dump(Part(**members))
        row["other"] = None if chance.random() < 0.25 else chance.randrange(8)
        row["by_use"] = chance.choice([None, [], ["ann"], ["ann", "bob"]])
        row["state"] = chance.choice(list(SAMPLE.states))
        rows.append(row)
    return rows


PARTS = {"weight": "decimal", "due": "date", "span": "duration", "price": "size"}


async def _fill(connection: Connection) -> None:
    """Rows as a superuser writes them: what they hold matters here, not how it came there."""
    chance = random.Random(SEED)
    await connection.fetch("INSERT INTO avow.clock (fixed) VALUES ($1)", NOW)
    await connection.execute("SET session_replication_role = replica")
    others = [new_id() for _ in range(8)]
    for number, other in enumerate(others):
        state = "stale" if number % 3 == 0 else "fresh"
        values = [
            None if chance.random() < 0.3 else chance.choice(VALUES[k])
            for k in ("integer", "subject", "boolean")
        ]
        await connection.fetch(
            "INSERT INTO conditions.others"
            " (tenant, id, state, version, head, boundary, changed_at, amount, owner, flag)"
            " VALUES ('t', $1, $2, 1, '', '', now(), $3, $4, $5)",
            other, state, *values,
        )  # fmt: skip
    for row in _rows(chance):
        row["other"] = None if row["other"] is None else others[row["other"]]
        await _insert(connection, row)


async def _insert(connection: Connection, row: dict[str, Any]) -> None:
    held = {**row, "part": None if row["part"] is None else json.dumps(row["part"])}
    names = ", ".join(f'"{name}"' for name in held)
    # The driver takes the first and the last day that Python knows for infinite ones.
    held["due"] = None if row["due"] is None else row["due"].isoformat()
    casts = {"due": "::text::date"}
    places = ", ".join(f"${number}{casts.get(name, '')}" for number, name in enumerate(held, start=2))
    await connection.fetch(
        f"INSERT INTO conditions.samples (tenant, id, version, head, boundary, changed_at, {names})"
        f" VALUES ('t', $1, 1, '', '', now(), {places})",
        new_id(), *held.values(),
    )  # fmt: skip


async def _records(connection: Connection) -> dict[Key, Record]:
    """The rows as the server reads them."""
    found: dict[Key, Record] = {}
    for entity, table in ((SAMPLE, "samples"), (OTHER, "others")):
        rows = await connection.fetch(f"SELECT {select_list(entity, 't')} FROM conditions.{table} t")
        for row in rows:
            record = reader(entity).read(row, 0)
            assert record is not None
            found[record.key] = record
    return found
