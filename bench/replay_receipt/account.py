"""Settling the account of the replay: deadlines, ends, refusals, audit entries."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from avow.engine.workers.leases import LEASE_S
from avow.model.system import System
from avow.store.driver import Connection
from bench.replay import account as shared
from bench.replay_receipt.drive import Drive
from bench.replay_receipt.expected import Expected

ENDS = """
SELECT permit."case", 'permit' AS about, permit.state FROM permits.permits permit
UNION ALL
SELECT permit."case", letter.kind, letter.state
FROM permits.letters letter JOIN permits.permits permit ON permit.id = letter.permit
UNION ALL
SELECT permit."case", 'stop', assessment.state
FROM permits.assessments assessment JOIN permits.permits permit ON permit.id = assessment.permit
"""
CAME = """
SELECT permit."case", entry.header ->> 'transition' AS name, (entry.header ->> 'at')::timestamptz AS at
FROM (SELECT id, convert_from(header, 'UTF8')::jsonb AS header FROM avow.audit WHERE kind = 'Permit') entry
JOIN permits.permits permit USING (id)
WHERE entry.header ->> 'transition' IN ('note_overdue', 'escalate')
"""


@dataclass
class Account(shared.Entries):
    """What doesn't add up, by its sort; all but the counts is zero or empty when it does.

    early:          deadlines that came before they were due.
    late:           deadlines that came later than a worker was there, or a lease after that.
    not_come, came_twice, came_unasked: deadlines against what the log demands.
    undeclared:     records in a state that the declaration doesn't have.
    wrong_ends:     permits, letters and assessments that aren't in the state that the log demands.
    wrong_refusals: refused activities more or fewer than the log demands, by activity and code.
    deadlines, held_up, after_a_lease: deadlines that came, those at the end of an outage, and those of them
                    that a killed worker had taken and another one let come when its lease had ended.
    """

    COUNTED = shared.Entries.COUNTED | {"deadlines", "held_up", "after_a_lease"}

    early: int = 0
    late: int = 0
    not_come: int = 0
    came_twice: int = 0
    came_unasked: int = 0
    undeclared: int = 0
    wrong_ends: int = 0
    wrong_refusals: int = 0
    deadlines: int = 0
    held_up: int = 0
    after_a_lease: int = 0


async def settle(
    admin_url: str, system: System, drive: Drive, expected: Expected
) -> tuple[Account, Counter[str], dict[str, int]]:
    """The account, the permits in each state, and what is stuck, by reason."""
    connection, account = await shared.open_database(admin_url), Account()
    try:
        rows = await connection.fetch(ENDS)
        found = {(row["case"], row["about"]): row["state"] for row in rows}
        account.wrong_ends = shared.compare_ends(account, found, expected.ends) + len(rows) - len(found)
        await _check_deadlines(connection, account, expected, drive.leases)
        demanded = Counter((step.kind, step.command) for step in drive.tally.accepted)
        demanded.update(("Permit", name) for _, name in expected.comes)
        await shared.check_entries(connection, system, account, drive.tally.accepted, demanded)
        account.undeclared = await shared.undeclared(connection, system)
        stuck = await shared.stuck(connection)
    finally:
        await connection.close()
    for name in drive.tally.refused.keys() | expected.refused.keys():
        difference = abs(drive.tally.refused[name] - expected.refused[name])
        account.wrong_refusals += difference
        if difference:
            count, demand = drive.tally.refused[name], expected.refused[name]
            account.note(f"{name} was refused {count} times, and the log demands {demand}")
    return account, Counter(row["state"] for row in rows if row["about"] == "permit"), stuck


async def _check_deadlines(connection: Connection, account: Account, expected: Expected, leases: int) -> None:
    """When each deadline came. After an outage it may have waited for the leases of who died meanwhile."""
    times = dict[tuple[str, str], list[datetime]]()
    for row in await connection.fetch(CAME):
        times.setdefault((row["case"], row["name"]), []).append(row["at"])
    patience = timedelta(seconds=LEASE_S) * leases
    account.deadlines, account.held_up = sum(map(len, times.values())), len(expected.held_up)
    for name in times.keys() | expected.comes.keys():
        came = times.get(name, [])
        account.came_twice += max(len(came) - 1, 0)
        if name not in expected.comes:
            account.came_unasked += 1
            account.note(f"{name} came at {came[0]}, and the log has no such deadline")
            continue
        if not came:
            account.not_come += 1
            account.note(f"{name} never came, and was due at {expected.due[name]}")
            continue
        late = came[0] - expected.comes[name]
        account.early += came[0] < expected.due[name]
        if late and not (name in expected.held_up and timedelta(0) < late <= patience):
            account.late += 1
            account.note(f"{name} came at {came[0]}, and should at {expected.comes[name]}")
        account.after_a_lease += bool(late)
