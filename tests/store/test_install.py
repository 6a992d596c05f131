"""The tables follow the declaration: what can be added is added under running servers, else it is refused."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from avow import (
    Entity,
    State,
    Subject,
    actor,
    authenticated,
    create,
    field,
    invariant,
    performed,
    quota,
    read,
    ref,
    system,
    transition,
    unique,
)  # fmt: skip
from avow.engine.execute import Engine
from avow.errors import EnvironmentFault
from avow.model.system import System
from avow.store.driver import Connection
from avow.store.pool import Pool, connect
from avow.store.reads import Listing, Reads
from avow.store.schema.install import create_database, install, login
from avow.store.schema.rights import demand_application_rights, demand_boundary
from avow.store.server.cluster import Cluster
from tests.fix_database import with_login
from tests.store.company import engine, request, tally

Declare = Callable[[], System]


def first() -> System:
    """What is installed first."""

    class Desk(Entity):
        name: str = field(max_length=20)
        size: int = field(default=1)
        note: str | None = field()
        seen = read(by=authenticated)
        open, shut = State(initial=True), State()
        gone = State(final=True)
        make = create(open, by=authenticated, sets=[name, size])
        close = transition(open, to=shut, by=authenticated)
        drop = transition([open, shut], to=gone, by=authenticated)

    return system("office", Desk)


def grown() -> System:
    """Everything that may be added."""

    class Desk(Entity):
        name: str = field(max_length=10)
        size: int = field(default=1, le=100)
        note: str | None = field(max_length=40)
        colour: str = field(default="grey", max_length=10)
        tags: list[str] = field(default=("new",))
        owner: Subject | None = field(default=actor)
        spare: int | None = field()
        seen = read(by=authenticated)
        small = invariant(size * 2 <= 200, "Small.")
        one_name = unique(name)
        open, shut, moved = State(initial=True), State(), State()
        gone = State(final=True)
        make = create(open, by=authenticated, sets=[name, size])
        close = transition(open, to=shut, by=authenticated)
        move = transition(open, to=moved, by=authenticated & ~performed(close))
        drop = transition([open, shut, moved], to=gone, by=authenticated)

    class Lamp(Entity):
        desk: Desk = ref()
        seen = read(by=authenticated)
        on = State(initial=True, final=True)
        few = quota(desk, among=[on], limit=desk.size)
        plug = create(on, by=authenticated, sets=[desk])

    return system("office", Desk, Lamp)


def desk(types: dict[str, Any] | None = None, without: str = "", **changed: Any) -> System:
    """The first declaration with one thing changed."""
    name, size, open_, shut = field(max_length=20), field(default=1), State(initial=True), State()
    body: dict[str, Any] = {
        "name": name, "size": size, "note": field(), "seen": read(by=authenticated),
        "open": open_, "shut": shut, "gone": (gone := State(final=True)),
        "make": create(open_, by=authenticated, sets=[name, size]),
        "close": transition(open_, to=shut, by=authenticated),
        "drop": transition([open_, shut], to=gone, by=authenticated),
        **changed,
    }  # fmt: skip
    if "name" in changed or "size" in changed:
        body["make"] = create(open_, by=authenticated, sets=[body["name"], body["size"]])
    notes: dict[str, Any] = {"name": str, "size": int, "note": str | None, **(types or {})}
    for held in (body, notes):
        held.pop(without, None)
    return system("office", type("Desk", (Entity,), {**body, "__annotations__": notes}))


def without_shut() -> System:
    """A state is gone."""

    class Desk(Entity):
        name: str = field(max_length=20)
        size: int = field(default=1)
        note: str | None = field()
        seen = read(by=authenticated)
        open = State(initial=True)
        gone = State(final=True)
        make = create(open, by=authenticated, sets=[name, size])
        drop = transition(open, to=gone, by=authenticated)

    return system("office", Desk)


def renamed() -> System:
    """The entity is gone."""

    class Table(Entity):
        seen = read(by=authenticated)
        open = State(initial=True, final=True)
        make = create(open, by=authenticated)

    return system("office", Table)


def narrow() -> System:
    """A rule that the record of these tests breaks."""
    size = field(default=1)
    return desk(size=size, narrow=invariant(size != 7, "Never seven."))


REFUSED: dict[str, tuple[Declare, str]] = {
    "a removed entity": (renamed, "Desk is declared no longer"),
    "a removed field": (lambda: desk(without="note"), "Desk.note is declared no longer"),
    "a retyped field": (lambda: desk({"note": int | None}), "Desk.note has another type"),
    "a state that records are in": (without_shut, "1 record is in Desk.shut"),
    "a value that becomes needed": (
        lambda: desk({"note": str}, note=field(default="")), "existing records break Desk.note",
    ),
    "a bound that a record breaks": (
        lambda: desk(name=field(max_length=2)), "existing records break Desk.name",
    ),
    "an invariant that a record breaks": (narrow, "existing records break Desk.narrow"),
    "a new field that needs a value": (
        lambda: desk({"who": Subject}, who=field(default=actor)), "Desk.who is new, and existing records",
    ),
    "another word for many": (lambda: desk_called("desklets"), "Desk is now called desklets"),
}  # fmt: skip


def desk_called(plural: str) -> System:
    class Desk(Entity, plural=plural):
        name: str = field(max_length=20)
        size: int = field(default=1)
        note: str | None = field()
        seen = read(by=authenticated)
        open = State(initial=True, final=True)
        make = create(open, by=authenticated, sets=[name, size])

    return system("office", Desk)


@pytest.fixture
async def place(cluster: Cluster) -> AsyncIterator[str]:
    """The superuser's address of an empty database."""
    name = f"install_{secrets.token_hex(4)}"
    server = await connect(cluster.url())
    await create_database(server, name)
    yield cluster.url(name)
    await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await server.close()


