"""Settling the account of the replay: ends, places, audit entries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from avow.model.system import System
from avow.store.driver import Connection
from bench.replay.account import Entries, check_entries, compare_ends, open_database
from bench.replay.sending import Step, Tally

CAUSED = {"approve": "take_seat", "leave": "give_back_seat"}
"""Which steps of a course an accepted step of an enrollment brings with it."""

STATES = """
SELECT course.title, enrollment.applicant, enrollment.state
FROM enrollment.enrollments enrollment JOIN enrollment.courses course ON course.id = enrollment.course
"""
OVERSOLD = """
WITH approved AS (
    SELECT course AS id, count(*) AS places
    FROM enrollment.enrollments WHERE state = 'approved' GROUP BY course
), highest AS (
    SELECT id, max((convert_from(header, 'UTF8')::jsonb -> 'changes' ->> 'taken')::bigint) AS taken
    FROM avow.audit WHERE kind = 'Course' GROUP BY id
)
SELECT course.title, course.seats, course.taken, approved.places, highest.taken AS highest
FROM enrollment.courses course LEFT JOIN approved USING (id) LEFT JOIN highest USING (id)
WHERE course.taken > course.seats OR approved.places > course.seats OR highest.taken > course.seats
   OR course.taken <> coalesce(approved.places, 0)
"""


@dataclass
class Account(Entries):
    """What doesn't add up, by its sort; all of it is zero or empty when it does.

    oversold:   courses that had, at any time, more places taken than seats, or whose count is wrong.
    wrong_ends: applications that aren't in the state that the file demands, or aren't there at all.
    """

    oversold: int = 0
    wrong_ends: int = 0


def entries_expected(accepted: list[Step]) -> Counter[tuple[str, str]]:
    """How many audit entries the acknowledged steps make, by (kind, command)."""
    expected = Counter((step.kind, step.command) for step in accepted)
    for step in accepted:
        if step.command in CAUSED:
            expected["Course", CAUSED[step.command]] += 1
    return expected


async def settle(
    admin_url: str, system: System, tally: Tally, ends: Mapping[tuple[str, str], str]
) -> tuple[Account, Counter[str]]:
    """The account, and the count of applications in each state."""
    connection = await open_database(admin_url)
    try:
        account = Account()
        states = await _check_ends(connection, account, ends)
        await check_entries(connection, system, account, tally.accepted, entries_expected(tally.accepted))
        for row in await connection.fetch(OVERSOLD):
            account.oversold += 1
            account.note(f"oversold or miscounted: {dict(row)}")
    finally:
        await connection.close()
    return account, states


async def _check_ends(
    connection: Connection, account: Account, ends: Mapping[tuple[str, str], str]
) -> Counter[str]:
    rows = await connection.fetch(STATES)
    found = {(row["title"], row["applicant"]): row["state"] for row in rows}
    account.wrong_ends = compare_ends(account, found, ends) + len(rows) - len(found)
    return Counter(row["state"] for row in rows)
