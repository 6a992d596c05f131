"""What is told of a record comes from the log: with the rules of its time, also where the row is gone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from typing import Annotated, Any

import pytest

from avow import (
    Actor,
    Entity,
    State,
    Subject,
    actor,
    create,
    everybody,
    field,
    given,
    limits,
    read,
    role,
    system,
    transition,
)
from avow.engine.explain import Operator, history, why
from avow.engine.verify import verify
from avow.errors import ProblemError
from avow.model.system import System
from avow.store.pool import connect
from avow.store.reads import ENTRIES_MAX
from avow.store.schema.install import install
from bench.corruptions.hand import UNLOCK
from tests.acting import TENANT, Acting, acting
from tests.fix_database import Database, MakeDatabase

clerk, chief = role("clerk"), role("chief")


def declared(later: bool) -> System:
    """A counter; later its limit is another, only a chief may count, and it has one more field."""

    class Counter(Entity):
        owner: Subject = field(default=actor)
        count: int = field(default=0)
        secret: str = field(default="", read=actor == owner, max_length=9_000)
        if later:
            colour: str = field(default="grey")
        visible = read(by=everybody)
        running, stopped = State(initial=True), State(final=True)
        begin = create(running, by=everybody)
        stop = transition(running, to=stopped, by=everybody)

        @transition(
            running, to=running, by=chief if later else clerk | chief,
            when=count < (9_000 if later else 5_000),
        )  # fmt: skip
        def up(self) -> None:
            self.count += 1

        @transition(running, to=running, by=everybody)
        def whisper(self, text: Annotated[str, limits(max_length=9_000)]) -> None:
            self.secret = text

        @transition(running, to=running, by=everybody)
        def hint(self, text: Annotated[str, limits(max_length=9_000)]) -> None:
            """Keep only the beginning."""
            self.secret = text[:5]

    return system("counting", Counter)


FIRST, LATER = declared(False), declared(True)
OPERATOR = Operator(TENANT)


def seeing(who: str) -> Actor:
    return Actor(Subject(who), TENANT)


@pytest.fixture
async def counting(database: MakeDatabase) -> AsyncIterator[tuple[Database, Acting, Any]]:
    made = database(FIRST)
    connection = await connect(made.admin_url)
    async with acting(made) as act:
        yield made, act, connection
    await connection.close()


async def test_the_rules_are_those_of_the_boundary_that_was_in_force(
    counting: tuple[Database, Acting, Any],
) -> None:
    made, act, connection = counting
    record = await act.do("Counter", "begin", None, {}, "ana")
    await act.do("Counter", "up", record, {}, "carl", "clerk")
    await install(connection, LATER)
    entity = LATER.entities["Counter"]
    found = await why(LATER, act.reads, OPERATOR, entity, record, "count", None)
    assert found is not None
    because = found["because"]
    assert because["allowed_by"]["policy"] == "clerk | chief"
    assert because["allowed_by"]["guard"] == "count < 5000"
    assert because["rested_on"] == [{"read": "count", "value": 0}]
    assert because["boundary"] == {"fingerprint": FIRST.fingerprint.hex(), "current": False, "known": True}
    async with acting(Database(LATER, made.name, made.admin_url, made.application_url)) as later:
        await later.do("Counter", "up", record, {}, "cleo", "chief")
    found = await why(LATER, act.reads, OPERATOR, entity, record, "count", None)
    assert found is not None
    assert found["because"]["allowed_by"]["guard"] == "count < 9000"
    assert found["because"]["boundary"]["current"]


async def test_a_field_that_was_declared_later_is_no_difference(
    counting: tuple[Database, Acting, Any],
) -> None:
    _, act, connection = counting
    await act.do("Counter", "begin", None, {}, "ana")
    await install(connection, LATER)
    assert (await verify(connection, LATER)).findings == []
    await connection.execute("UPDATE counting.counters SET colour = 'green'")
    assert [f.field for f in (await verify(connection, LATER)).findings] == ["colour"]


async def test_a_hidden_field_and_what_may_hold_it_show_to_nobody_else(
    counting: tuple[Database, Acting, Any],
) -> None:
    _, act, _ = counting
    entity = FIRST.entities["Counter"]
    record = await act.do("Counter", "begin", None, {}, "ana")
    await act.do("Counter", "whisper", record, {"text": "the password"}, "ana")
    for found in (
        await why(FIRST, act.reads, seeing("bob"), entity, record, None, None),
        await why(FIRST, act.reads, seeing("bob"), entity, record, "secret", None),
        await history(FIRST, act.reads, seeing("bob"), entity, record, 0, 50),
    ):
        assert found is not None
        assert "the password" not in str(found)
    own = await why(FIRST, act.reads, seeing("ana"), entity, record, "secret", None)
    assert own is not None
    assert own["value"] == "the password"
    assert own["because"]["input"] == {"text": "the password"}


async def test_another_tenants_record_is_not_there(counting: tuple[Database, Acting, Any]) -> None:
    _, act, _ = counting
    entity = FIRST.entities["Counter"]
    record = await act.do("Counter", "begin", None, {}, "ana")
    for reader in (Operator("other"), Actor(Subject("ana"), "other")):
        assert await why(FIRST, act.reads, reader, entity, record, None, None) is None
        assert await history(FIRST, act.reads, reader, entity, record, 0, 50) is None


async def test_of_a_row_that_is_gone_an_operator_still_learns_the_history(
    counting: tuple[Database, Acting, Any],
) -> None:
    _, act, connection = counting
    entity = FIRST.entities["Counter"]
    record = await act.do("Counter", "begin", None, {}, "ana")
    await connection.execute("DELETE FROM counting.counters")
    found = await why(FIRST, act.reads, OPERATOR, entity, record, None, None)
    assert found is not None
    assert found["because"]["transition"] == "begin"
    assert await why(FIRST, act.reads, seeing("ana"), entity, record, None, None) is None


DAMAGES = {
    "no JSON": "'{'",
    "no UTF-8": r"'\xff'::bytea",
    "nested too deeply": "repeat('[', 5000)",
    "no object": "'[]'",
    "roles that are no list": 'replace(header, \'"roles":[\', \'"roles":{},"r":[\')',
    "a role that is no text": "replace(header, '\"roles\":[', '\"roles\":[3')",
    "a cause of no version": """replace(header, '"cause":null',
        '"cause":{"kind":"Counter","id":"00000000-0000-0000-0000-000000000000","ver":1180591620717411303424}')""",
    "a subject that is no text": 'replace(header, \'"subject":"ana"\', \'"subject":7\')',
    "long values that are none": """replace(header, '"changes_sha256":{', '"changes_sha256":[1],"z":{')""",
    "a hash that is no text": """replace(header, '_sha256":{"secret":', '_sha256":{"secret":[1],"z":')""",
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_an_entry_that_was_damaged_by_hand_is_named_and_breaks_nothing(
    counting: tuple[Database, Acting, Any], damage: str
) -> None:
    _, act, connection = counting
    entity = FIRST.entities["Counter"]
    record = await act.do("Counter", "begin", None, {}, "ana")
    await act.do("Counter", "whisper", record, {"text": "long " * 1_000}, "ana")
    written = DAMAGES[damage].replace("header", "read.header")
    bytes_ = written if "bytea" in written else f"convert_to({written}, 'UTF8')"
    await connection.execute(UNLOCK)
    await connection.execute(
        f"UPDATE avow.audit a SET header = {bytes_} FROM"
        " (SELECT entry, convert_from(header, 'UTF8') AS header FROM avow.audit) AS read"
        " WHERE a.version = 2 AND read.entry = a.entry"
    )
    for ask in (
        why(FIRST, act.reads, OPERATOR, entity, record, None, None),
        why(FIRST, act.reads, seeing("ana"), entity, record, "secret", None),
        history(FIRST, act.reads, OPERATOR, entity, record, 0, 50),
    ):
        with pytest.raises(ProblemError, match="Version 2 of its history can't be read"):
            await ask
    assert (await verify(connection, FIRST)).found


async def test_an_entry_that_names_no_boundary_is_told_without_rules(
    counting: tuple[Database, Acting, Any],
) -> None:
    _, act, connection = counting
    record = await act.do("Counter", "begin", None, {}, "ana")
    await connection.execute(UNLOCK)
    await connection.execute(
        "UPDATE avow.audit SET header = convert_to(regexp_replace("
        "convert_from(header, 'UTF8'), '\"boundary\":\"[0-9a-f]+', '\"boundary\":\"none'), 'UTF8')"
    )
    found = await why(FIRST, act.reads, OPERATOR, FIRST.entities["Counter"], record, None, None)
    assert found is not None
    assert found["because"]["boundary"] == {"fingerprint": "none", "current": False, "known": False}
    assert found["because"]["entry"]["intact"] is False


async def test_a_long_argument_that_became_no_field_is_told_in_full(
    counting: tuple[Database, Acting, Any],
) -> None:
    _, act, _ = counting
    record, text = await act.do("Counter", "begin", None, {}, "ana"), "long " * 1_000
    await act.do("Counter", "hint", record, {"text": text}, "ana")
    told = await why(FIRST, act.reads, OPERATOR, FIRST.entities["Counter"], record, "secret", None)
    assert told is not None
    assert (told["value"], told["because"]["input"]) == ("long ", {"text": text})


async def test_only_the_long_values_that_are_told_are_fetched(
    counting: tuple[Database, Acting, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that was given many of them would else take the memory of all, to tell of one."""
    _, act, _ = counting
    entity, fetched, ask = FIRST.entities["Counter"], list[int](), act.reads.payloads

    async def counted(tenant: str, wanted: Collection[bytes]) -> dict[str, bytes]:
        fetched.append(len(wanted))
        return await ask(tenant, wanted)

    monkeypatch.setattr(act.reads, "payloads", counted)
    record = await act.do("Counter", "begin", None, {}, "ana")
    for number in range(20):
        await act.do("Counter", "whisper", record, {"text": f"{number} " * 3_000}, "ana")
    items = await history(FIRST, act.reads, OPERATOR, entity, record, 20, 1)
    assert items is not None
    assert items[0]["changes"]["secret"] == {"old": "18 " * 3_000, "new": "19 " * 3_000}
    told = await why(FIRST, act.reads, OPERATOR, entity, record, "secret", None)
    assert told is not None
    assert (told["value"], told["because"]["input"]) == ("19 " * 3_000, {"text": "19 " * 3_000})
    assert fetched == [2, 2]