async def installed(url: str, declared: System) -> bool:
    connection = await connect(url)
    try:
        return await install(connection, declared)
    finally:
        await connection.close()


async def serving(url: str, declared: System) -> str:
    """The address of a login that may serve."""
    connection = await connect(url)
    try:
        await login(connection, declared, "office_test", "of a test")
    finally:
        await connection.close()
    return with_login(url, "office_test", "of a test")


async def catalog(url: str) -> list[Any]:
    """Everything that an installation makes: columns, constraints, functions, boundaries."""
    connection = await connect(url)
    try:
        found = [
            await connection.fetch(
                "SELECT attrelid::regclass::text, attname, atttypid::regtype::text, attnotnull"
                " FROM pg_attribute WHERE attrelid::regclass::text ~ '^(office|avow)[.]'"
                " AND attnum > 0 AND NOT attisdropped ORDER BY 1, 2"
            ),
            await connection.fetch(
                "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint ORDER BY 1, 2"
            ),
            await connection.fetch("SELECT indexdef FROM pg_indexes WHERE schemaname = 'office' ORDER BY 1"),
            await connection.fetch(
                "SELECT proname, md5(prosrc) FROM pg_proc"
                " WHERE pronamespace = 'avow'::regnamespace ORDER BY 1"
            ),
            await connection.fetch("SELECT fingerprint FROM avow.boundary ORDER BY in_force_since"),
        ]
        return [[tuple(row) for row in rows] for rows in found]
    finally:
        await connection.close()


async def test_a_second_installation_changes_nothing(place: str) -> None:
    assert await installed(place, first()) is True
    before = await catalog(place)
    assert await installed(place, first()) is False
    assert await catalog(place) == before


async def test_installations_at_once_wait_for_each_other(place: str) -> None:
    declared = first()
    assert sorted(await asyncio.gather(*(installed(place, declared) for _ in range(4)))) == [False] * 3 + [
        True
    ]


async def test_a_database_that_can_not_keep_every_text_is_refused(cluster: Cluster) -> None:
    server, name = await connect(cluster.url()), f"latin_{secrets.token_hex(4)}"
    locale = "ENCODING 'LATIN1' LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    await server.execute(f'CREATE DATABASE "{name}" {locale}')
    with pytest.raises(EnvironmentFault) as caught:
        await installed(cluster.url(name), first())
    assert caught.value.code == "database-encoding"
    await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await server.close()


