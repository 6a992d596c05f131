"""Walks through declared machines: commands, outcomes of calls and times, decided in memory by the kernel."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from avow.kernel.command import Command, Key, Record, Rejection
from avow.kernel.decide import decide
from avow.model.actor import Actor
from avow.model.system import System
from avow.model.values import Subject

KEY = UUID(int=7)
"""The key under which every call was done."""


class Walk:
    """Records on their way, and the transitions that they have taken."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.now = datetime(2026, 3, 2, 12, tzinfo=UTC)
        self.records: dict[Key, Record] = {}
        self.taken = set[str]()
        self._ids = 0

    def start(self, kind: str, command: str, who: str = "ann", /, *roles: str, **given: Any) -> UUID:
        """A new record."""
        self._ids += 1
        return self._accepted(kind, command, UUID(int=self._ids), given, who, roles)

    def do(
        self, kind: str, command: str, record: UUID, who: str = "ann", /, *roles: str, **given: Any
    ) -> str:
        """Give a command that is accepted; the state that it leads to."""
        self._accepted(kind, command, record, given, who, roles)
        return self.state(kind, record)

    def hear(self, kind: str, outcome: str, record: UUID, **given: Any) -> str:
        """A call has ended: `charge.done`."""
        told = {"key": KEY, **given} if outcome.endswith(".done") else {"code": "no", "reason": "", **given}
        self._accepted(kind, outcome, record, told, "avow", (), internal=True)
        return self.state(kind, record)

    def wait(self, kind: str, time: str, record: UUID, length: timedelta = timedelta()) -> str:
        """A time has come."""
        self.now += length
        self._accepted(kind, time, record, {}, "avow", (), internal=True)
        return self.state(kind, record)

    def refused(
        self, kind: str, command: str, record: UUID, who: str = "ann", /, *roles: str, **given: Any
    ) -> str:
        """The code with which a command is refused."""
        decided = self._decide(kind, command, record, given, who, roles)
        assert isinstance(decided, Rejection), f"{kind}.{command} is accepted"
        return decided.code

    def not_started(self, kind: str, command: str, who: str = "ann", /, *roles: str, **given: Any) -> str:
        """The code with which a creation is refused."""
        return self.refused(kind, command, UUID(int=10_000), who, *roles, **given)

    def state(self, kind: str, record: UUID) -> str:
        return self.records[kind, record].state

    def value(self, kind: str, record: UUID, name: str) -> Any:
        return self.records[kind, record].values[name]

    def not_walked(self) -> Collection[str]:
        """Declared transitions that nothing has taken."""
        entities = self.system.entities.values()
        return sorted({f"{e.name}.{name}" for e in entities for name in e.transitions} - self.taken)

    def _decide(
        self, kind: str, command: str, record: UUID, given: Any, who: str, roles: Collection[str],
        internal: bool = False,
    ) -> Any:  # fmt: skip
        actor = Actor(Subject(who), "main", frozenset(roles))
        asked = Command(kind, command, record, given, actor, UUID(int=9), internal=internal)
        return decide(self.system, self.records, asked, self.now)

    def _accepted(self, kind: str, command: str, record: UUID, *rest: Any, internal: bool = False) -> UUID:
        decided = self._decide(kind, command, record, *rest, internal=internal)
        assert not isinstance(decided, Rejection), decided
        for taken in decided.steps:
            self.taken.add(f"{taken.after.entity}.{taken.transition.name}")
        self.records.update(decided.final)
        return record
