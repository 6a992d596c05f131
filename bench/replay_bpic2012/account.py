"""Settling the account of the replay: ends, refusals, inboxes, four eyes, audit entries."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from avow.model.system import System
from avow.store.driver import Connection
from bench.replay import account as shared
from bench.replay_bpic2012.expected import Expected
from bench.replay_bpic2012.replay import Replay

ENDS = """
WITH created AS MATERIALIZED (SELECT id, min(entry) AS entry FROM avow.audit WHERE kind = 'Offer' GROUP BY id)
SELECT application."case", 'application' AS about, application.state FROM loans.applications application
UNION ALL
SELECT application."case", 'offer ' || row_number() OVER (PARTITION BY application.id ORDER BY created.entry),
    offer.state
FROM loans.offers offer JOIN created USING (id) JOIN loans.applications application
ON application.id = offer.application
UNION ALL
SELECT application."case", item.kind, item.state
FROM loans.work_items item JOIN loans.applications application ON application.id = item.application
"""
BY_ONE_PERSON = """
SELECT id FROM (
    SELECT id, convert_from(header, 'UTF8')::jsonb AS header FROM avow.audit WHERE kind = 'Application'
) entry
WHERE header ->> 'transition' IN ('accept', 'approve')
GROUP BY id HAVING count(DISTINCT header #> '{actor,subject}') < count(*)
"""
TASKS = "SELECT step, count(*) AS tasks FROM avow.task GROUP BY step"
UNDONE = "SELECT count(*) FROM avow.work"


@dataclass
class Account(shared.Entries):
    """What doesn't add up, by its sort; all of it is zero or empty when it does.

    by_one_person:  applications that one person has both accepted and approved.
    undeclared:     records in a state that the declaration doesn't have.
    undone:         what a worker should have done and hasn't.
    wrong_ends:     applications, offers and pieces of work that aren't in the state that the file demands.
    wrong_refusals: refused events more or fewer than the file demands, by event and code.
    wrong_tasks:    tasks left in inboxes more or fewer than the file demands, by transition.
    """

    by_one_person: int = 0
    undeclared: int = 0
    undone: int = 0
    wrong_ends: int = 0
    wrong_refusals: int = 0
    wrong_tasks: int = 0


async def settle(
    admin_url: str, system: System, replay: Replay, expected: Expected
) -> tuple[Account, Counter[str], dict[str, int]]:
    """The account, the applications in each state, and what is stuck, by reason."""
    connection, account, tally = await shared.open_database(admin_url), Account(), replay.sender.tally
    try:
        states = await _check_ends(connection, account, expected)
        demanded = Counter((step.kind, step.command) for step in tally.accepted)
        demanded["Application", "forward"] = states.total()
        await shared.check_entries(connection, system, account, tally.accepted, demanded)
        for row in await connection.fetch(BY_ONE_PERSON):
            account.by_one_person += 1
            account.note(f"accepted and approved by one person: {row['id']}")
        tasks = Counter({row["step"]: row["tasks"] for row in await connection.fetch(TASKS)})
        account.wrong_tasks = _apart(account, "tasks", tasks, expected.tasks)
        account.undeclared = await shared.undeclared(connection, system)
        account.undone = await connection.fetchval(UNDONE)
        stuck = await shared.stuck(connection)
    finally:
        await connection.close()
    account.wrong_refusals = _apart(account, "refusals", replay.refused, expected.refused)
    return account, states, stuck


async def _check_ends(connection: Connection, account: Account, expected: Expected) -> Counter[str]:
    rows = await connection.fetch(ENDS)
    found = {(row["case"], row["about"]): row["state"] for row in rows}
    account.wrong_ends = shared.compare_ends(account, found, expected.ends) + len(rows) - len(found)
    return Counter(row["state"] for row in rows if row["about"] == "application")


def _apart(account: Account, what: str, found: Counter[Any], demanded: Counter[Any]) -> int:
    """How far two counts are apart."""
    apart = 0
    for name in found.keys() | demanded.keys():
        if found[name] != demanded[name]:
            apart += abs(found[name] - demanded[name])
            account.note(f"{found[name]} {what} of {name}, and the file demands {demanded[name]}")
    return apart