async def test_two_databases_of_one_application_are_made_at_once(cluster: Cluster) -> None:
    """Their roles belong to the whole server: each finds those that the other makes in the same moment."""
    name = f"twin_{secrets.token_hex(4)}"

    class Thing(Entity):
        seen = read(by=authenticated)
        open = State(initial=True, final=True)
        make = create(open, by=authenticated)

    declared = system(name, Thing)
    server = await connect(cluster.url())
    places = [f"{name}_{n}" for n in range(3)]
    for place in places:
        await create_database(server, place)
    assert await asyncio.gather(*(installed(cluster.url(place), declared) for place in places)) == [True] * 3
    for place in places:
        await server.execute(f'DROP DATABASE "{place}" WITH (FORCE)')
    await server.close()


@pytest.mark.parametrize("what", REFUSED)
async def test_what_could_lose_data_is_refused_and_changes_nothing(place: str, what: str) -> None:
    declare, said = REFUSED[what]
    await installed(place, first())
    async with engine(first(), await serving(place, first())) as one:
        made = await one.execute(request("Desk", "make", None, {"name": "Alba", "size": 7}))
        await one.execute(request("Desk", "close", made.record, {}))
    before = await catalog(place)
    with pytest.raises(EnvironmentFault) as fault:
        await installed(place, declare())
    assert said in fault.value.detail
    assert (fault.value.code, fault.value.mend[-1]) == ("change-refused", ".")
    assert await catalog(place) == before


async def test_a_quota_that_records_exceed_already_is_refused(place: str) -> None:
    def lamps(limit: int) -> System:
        class Desk(Entity):
            size: int = field(default=1)
            seen = read(by=authenticated)
            open = State(initial=True, final=True)
            make = create(open, by=authenticated)

        class Lamp(Entity):
            desk: Desk = ref()
            seen = read(by=authenticated)
            on = State(initial=True, final=True)
            plug = create(on, by=authenticated, sets=[desk])
            few = quota(desk, among=[on], limit=desk.size * limit)

        return system("office", Desk, Lamp)

    await installed(place, lamps(3))
    async with engine(lamps(3), await serving(place, lamps(3))) as one:
        made = await one.execute(request("Desk", "make", None, {}))
        told = [await one.execute(request("Lamp", "plug", None, {"desk": made.record})) for _ in range(4)]
        assert tally(told) == {"done": 3, "invariant-violated Lamp.few": 1}
    assert await installed(place, lamps(4)) is True
    with pytest.raises(EnvironmentFault, match=r"existing records break Lamp\.few"):
        await installed(place, lamps(2))


async def test_servers_of_the_old_declaration_go_on_working_on_their_old_connections(place: str) -> None:
    """Every statement that they have prepared still runs, and what they create fits the new tables."""
    old, new = first(), grown()
    await installed(place, old)
    url = await serving(place, old)
    pool = Pool(url, 1)
    running, reads = Engine(old, pool, lambda problem, _: problem.code.encode()), Reads(old, pool)
    made = await running.execute(request("Desk", "make", None, {"name": "A"}))
    page = Listing({}, None, None, 10)
    actor_of = request("Desk", "make", None, {}).actor
    await reads.page(old.entities["Desk"], actor_of, page)
    assert await installed(place, new) is True

    assert (await running.execute(request("Desk", "close", made.record, {}))).status == 200
    later = await running.execute(request("Desk", "make", None, {"name": "B"}))
    assert later.status == 201
    assert len((await reads.page(old.entities["Desk"], actor_of, page)).records) == 2
    same = await running.execute(request("Desk", "make", None, {"name": "B"}))
    assert same.body == b"unique-violated"  # a rule that it doesn't know
    async with engine(new, url) as fresh:
        lamp = await fresh.execute(request("Lamp", "plug", None, {"desk": later.record}))
        assert lamp.status == 201
        moved = await fresh.execute(request("Desk", "move", later.record, {}))
        assert b'"colour":"grey"' in moved.body
        assert b'"tags":["new"]' in moved.body
    await pool.close()


