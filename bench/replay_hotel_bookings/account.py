"""Settling the account of the replay: ends, rooms let twice, deadlines, audit entries."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from avow.model.system import System
from avow.store.driver import Connection
from bench.replay import account as shared
from bench.replay.sending import Tally
from bench.replay_hotel_bookings.expected import Expected
from bench.replay_hotel_bookings.replay import guest_of

ENDS = """
SELECT room.number, booking.guest, booking.state
FROM booking.bookings booking JOIN booking.rooms room ON room.id = booking.room
"""
LET_TWICE = """
WITH held AS (
    SELECT id, min(entry) AS since, max(entry) FILTER (
        WHERE convert_from(header, 'UTF8')::jsonb ->> 'to' IN ('departed', 'cancelled', 'missed', 'lapsed')
    ) AS until
    FROM avow.audit WHERE kind = 'Booking' GROUP BY id
), spans AS MATERIALIZED (
    SELECT booking.id, booking.room, tstzrange(booking.arrives, booking.leaves) AS stay,
        int8range(held.since, held.until) AS held
    FROM booking.bookings booking JOIN held USING (id)
)
SELECT one.id, other.id AS other FROM spans one JOIN spans other
ON one.room = other.room AND one.id < other.id AND one.stay && other.stay AND one.held && other.held
"""
BY_TIME = """
SELECT count(*) FROM avow.audit
WHERE kind = 'Booking' AND convert_from(header, 'UTF8')::jsonb ->> 'transition' IN ('miss', 'lapse')
"""
WAITING = "SELECT count(*) FROM avow.work"


@dataclass
class Account(shared.Entries):
    """What doesn't add up, by its sort; all of it is zero or empty when it does.

    let_twice:      pairs of bookings that held one room for the same time, at the same time.
    early:          deadlines that came, though none was due.
    left_waiting:   deadlines of bookings that have ended.
    undeclared:     records in a state that the declaration doesn't have.
    wrong_ends:     bookings that aren't in the room and the state that the file demands.
    wrong_refusals: refused bookings more or fewer than the file demands, by code.
    """

    let_twice: int = 0
    early: int = 0
    left_waiting: int = 0
    undeclared: int = 0
    wrong_ends: int = 0
    wrong_refusals: int = 0


async def settle(
    admin_url: str, system: System, tally: Tally, expected: Expected
) -> tuple[Account, Counter[str], dict[str, int]]:
    """The account, the bookings in each state, and what is stuck, by reason."""
    connection, account = await shared.open_database(admin_url), Account()
    try:
        states = await _check_ends(connection, account, expected)
        demanded = Counter((step.kind, step.command) for step in tally.accepted)
        await shared.check_entries(connection, system, account, tally.accepted, demanded)
        account.early = await connection.fetchval(BY_TIME)
        account.left_waiting = await connection.fetchval(WAITING)
        account.undeclared = await shared.undeclared(connection, system)
        for row in await connection.fetch(LET_TWICE):
            account.let_twice += 1
            account.note(f"held one room for the same time: {dict(row)}")
        stuck = await shared.stuck(connection)
    finally:
        await connection.close()
    refused = Counter[str]()
    for (_, code), count in tally.refused.items():
        refused[code] += count
    for code in refused.keys() | expected.refused.keys():
        account.wrong_refusals += abs(refused[code] - expected.refused[code])
    return account, states, stuck


async def _check_ends(connection: Connection, account: Account, expected: Expected) -> Counter[str]:
    rows = await connection.fetch(ENDS)
    found = {row["guest"]: f"{row['number']}: {row['state']}" for row in rows}
    demanded = {guest_of(number): f"{room}: {state}" for number, (room, state) in expected.ends.items()}
    account.wrong_ends = shared.compare_ends(account, found, demanded) + len(rows) - len(found)
    return Counter(row["state"] for row in rows)
