"""Who has the application's login and nothing else writes only declared, well-linked, truthful entries.

Each case calls avow.commit by hand, as somebody would who has stolen the login. A case that is refused leaves
no row, no entry, no answer and no long value behind.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from avow import canonical
from avow.engine.identifier import new_id
from avow.model.types import instant
from avow.store import driver
from avow.store.driver import Connection
from avow.store.pool import connect
from tests.acting import TENANT, acting
from tests.fix_database import Database, MakeDatabase
from tests.store.theatre import theatre

COMMIT = (
    "SELECT avow.commit($1, ARRAY[$2::uuid], ARRAY['f'::bytea], ARRAY[200]::smallint[], ARRAY['{}'::bytea],"
    " ARRAY['Hall'], ARRAY[NULL]::uuid[], ARRAY[NULL]::bigint[], ARRAY[NULL]::jsonb[], '{}', '{}', '{}',"
    " '{}',"
    " '{}', array_fill(1, ARRAY[cardinality($3::bytea[])]), $3,"
    " array_fill(1, ARRAY[cardinality($4::bytea[])]), $4, '{}', '{}', '{}', true)"
)
COUNTED = (
    "theatre.halls",
    "theatre.tickets",
    "theatre.bookings",
    "avow.audit",
    "avow.payload",
    "avow.idempotency",
)
Header = dict[str, Any]


class Thief:
    """The application's login in other hands, and one hall at version 1 to forge on."""

    def __init__(self, made: Database, stolen: Connection, admin: Connection, hall: UUID) -> None:
        self.made, self.stolen, self.admin, self.hall = made, stolen, admin, hall
        self.prev = ""

    def creation(self, kind: str = "Hall", **changes: Any) -> Header:
        """A header that would be accepted: a new record."""
        plain = {"name": "Old", "plan": "", "places": 3, "load": 9, "sold": 0}
        start = {"Hall": ("found", "opened"), "Booking": ("ask", "asked")}[kind]
        given = {**(plain if kind == "Hall" else {}), **changes}
        return self._header(kind, str(new_id()), 1, "0" * 64, start[0], None, start[1], given)

    def change(self, **changes: Any) -> Header:
        """A header that would be accepted: the hall renamed."""
        return self._header("Hall", str(self.hall), 2, self.prev, "rename", "opened", "opened", changes)

    def _header(
        self, kind: str, record: str, version: int, prev: str, name: str, source: str | None, target: str,
        changes: dict[str, Any],
    ) -> Header:  # fmt: skip
        return {
            "v": 1, "app": "theatre", "tenant": TENANT, "kind": kind, "id": record, "ver": version,
            "prev": prev, "transition": name, "from": source, "to": target, "changes": changes, "input": {},
            "actor": {"subject": "eve", "roles": [], "credential": ""}, "command": str(new_id()),
            "cause": None, "reads": [], "request": "r", "boundary": theatre.fingerprint.hex(),
            "at": instant(datetime.now(UTC)),
        }  # fmt: skip

    async def commit(
        self, *headers: bytes | Header, payloads: tuple[bytes, ...] = (), tenant: str = TENANT
    ) -> str:
        """Call avow.commit with a fresh key; gives back the outcome."""
        made = [h if isinstance(h, bytes) else canonical.encode_trusted(h) for h in headers]
        (outcome,) = await self.stolen.fetchval(COMMIT, tenant, new_id(), made, list(payloads))
        return outcome

    async def counts(self) -> list[int]:
        """How much there is of everything that can be written."""
        return [await self.admin.fetchval(f"SELECT count(*) FROM {table}") for table in COUNTED]

    async def demand_refused(self, *headers: bytes | Header, **how: Any) -> str:
        """The commit is refused with an error, and nothing is left; gives back its SQLSTATE."""
        before = await self.counts()
        with pytest.raises(driver.DatabaseError) as refused:
            await self.commit(*headers, **how)
        assert await self.counts() == before
        return refused.value.sqlstate  # type: ignore[attr-defined]


@pytest.fixture
async def thief(database: MakeDatabase) -> AsyncIterator[Thief]:
    made = database(theatre)
    async with acting(made) as honest:
        hall = await honest.do("Hall", "found", None, {"name": "A", "places": 3, "load": 9}, "ann")
    stolen, admin = await connect(made.application_url), await connect(made.admin_url)
    one = Thief(made, stolen, admin, hall)
    one.prev = await admin.fetchval("SELECT encode(head, 'hex') FROM theatre.halls")
    yield one
    await stolen.close()
    await admin.close()


