"""What is declared over one record or many holds at every commit, whoever competes for the last place."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest

from avow.engine.execute import Engine, Reply
from avow.engine.identifier import new_id
from avow.store.driver import Connection
from avow.store.pool import connect
from tests.acceptance.polling import until
from tests.fix_database import Database, MakeDatabase
from tests.store.company import engine, request, tally
from tests.store.theatre import theatre

RIVALS = 16


async def made_by(runner: Engine, kind: str, command: str, given: Mapping[str, Any], **how: Any) -> UUID:
    reply = await runner.execute(request(kind, command, None, given, **how))
    assert reply.record is not None
    return reply.record


async def hall(runner: Engine, places: int, load: int = 1_000) -> UUID:
    return await made_by(runner, "Hall", "found", {"places": places, "load": load})


async def tickets(runner: Engine, hall: UUID, count: int, weight: int = 1) -> list[UUID]:
    """Held tickets, each with a code of its own."""
    given = [{"hall": hall, "code": str(n), "weight": weight} for n in range(count)]
    return [await made_by(runner, "Ticket", "reserve", one) for one in given]


async def together(engines: list[Engine], commands: list[tuple[str, str, UUID | None, Any]]) -> list[Reply]:
    """All commands at once, in turn on each engine."""
    return list(
        await asyncio.gather(
            *(engines[n % len(engines)].execute(request(*one)) for n, one in enumerate(commands))
        )
    )


async def test_a_quota_is_never_exceeded_and_every_refusal_is_a_kept_answer(database: MakeDatabase) -> None:
    made = database(theatre)
    async with engine(theatre, made.application_url) as one, engine(theatre, made.application_url) as two:
        place = await hall(one, places=5)
        held = await tickets(one, place, RIVALS)
        replies = await together([one, two], [("Ticket", "pay", ticket, {}) for ticket in held])
        assert tally(replies) == {"done": 5, "invariant-violated Ticket.few": RIVALS - 5}
    assert await _count(made, "theatre.tickets WHERE state = 'paid'") == 5
    assert (
        await _count(made, "avow.refusal WHERE rule = 'Ticket.few' AND code = 'invariant-violated'")
        == RIVALS - 5
    )
    assert await _count(made, "avow.idempotency WHERE status = 409") == RIVALS - 5


async def _count(made: Database, what: str) -> int:
    connection = await connect(made.admin_url)
    try:
        return await connection.fetchval(f"SELECT count(*) FROM {what}")
    finally:
        await connection.close()


async def test_a_sum_is_never_exceeded(database: MakeDatabase) -> None:
    made = database(theatre)
    async with engine(theatre, made.application_url) as one, engine(theatre, made.application_url) as two:
        place = await hall(one, places=1_000, load=10)
        held = await tickets(one, place, RIVALS, weight=3)
        replies = await together([one, two], [("Ticket", "pay", ticket, {}) for ticket in held])
        assert tally(replies) == {"done": 3, "invariant-violated Ticket.light": RIVALS - 3}
        paid = [reply.record for reply in replies if reply.status == 200]
        heavier = await together([one, two], [("Ticket", "weigh", ticket, {"weight": 4}) for ticket in paid])
        assert tally(heavier) == {"done": 1, "invariant-violated Ticket.light": 2}


async def test_a_limit_is_not_lowered_below_what_is_taken_while_it_is_being_taken(
    database: MakeDatabase,
) -> None:
    made = database(theatre)
    async with engine(theatre, made.application_url) as one, engine(theatre, made.application_url) as two:
        place = await hall(one, places=RIVALS)
        held = await tickets(one, place, RIVALS)
        lowered = ("Hall", "resize", place, {"places": 4, "load": 1_000})
        await together([one, two], [("Ticket", "pay", ticket, {}) for ticket in held[:8]] + [lowered])
        await together([one, two], [("Ticket", "pay", ticket, {}) for ticket in held[8:]] + [lowered] * 3)
    connection = await connect(made.admin_url)
    places = await connection.fetchval("SELECT places FROM theatre.halls")
    await connection.close()
    assert await _count(made, "theatre.tickets WHERE state = 'paid'") <= places


async def test_a_record_that_moves_to_another_anchor_counts_there(database: MakeDatabase) -> None:
    made = database(theatre)
    async with engine(theatre, made.application_url) as one, engine(theatre, made.application_url) as two:
        big, small = await hall(one, places=RIVALS), await hall(one, places=3)
        paid = await tickets(one, big, 8)
        await together([one], [("Ticket", "pay", ticket, {}) for ticket in paid])
        replies = await together([one, two], [("Ticket", "move", ticket, {"hall": small}) for ticket in paid])
        assert tally(replies) == {"done": 3, "invariant-violated Ticket.few": 5}
        assert (
            await one.execute(request("Ticket", "cancel", replies[0].record or paid[0], {}))
        ).status == 200


WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@pytest.mark.parametrize("locked", [True, False], ids=["with its lock", "without its lock"])
async def test_it_is_the_anchors_lock_that_holds_a_quota(database: MakeDatabase, locked: bool) -> None:
    """Two are let count the last place before either commits; only the lock keeps the second from it."""
    made = database(theatre)
    admin, gate = await connect(made.admin_url), await connect(made.admin_url)
    await _let_rivals_meet(admin, locked)
    async with engine(theatre, made.application_url) as one, engine(theatre, made.application_url) as two:
        place = await hall(one, places=1)
        held = await tickets(one, place, 2)
        await gate.execute("SELECT pg_advisory_lock(1)")
        selling = asyncio.create_task(together([one, two], [("Ticket", "pay", t, {}) for t in held]))

        async def both_wait() -> bool:
            return await admin.fetchval(WAITING) == 2

        await until(both_wait, "both wait for a lock")
        await gate.close()
        assert tally(await selling)["done"] == (1 if locked else 2)
    await admin.close()


async def _let_rivals_meet(admin: Connection, locked: bool) -> None:
    """Stop each sale between its count and its commit; without the lock, take it out of both functions."""
    counts = await admin.fetchval("SELECT pg_get_functiondef('avow.demand_quotas'::regproc)")
    counts = counts.replace("IF used >", "PERFORM pg_advisory_xact_lock_shared(1); IF used >")
    if not locked:
        counts = counts.replace("FOR NO KEY UPDATE OF a", "")
        locks = await admin.fetchval("SELECT pg_get_functiondef('avow.lock_versions'::regproc)")
        await admin.execute(locks.replace("FOR NO KEY UPDATE OF r", "").replace("FOR SHARE OF r", ""))
    await admin.execute(counts)


async def test_a_check_over_one_record_holds_under_many_writers(database: MakeDatabase) -> None:
    made = database(theatre)
    async with engine(theatre, made.application_url) as one, engine(theatre, made.application_url) as two:
        place = await hall(one, places=5)
        replies = await together([one, two], [("Hall", "sell_one", place, {})] * RIVALS)
        told = tally(replies)
    assert told["done"] == 5
    assert (
        sum(count for answer, count in told.items() if answer.startswith("invariant-violated")) == RIVALS - 5
    )


async def test_one_of_many_gets_what_is_unique_among_some_states(database: MakeDatabase) -> None:
    made = database(theatre)
    async with engine(theatre, made.application_url) as one, engine(theatre, made.application_url) as two:
        place = await hall(one, places=100)
        same = [await made_by(one, "Ticket", "reserve", {"hall": place, "code": "A1"}) for _ in range(8)]
        replies = await together([one, two], [("Ticket", "pay", ticket, {}) for ticket in same])
        assert tally(replies) == {"done": 1, "unique-violated Ticket.one_code": 7}
        winner = next(reply.record for reply in replies if reply.status == 200)
        await one.execute(request("Ticket", "cancel", winner, {}))
        again = [ticket for ticket in same if ticket != winner]
        assert tally(await together([one, two], [("Ticket", "pay", t, {}) for t in again]))["done"] == 1


ROOM = new_id()


def at(hour: int) -> datetime:
    return datetime(2026, 1, 1, hour, tzinfo=UTC)


SPANS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "uuid and date": (
        "days_apart",
        {"room": ROOM, "first_day": date(2026, 1, 1), "last_day": date(2026, 1, 5)},
        {"room": ROOM, "first_day": date(2026, 1, 5), "last_day": date(2026, 1, 6)},
    ),
    "text and instant": (
        "times_apart",
        {"label": "Ä", "begins": at(10), "ends": at(11)},
        {"label": "Ä", "begins": at(11), "ends": at(12)},
    ),
    "integer and integer": (
        "numbers_apart", {"number": -5, "low": 1, "high": 10}, {"number": -5, "low": 10, "high": 11},
    ),
    "an open end": (
        "numbers_apart", {"number": 7, "low": 1}, {"number": 7, "low": -4, "high": 1},
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", SPANS)
async def test_of_overlapping_spans_one_is_kept_and_the_next_may_begin_where_it_ends(
    database: MakeDatabase, what: str
) -> None:
    rule, span, following = SPANS[what]
    made = database(theatre)
    async with engine(theatre, made.application_url) as one, engine(theatre, made.application_url) as two:
        replies = await together([one, two], [("Booking", "ask", None, span)] * 8)
        assert tally(replies) == {"done": 1, f"exclusion-violated Booking.{rule}": 7}
        assert tally(await together([one], [("Booking", "ask", None, following)])) == {"done": 1}
        kept = next(reply.record for reply in replies if reply.status == 201)
        await one.execute(request("Booking", "leave", kept, {}))
        assert tally(await together([one, two], [("Booking", "ask", None, span)] * 2))["done"] == 1


async def test_a_missing_value_is_equal_to_nothing_and_no_span_ends_before_it_starts(
    database: MakeDatabase,
) -> None:
    made = database(theatre)
    async with engine(theatre, made.application_url) as one:
        unnamed = ("Booking", "ask", None, {"low": 1, "high": 5})
        assert tally(await together([one], [unnamed] * 3)) == {"done": 3}
        backwards = ("Booking", "ask", None, {"number": 1, "low": 5, "high": 1})
        assert tally(await together([one], [backwards])) == {"invariant-violated Booking.numbers_apart": 1}


async def test_arithmetic_of_an_invariant_never_overflows(database: MakeDatabase) -> None:
    made = database(theatre)
    async with engine(theatre, made.application_url) as one:
        big = {"places": 2**53 - 1, "load": 2**53 - 1}
        assert tally(await together([one], [("Hall", "found", None, big)])) == {"done": 1}


async def test_tenants_do_not_meet_in_references_uniqueness_or_spans(database: MakeDatabase) -> None:
    """A neighbour's record can't be referred to, and its values hinder nobody."""
    made = database(theatre)
    async with engine(theatre, made.application_url) as one:
        mine, theirs = await hall(one, 9), await made_by(one, "Hall", "found", {}, tenant="other")
        reply = await one.execute(request("Ticket", "reserve", None, {"hall": theirs}))
        assert reply.problem is not None
        assert reply.problem.code == "input-invalid"
        assert (await one.execute(request("Hall", "close", theirs, {}))).status == 404
        for tenant, place in (("main", mine), ("other", theirs)):
            for key in ("same key", "same key"):
                given = {"hall": place, "code": "A1"}
                held = await one.execute(request("Ticket", "reserve", None, given, key=key, tenant=tenant))
            paid = await one.execute(request("Ticket", "pay", held.record, {}, key="pay", tenant=tenant))
            span = {"number": 1, "low": 1, "high": 2}
            asked = await one.execute(request("Booking", "ask", None, span, tenant=tenant))
            assert (held.status, held.replayed, paid.status, asked.status) == (201, True, 200, 201)
