"""The one write path: everything that a command changes is committed here, together or not at all.

A command takes two round trips: one SELECT that loads what its decision rests on, and one call of
`avow.commit`, which checks under locks that nothing of it has moved on, writes, and commits by itself.
A decision that loses against others a few times is made once more behind locks taken first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast
from uuid import UUID

from avow.kernel.command import Key
from avow.model.system import System
from avow.store import driver
from avow.store.driver import Connection, DatabaseFault
from avow.store.loading import KnownAnswer, Loaded, LoadPlan
from avow.store.pool import Pool
from avow.store.statements import text
from avow.store.tables import Constraint, constraints_of

_COMMIT = text("write.sql", "commit")
_LOCK = text("write.sql", "lock")

OVERTAKEN = "AV003"
"""What avow.commit raises for a decision that is too old, or that another one was faster than."""


_NEWER_RULES = {"23505": "unique-violated", "23P01": "exclusion-violated", "23514": "invariant-violated"}
"""How a constraint is answered that the tables have got since this server was started."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the command is answered with, and kept under its key."""

    status: int
    body: bytes
    kind: str
    record: UUID | None = None
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Write:
    """Everything that one command commits.

    reads:   versions that the decision rests on; None: locked, whatever its version.
    written: which of them it changes. headers, payloads: the audit entries.
    refusal: what to remember of a refused command.
    """

    answer: Answer
    reads: Mapping[Key, int | None] = field(default_factory=dict[Key, "int | None"])
    written: frozenset[Key] = frozenset()
    headers: Sequence[bytes] = ()
    payloads: Sequence[bytes] = ()
    refusal: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """Where a key's answer is kept, and which request it was given for."""

    id: UUID
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Done:
    """The write is committed."""


@dataclass(frozen=True, slots=True)
class Stale:
    """Something that the decision rests on has moved on; nothing was written."""


@dataclass(frozen=True, slots=True)
class Replay:
    """The key has an answer already; nothing was written."""

    answer: KnownAnswer


@dataclass(frozen=True, slots=True)
class Broken:
    """The database holds a rule that the command would break; nothing was written."""

    constraint: Constraint


class WriteRefused(Exception):
    """avow.commit refuses a write, which then is our own bug: nothing was written.

    Names the SQLSTATE and what it is about. PostgreSQL's own words aren't kept: they hold values.
    """

    def __init__(self, error: Exception) -> None:
        fault = cast(DatabaseFault, error)
        about = fault.constraint_name or fault.column_name
        super().__init__(f"SQLSTATE {fault.sqlstate}" + (f", {about}" if about else ""))


Outcome: TypeAlias = Done | Stale | Replay | Broken
Decide: TypeAlias = Callable[[Loaded], Write]


class Transactions:
    """The write path over one pool of connections."""

    def __init__(self, system: System, pool: Pool) -> None:
        self._pool = pool
        found = [c for entity in system.entities.values() for c in constraints_of(system, entity)]
        self._constraints = {constraint.name: constraint for constraint in found}
        self._schema = system.name

    async def load(self, plan: LoadPlan, parameters: list[Any]) -> Loaded:
        """Load, without locks, what a decision rests on."""
        async with self._pool.borrow() as connection:
            return plan.read(await connection.fetchrow(plan.sql, *parameters))

    async def commit(self, tenant: str, key: IdempotencyKey | None, write: Write) -> Outcome:
        """Commit a write whose decision was made on unlocked records; one round trip.

        Raises WriteRefused for what no decision of the kernel can be, and one of the driver's `Retryable`
        where nothing was executed.

        A lost connection leaves it open whether the write was committed: the caller finds out by
        deciding again under the same key, which waits for the first attempt and replays its answer.
        """
        async with self._pool.borrow() as connection:
            return await self._call(connection, tenant, key, write)

    async def rehearse(self, tenant: str, write: Write) -> Outcome:
        """What committing a write would come to, by every rule that the database holds; nothing is kept."""
        async with self._pool.borrow() as connection:
            rehearsal = connection.transaction()
            await rehearsal.start()
            try:
                return await self._call(connection, tenant, None, write)
            finally:
                await rehearsal.rollback()

    async def decide_locked(
        self, plan: LoadPlan, parameters: list[Any], locks: Mapping[Key, bool], tenant: str,
        key: IdempotencyKey | None, decide: Decide,
    ) -> tuple[Outcome, Loaded]:  # fmt: skip
        """Lock first, then load, decide and commit: what a contended record needs to make progress."""
        async with self._pool.borrow() as connection, connection.transaction():
            wanted = [_lock(record, None, write) for record, write in sorted(locks.items())]
            await connection.execute(_LOCK, tenant, json.dumps(wanted))
            loaded = plan.read(await connection.fetchrow(plan.sql, *parameters))
            outcome = await self._call(connection, tenant, key, decide(loaded))
            return outcome, loaded

    async def _call(
        self, connection: Connection, tenant: str, key: IdempotencyKey | None, write: Write
    ) -> Outcome:
        locks = [
            _lock(record, version, record in write.written) for record, version in sorted(write.reads.items())
        ]
        answer = write.answer
        try:
            row = await connection.fetchrow(
                _COMMIT, tenant, json.dumps(locks), write.headers, write.payloads,
                None if key is None else key.id, None if key is None else key.fingerprint,
                answer.status, answer.body, answer.kind, answer.record, answer.version,
                None if write.refusal is None else json.dumps(write.refusal),
            )  # fmt: skip
        except driver.IntegrityBroken as error:
            return self._broken(error)
        except (*driver.Retryable, *driver.Lost, driver.Canceled, *driver.NoRoom):
            raise
        except driver.DatabaseError as error:
            if cast(DatabaseFault, error).sqlstate == OVERTAKEN:
                return Stale()
            raise WriteRefused(error) from None
        match row["outcome"]:
            case "done":
                return Done()
            case "stale":
                return Stale()
            case _:
                return Replay(KnownAnswer(*(row[i] for i in range(1, 7))))

    def _broken(self, error: Exception) -> Outcome:
        fault = cast(DatabaseFault, error)
        name = fault.constraint_name
        constraint = self._constraints.get(name or "")
        if constraint is not None:
            return Broken(constraint)
        if name and name.startswith("audit_"):
            return Stale()  # another command has written this version of the record
        code = _NEWER_RULES.get(fault.sqlstate)
        if name and code is not None and fault.schema_name in (None, self._schema):
            message = "A rule of a newer declaration, which this server doesn't know yet, would be broken."
            return Broken(Constraint("", name, "", code, name, message))
        raise WriteRefused(error) from None


def _lock(key: Key, version: int | None, write: bool) -> dict[str, Any]:
    kind, record = key
    return {"kind": kind, "id": str(record), "version": version, "write": write}