async def test_a_long_history_is_searched_backwards_and_told_in_pages(
    counting: tuple[Database, Acting, Any],
) -> None:
    """The value that was set first of all is found behind more entries than one read gives."""
    _, act, connection = counting
    entity = FIRST.entities["Counter"]
    record = await act.do("Counter", "begin", None, {}, "ana")
    await act.do("Counter", "whisper", record, {"text": "first"}, "ana")
    for _ in range(ENTRIES_MAX + 50):
        await act.do("Counter", "up", record, {}, "carl", "clerk")
    found = await why(FIRST, act.reads, OPERATOR, entity, record, "secret", None)
    assert found is not None
    assert (found["value"], found["because"]["version"]) == ("first", 2)
    assert found["version"] == ENTRIES_MAX + 52
    versions, after = list[int](), 0
    while items := await history(FIRST, act.reads, OPERATOR, entity, record, after, 400):
        versions += [item["version"] for item in items]
        assert items[-1]["changes"]["count"]["old"] + 1 == items[-1]["changes"]["count"]["new"]
        after = versions[-1]
    assert versions == list(range(1, ENTRIES_MAX + 53))
    await connection.execute("UPDATE counting.counters SET version = 1000000")
    edited = await why(FIRST, act.reads, OPERATOR, entity, record, "count", None)
    assert edited is not None
    assert edited["because"]["version"] == ENTRIES_MAX + 52