async def test_a_header_as_the_engine_makes_it_is_accepted(thief: Thief) -> None:
    """Else the refusals below would prove nothing."""
    assert await thief.commit(thief.creation()) == "done"
    assert await thief.commit(thief.change(name="B")) == "done"
    booking = thief.creation("Booking", price={"amount": "1.50", "currency": "EUR"}, first_day="2026-01-01")
    assert await thief.commit(booking) == "done"


def edited(**members: Any) -> Callable[[Thief], Header]:
    return lambda thief: {**thief.change(name="B"), **members}


def created(kind: str = "Hall", **changes: Any) -> Callable[[Thief], Header]:
    return lambda thief: thief.creation(kind, **changes)


OLD = instant(datetime.now(UTC) - timedelta(seconds=90))
AHEAD = instant(datetime.now(UTC) + timedelta(hours=1))

FORGED: dict[str, Callable[[Thief], Header]] = {
    "a transition that is not declared": edited(transition="burn"),
    "a transition from another state": edited(**{"from": "closed"}),
    "a transition to another state": edited(to="closed"),
    "a creation instead of a change": edited(**{"from": None}),
    "no state before": edited(**{"from": ""}),
    "a broken link": edited(prev="ab" * 32),
    "a version too many": edited(ver=3),
    "the same version again": edited(ver=1),
    "a version as text": edited(ver="2"),
    "a version that is no whole number": edited(ver=2.5),
    "another tenant": edited(tenant="other"),
    "another application": edited(app="enrollment"),
    "another format": edited(v=2),
    "an unknown boundary": edited(boundary="00" * 32),
    "a boundary in capitals": lambda t: {**t.change(), "boundary": theatre.fingerprint.hex().upper()},
    "a decision of long ago": edited(at=OLD),
    "a decision of the future": edited(at=AHEAD),
    "a time in another form": lambda t: {**t.change(), "at": t.change()["at"].replace("Z", "+00:00")},
    "a time that is a word": edited(at="now"),
    "another record": lambda t: {**t.change(), "id": str(new_id())},
    "another kind": edited(kind="Ticket"),
    "an unknown kind": edited(kind="Pit"),
    "an id in capitals": lambda t: {**t.change(), "id": str(t.hall).upper()},
    "no actor": lambda t: {k: v for k, v in t.change().items() if k != "actor"},
    "changes that are a list": edited(changes=["name"]),
    "an undeclared field": edited(changes={"name": "B", "owner": "eve"}),
    "a column that is no field": edited(changes={"version": 9}),
    "a field in another type": edited(changes={"places": "5"}),
    "a field out of its bounds": edited(changes={"places": -1}),
    "a number of more than 53 bits": edited(changes={"places": 2**60}),
    "a number with a fraction": edited(changes={"places": 1.5}),
    "no value where one must be": edited(changes={"places": None}),
    "a broken invariant": edited(changes={"sold": 10**9}),
    "a text that is too long": edited(changes={"name": "x" * 20_001}),
    "a text with a NUL": edited(changes={"name": "a\x00b"}),
    "a text that is a number": edited(changes={"name": 5}),
    "who performed what nobody tracks": edited(performers={"rename": ["ann"]}),
    "a creation over an existing record": lambda t: {**t.creation(), "id": str(t.hall)},
    "a creation at version 2": lambda t: {**t.creation(), "ver": 2},
    "a creation with a predecessor": lambda t: {**t.creation(), "prev": "ab" * 32},
    "a long value that nobody has": edited(changes_sha256={"name": "ab" * 32}, changes={}),
    "an argument that nobody has": edited(input_sha256={"name": "ab" * 32}),
    "a hash that is none": edited(changes_sha256={"name": "xyz"}, changes={}),
    "a decimal that would be rounded": created("Booking", rate="1.234"),
    "a decimal in another form": created("Booking", rate="1.5"),
    "a decimal that is no number": created("Booking", rate="NaN"),
    "another currency": created("Booking", price={"amount": "1.00", "currency": "USD"}),
    "money without a currency": created("Booking", price={"amount": "1.00"}),
    "a day that is a word": created("Booking", first_day="today"),
    "a day without end": created("Booking", first_day="infinity"),
    "an instant that is a word": created("Booking", begins="now"),
    "an instant in another zone": created("Booking", begins="2026-01-01T01:00:00.000000+01:00"),
    "an instant that would be rounded": created("Booking", begins="2026-01-01T01:00:00.0000004Z"),
    "an id in another form": created("Booking", room="{019abc00-0000-7000-8000-000000000000}"),
    "a span that ends before it starts": created("Booking", low=5, high=1),
}  # fmt: skip