async def test_a_server_of_the_old_declaration_refuses_what_has_to_be_given_by_now(place: str) -> None:
    """A value that may be missing in its declaration, and in the newer one may not."""

    def lamps(kind: Any) -> System:
        colour, on = field(max_length=10), State(initial=True, final=True)
        body: dict[str, Any] = {
            "colour": colour, "seen": read(by=authenticated), "on": on,
            "plug": create(on, by=authenticated, sets=[colour]),
        }  # fmt: skip
        return system("office", type("Lamp", (Entity,), {**body, "__annotations__": {"colour": kind}}))

    await installed(place, lamps(str | None))
    async with engine(lamps(str | None), await serving(place, lamps(str | None))) as old:
        assert await installed(place, lamps(str)) is True
        assert (await old.execute(request("Lamp", "plug", None, {"colour": "red"}))).status == 201
        refused = await old.execute(request("Lamp", "plug", None, {}, key="once"))
        assert refused.body.startswith(b"invariant-violated")
        again = await old.execute(request("Lamp", "plug", None, {}, key="once"))
        assert (again.replayed, again.body) == (True, refused.body)


async def test_new_functions_of_avow_itself_are_made_under_the_same_declaration(place: str) -> None:
    """An update of Avow changes its functions, and no boundary."""
    await installed(place, first())
    connection = await connect(place)
    await connection.execute("COMMENT ON SCHEMA avow IS 'of an older Avow'; DROP FUNCTION avow.lock_records")
    assert await install(connection, first()) is True
    assert await connection.fetchval("SELECT to_regproc('avow.lock_records') IS NOT NULL")
    assert await connection.fetchval("SELECT count(*) FROM avow.boundary") == 1
    await connection.close()


async def test_a_table_that_is_held_for_long_is_not_waited_for_without_end(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change that waits makes everybody else wait behind it."""
    monkeypatch.setattr("avow.store.schema.install.LOCK_WAIT_MS", 100)
    await installed(place, first())
    holder = await connect(place)
    await holder.execute("BEGIN; LOCK TABLE office.desks IN ACCESS SHARE MODE")
    before = await catalog(place)
    with pytest.raises(EnvironmentFault) as fault:
        await installed(place, grown())
    await holder.close()
    assert fault.value.code == "tables-busy"
    assert await catalog(place) == before


@pytest.mark.parametrize(
    ("setting", "code"),
    [
        ("default_transaction_read_only=on", "database-read-only"),
        ("connect_timeout=10", "database-refused"),
        ("statement_timeout=soon", "database-refused"),
    ],
)
async def test_a_setting_in_the_address_that_does_not_do_is_named(
    place: str, setting: str, code: str
) -> None:
    """Some that other clients take are none of the server's; and a standby takes no writes."""
    with pytest.raises(EnvironmentFault) as fault:
        await installed(f"{place}?{setting}", first())
    assert fault.value.code == code
    assert setting.partition("=")[0] in f"{fault.value.detail} {fault.value.mend}"


async def test_an_owner_that_is_no_superuser_needs_createrole_and_the_database(
    cluster: Cluster, place: str
) -> None:
    """As docs/how-to/external-database.md says; without CREATEROLE it is told so, and nothing is made."""
    name, owner = place.rpartition("/")[2], f"owner_{secrets.token_hex(4)}"

    class Thing(Entity):
        seen = read(by=authenticated)
        open = State(initial=True, final=True)
        make = create(open, by=authenticated)

    declared = system(f"own_{owner}", Thing)
    server = await connect(cluster.url())
    await server.execute(f"CREATE ROLE {owner} LOGIN PASSWORD 'of a test'")
    await server.execute(f'ALTER DATABASE "{name}" OWNER TO {owner}')
    url = with_login(place, owner, "of a test")
    with pytest.raises(EnvironmentFault, match="permission denied to create role") as fault:
        await installed(url, declared)
    assert fault.value.code == "rights-missing"
    await server.execute(f"ALTER ROLE {owner} CREATEROLE")
    assert await installed(url, declared) is True
    assert await installed(url, declared) is False
    connection = await connect(url)
    await login(connection, declared, f"{owner}_app", "of a test")
    await connection.close()
    served = with_login(place, f"{owner}_app", "of a test")
    connection = await connect(served)
    await demand_application_rights(connection, declared)
    await demand_boundary(connection, declared)
    await connection.close()
    async with engine(declared, served) as one:
        assert (await one.execute(request("Thing", "make", None, {}))).status == 201
    await server.close()


async def test_a_declaration_that_the_tables_were_not_made_for_is_refused(place: str) -> None:
    await installed(place, first())
    connection: Connection = await connect(place)
    await demand_boundary(connection, first())
    with pytest.raises(EnvironmentFault, match="another version of the declaration"):
        await demand_boundary(connection, grown())
    await connection.close()