@dataclass(frozen=True)
class Box:
    """What is handed in."""

    grams: int
    label: Annotated[str, limits(max_length=9_000)] = ""


class Shelf(Entity):
    """A shelf that bears so much."""

    bears: int = field()
    top: Box | None = field()
    visible = read(by=everybody)
    kept, sold = State(initial=True), State(final=True)
    build = create(kept, by=everybody, sets=[bears])
    sell = transition(kept, to=sold, by=everybody)
    lay = transition(kept, to=kept, by=everybody, sets=[top], when=given.top.grams <= bears)


@pytest.mark.parametrize("label", ["small", "l" * 5_000])
async def test_of_an_argument_it_is_told_which_member_a_rule_read(database: MakeDatabase, label: str) -> None:
    """Also where the argument is so long that the entry names it by its hash."""
    shelves = system("shelves", Shelf)
    async with acting(database(shelves)) as act:
        shelf = await act.do("Shelf", "build", None, {"bears": 9}, "ana")
        await act.do("Shelf", "lay", shelf, {"top": Box(7, label)}, "ana")
        found = await why(shelves, act.reads, OPERATOR, shelves.entities["Shelf"], shelf, "top", None)
        assert found is not None
        assert found["because"]["allowed_by"]["guard"] == "given.top.grams <= bears"
        read = [{"read": "given.top.grams", "value": 7}, {"read": "bears", "value": 9}]
        assert found["because"]["rested_on"] == read