GARBAGE = [b"", b"\xff\xfe", b"null", b"[]", b"1", b"{", b"{}", b'{"tenant":"main"}', b'"x"' * 100]


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside an honest one"])
async def test_a_forged_entry_is_refused_and_leaves_nothing(thief: Thief, beside: bool) -> None:
    """One alone is judged by other statements than one of many, and by the same rules."""
    taken = list[str]()
    for what, forge in FORGED.items():
        before = await thief.counts()
        try:
            await thief.commit(forge(thief), *([thief.creation()] if beside else []))
            taken.append(what)
        except driver.DatabaseError:
            assert await thief.counts() == before, what
    assert taken == []


async def test_bytes_that_are_no_entry_are_refused(thief: Thief) -> None:
    for garbage in GARBAGE:
        await thief.demand_refused(garbage)
        await thief.demand_refused(garbage, thief.creation())


async def test_an_entry_at_an_odd_place_of_its_array_is_refused(thief: Thief) -> None:
    """An array may begin at any number, and one alone is looked for at 1."""
    before, header = await thief.counts(), canonical.encode_trusted(thief.change(name="B"))
    sql = COMMIT.replace("$3, array", f"'[0:0]={{\"\\\\x{header.hex()}\"}}'::bytea[], array")
    with pytest.raises(driver.DatabaseError):
        await thief.stolen.fetchval(sql, TENANT, new_id(), [header], [])
    assert await thief.counts() == before


async def test_an_entry_of_more_than_65535_bytes_is_refused(thief: Thief) -> None:
    """A transparency log couldn't carry it."""
    header = {**thief.change(name="B"), "request": "r" * 65_535}
    assert await thief.demand_refused(header) == "AV002"


async def test_one_forged_entry_takes_the_honest_ones_of_its_commit_with_it(thief: Thief) -> None:
    await thief.demand_refused(thief.creation(), {**thief.change(), "to": "closed"})


async def test_a_long_value_that_no_entry_names_is_refused(thief: Thief) -> None:
    """Nobody fills the database with what no entry speaks of."""
    assert await thief.demand_refused(thief.creation(), payloads=(b'"loot"',)) == "AV002"


async def test_a_long_value_that_is_no_json_is_refused(thief: Thief) -> None:
    garbage = b"\xff\x00loot"
    header = {**thief.change(), "changes_sha256": {"name": canonical.digest(garbage).hex()}}
    await thief.demand_refused(header, payloads=(garbage,))


async def test_a_commit_for_another_tenant_reaches_no_record_of_this_one(thief: Thief) -> None:
    header = {**thief.change(name="B"), "tenant": "other"}
    assert await thief.demand_refused(header, tenant="other") == "AV003"


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
async def test_a_commit_on_an_older_snapshot_is_refused(thief: Thief, level: str) -> None:
    """It wouldn't see what others have sold meanwhile."""
    async with thief.stolen.transaction(isolation=level.replace(" ", "_")):
        with pytest.raises(driver.DatabaseError, match="READ COMMITTED"):
            async with thief.stolen.transaction():
                await thief.commit(thief.creation())


SETTINGS = {
    "search_path": "pg_temp, public", "standard_conforming_strings": "off",
    "timezone": "Asia/Kathmandu", "datestyle": "German, DMY", "intervalstyle": "sql_standard",
    "bytea_output": "escape", "avow.scope": "all", "avow.tenant": "other", "transform_null_equals": "on",
}  # fmt: skip


async def test_no_setting_of_a_session_changes_what_a_commit_does(thief: Thief) -> None:
    for setting, value in SETTINGS.items():
        await thief.stolen.execute(f"SELECT set_config('{setting}', '{value}', false)")
        try:
            await _demand_unchanged(thief)
        finally:
            await thief.stolen.execute(f"RESET {setting}")
    await thief.stolen.execute("SET row_security = off")
    await thief.demand_refused(thief.creation())


async def _demand_unchanged(thief: Thief) -> None:
    day = {"first_day": "2026-02-03", "begins": "2026-02-03T04:05:06.000000Z", "rate": "1.50"}
    forged = {**thief.change(name="B"), "tenant": "other"}
    await thief.demand_refused(forged, tenant="other")
    booking = thief.creation("Booking", **day)
    assert await thief.commit(booking) == "done"
    stored = await thief.admin.fetchrow(
        "SELECT first_day::text, rate::text, head = a.hash AS linked, a.hash, a.header"
        " FROM theatre.bookings b JOIN avow.audit a ON a.id = b.id WHERE b.id = $1", UUID(booking["id"]),
    )  # fmt: skip
    assert (stored["first_day"], stored["rate"], stored["linked"]) == ("2026-02-03", "1.50", True)
    assert stored["hash"] == canonical.leaf_hash(stored["header"])
    assert json.loads(stored["header"])["changes"] == day
