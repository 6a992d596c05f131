"""Settling the account: what was acknowledged against what the database holds, asked of it by SQL.

It must never ask through the product: a fault there would vouch for itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from avow.store.driver import Connection, connect
from bench.replay_enrollment.replay import Step, Tally

CAUSED = {"approve": "take_seat", "leave": "give_back_seat"}
"""Which steps of a course an accepted step of an enrollment brings with it."""
SHOWN_MAX = 10
CONNECT_S_MAX = 10.0
STATEMENT_S_MAX = 120.0

STATES = """
SELECT course.title, enrollment.applicant, enrollment.state
FROM enrollment.enrollments enrollment JOIN enrollment.courses course ON course.id = enrollment.course
"""
ENTRIES = """
SELECT kind, id, version, convert_from(header, 'UTF8')::jsonb ->> 'transition' AS transition FROM avow.audit
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
class Account:
    """What doesn't add up, by its sort; all of it is zero or empty when it does.

    lost:       acknowledged steps that the audit log doesn't hold.
    missing:    audit entries fewer than the acknowledged steps make.
    doubled:    audit entries more than the acknowledged steps make.
    oversold:   courses that had, at any time, more places taken than seats, or whose count is wrong.
    wrong_ends: applications that aren't in the state that the file demands, or aren't there at all.
    """

    lost: int = 0
    missing: int = 0
    doubled: int = 0
    oversold: int = 0
    wrong_ends: int = 0
    entries: int = 0
    entries_expected: int = 0
    examples: list[str] = field(default_factory=list[str])

    @property
    def adds_up(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.missing or self.doubled or self.oversold or self.wrong_ends)

    def figures(self) -> dict[str, object]:
        """Everything, for the result."""
        return asdict(self)

    def note(self, text: str) -> None:
        """Keep an example of what is wrong, if there aren't enough."""
        if len(self.examples) < SHOWN_MAX:
            self.examples.append(text)


def entries_expected(accepted: list[Step]) -> Counter[tuple[str, str]]:
    """How many audit entries the acknowledged steps make, by (kind, transition)."""
    expected = Counter((step.kind, step.transition) for step in accepted)
    for step in accepted:
        if step.transition in CAUSED:
            expected["Course", CAUSED[step.transition]] += 1
    return expected


async def open_database(url: str) -> Connection:
    """A connection that may take its time."""
    return await connect(url, timeout_s=CONNECT_S_MAX, statement_s=STATEMENT_S_MAX, settings={})


async def settle(
    admin_url: str, tally: Tally, ends: Mapping[tuple[str, str], str]
) -> tuple[Account, Counter[str]]:
    """The account, and the count of applications in each state."""
    connection = await open_database(admin_url)
    try:
        account = Account()
        states = await _check_ends(connection, account, ends)
        await _check_entries(connection, account, tally)
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
    for name in found.keys() | ends.keys():
        if found.get(name) != ends.get(name):
            account.wrong_ends += 1
            account.note(f"{'/'.join(name)} is {found.get(name)}, and the file demands {ends.get(name)}")
    account.wrong_ends += len(rows) - len(found)
    return Counter(row["state"] for row in rows)


async def _check_entries(connection: Connection, account: Account, tally: Tally) -> None:
    rows = await connection.fetch(ENTRIES)
    held = {Step(row["kind"], row["id"], row["version"], row["transition"]) for row in rows}
    for step in tally.accepted:
        if step not in held:
            account.lost += 1
            account.note(f"acknowledged and not in the log: {step}")
    found = Counter((row["kind"], row["transition"]) for row in rows)
    expected = entries_expected(tally.accepted)
    for kind in found.keys() | expected.keys():
        difference = found[kind] - expected[kind]
        account.doubled += max(difference, 0)
        account.missing += max(-difference, 0)
        if difference:
            account.note(f"{found[kind]} entries of {'.'.join(kind)}, and {expected[kind]} were acknowledged")
    account.entries, account.entries_expected = len(rows), expected.total()
