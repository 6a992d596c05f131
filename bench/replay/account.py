"""What was acknowledged against what the database holds, asked of it by SQL.

It must never ask through the product: a fault there would vouch for itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from avow.model.system import System
from avow.store.driver import Connection, connect
from bench.replay.sending import Step

SHOWN_MAX = 10
CONNECT_S_MAX = 10.0
STATEMENT_S_MAX = 120.0

ENTRIES = """
SELECT kind, id, version, convert_from(header, 'UTF8')::jsonb ->> 'transition' AS transition FROM avow.audit
"""
STATES = "SELECT state, count(*) AS records FROM {schema}.{table} GROUP BY state"
STUCK = """
SELECT w.stuck || CASE WHEN k.task IS NULL THEN ', and nobody is asked' ELSE '' END AS stuck,
    count(*) AS works
FROM avow.work w LEFT JOIN avow.task k ON k.tenant = w.tenant AND k.work = w.work
WHERE w.stuck IS NOT NULL GROUP BY 1
"""


@dataclass
class Entries:
    """Acknowledged steps against the audit log; all but the two counts are zero when they agree.

    lost:    acknowledged steps that the log doesn't hold.
    missing: entries fewer than the acknowledged steps make.
    doubled: entries more than the acknowledged steps make.
    """

    COUNTED: ClassVar[frozenset[str]] = frozenset({"entries", "entries_expected", "examples"})
    """What is told and is no fault."""

    lost: int = 0
    missing: int = 0
    doubled: int = 0
    entries: int = 0
    entries_expected: int = 0
    examples: list[str] = field(default_factory=list[str])

    @property
    def adds_up(self) -> bool:
        """Whether nothing is wrong."""
        return not any(figure for name, figure in vars(self).items() if name not in self.COUNTED)

    def note(self, text: str) -> None:
        """Keep an example of what is wrong, if there aren't enough."""
        if len(self.examples) < SHOWN_MAX:
            self.examples.append(text)


async def open_database(url: str) -> Connection:
    """A connection that may take its time."""
    return await connect(url, timeout_s=CONNECT_S_MAX, statement_s=STATEMENT_S_MAX, settings={})


async def check_entries(
    connection: Connection,
    system: System,
    account: Entries,
    accepted: Iterable[Step],
    expected: Mapping[tuple[str, str], int],
) -> None:
    """Compare the log with each accepted step, and its entries with those expected by (kind, command)."""
    rows = await connection.fetch(ENTRIES)
    command = {(e.name, t.name): t.command for e in system.entities.values() for t in e.transitions.values()}
    held = {
        Step(row["kind"], row["id"], row["version"], command[row["kind"], row["transition"]]) for row in rows
    }
    for step in accepted:
        if step not in held:
            account.lost += 1
            account.note(f"acknowledged and not in the log: {step}")
    found = Counter((row["kind"], command[row["kind"], row["transition"]]) for row in rows)
    for kind in sorted(found.keys() | expected.keys()):
        difference = found[kind] - expected.get(kind, 0)
        account.doubled += max(difference, 0)
        account.missing += max(-difference, 0)
        if difference:
            count = expected.get(kind, 0)
            account.note(f"{found[kind]} entries of {'.'.join(kind)}, and {count} are accounted for")
    account.entries, account.entries_expected = len(rows), sum(expected.values())


def compare_ends(account: Any, found: Mapping[Any, str], demanded: Mapping[Any, str]) -> int:
    """How many cases aren't as the file demands, or are missing on one side."""
    wrong = [name for name in found.keys() | demanded.keys() if found.get(name) != demanded.get(name)]
    for name in wrong[:SHOWN_MAX]:
        account.note(f"{name} is {found.get(name)}, and the file demands {demanded.get(name)}")
    return len(wrong)


async def undeclared(connection: Connection, system: System) -> int:
    """How many records are in a state that their entity doesn't declare."""
    count = 0
    for entity in system.entities.values():
        rows = await connection.fetch(STATES.format(schema=system.name, table=entity.plural))
        count += sum(row["records"] for row in rows if row["state"] not in entity.states)
    return count


async def stuck(connection: Connection) -> dict[str, int]:
    """What waits for a person, counted by reason; what is stuck and no task is counted apart."""
    rows: Sequence[Any] = await connection.fetch(STUCK)
    return {row["stuck"]: row["works"] for row in rows}
