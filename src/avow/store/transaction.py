"""The one write path: everything that a command changes is committed here, together or not at all.

A command takes two round trips: one SELECT that loads what its decision rests on, and one call of
`avow.commit`, which checks under locks that nothing of it has moved on, writes, and commits by itself.
A decision that loses against others a few times is made once more behind locks taken first.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias, cast
from uuid import UUID

from avow.kernel.command import Key
from avow.model.system import System
from avow.store import driver
from avow.store.driver import Connection, DatabaseFault
from avow.store.loading import Loaded, LoadPlan, Loads, Wanted
from avow.store.pool import Pool
from avow.store.schema.tables import Constraint, constraints_of
from avow.store.sharing import SHARED, Bounds, Member, Sharing
from avow.store.statements import text

_COMMIT = text("write.sql", "commit")
_COMMIT_PRIVATE = text("write.sql", "commit_private")
_LOCK = text("write.sql", "lock")

ALONE_MAX = 4
"""How many commands may be waiting for locks in the database at once, each on a connection of its own."""

OVERTAKEN = "AV003"
"""What avow.commit raises for a decision that is too old, or that another one was faster than."""


KEY_DESTROYED = "disclosure_tenant_key_fkey"
"""The foreign key that misses a person's key."""

_NEWER_RULES = {
    "23505": "unique-violated", "23P01": "exclusion-violated", "23514": "invariant-violated",
    "23502": "invariant-violated",
}  # fmt: skip
"""How a constraint is answered that the tables have got since this server was started."""


@dataclass(slots=True)
class Answer:
    """What the command is answered with, and kept under its key."""

    status: int
    body: bytes
    kind: str
    record: UUID | None = None
    version: int | None = None


@dataclass(slots=True)
class Write:
    """Everything that one command commits.

    reads:   versions that the decision rests on; None: locked, whatever its version.
    written: which of them it changes. headers, payloads: the audit entries.
    refusal: what to remember of a refused command.
    settles: the work that this settles: its number, and its fencing number.
    intervention: what an operator says who settles it.
    disclosures: what stands behind the digests of private values in the headers, encrypted, as plain data.
    """

    answer: Answer
    reads: Mapping[Key, int | None] = field(default_factory=dict[Key, "int | None"])
    written: frozenset[Key] = frozenset()
    headers: Sequence[bytes] = ()
    payloads: Sequence[bytes] = ()
    refusal: Mapping[str, Any] | None = None
    settles: tuple[int, int] | None = None
    intervention: Mapping[str, str] | None = None
    disclosures: Sequence[Mapping[str, Any]] = ()


@dataclass(slots=True)
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


@dataclass(frozen=True, slots=True)
class Settled:
    """What the write would settle is no longer the caller's to settle; nothing was written."""


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


async def call_writing(connection: Connection, sql: str, *given: Any, overtaken: str) -> Any:
    """Call a function that writes what is no command: what it says, or `overtaken` where something that the
    decision rests on has moved on.

    Raises what may be tried again as it comes, and WriteRefused for what no decision can be.
    """
    try:
        return await connection.fetchval(sql, *given)
    except (*driver.Retryable, *driver.Lost, driver.Canceled, *driver.NoRoom):
        raise
    except driver.DatabaseError as error:
        if cast(DatabaseFault, error).sqlstate == OVERTAKEN:
            return overtaken
        raise WriteRefused(error) from None


Outcome: TypeAlias = Done | Stale | Replay | Settled | Broken
Decide: TypeAlias = Callable[[Loaded], Write]
_Row: TypeAlias = tuple[Any, ...]


@dataclass(slots=True)
class Commit:
    """A write and the key under which its answer is kept."""

    key: IdempotencyKey | None
    write: Write


class Transactions:
    """The write path over one pool of connections."""

    def __init__(self, system: System, pool: Pool, bounds: Bounds = SHARED) -> None:
        self._pool = pool
        self._loads = Loads(pool, bounds)
        self.clock = self._loads.clock
        self._sharing = Sharing[Commit, Outcome](self._share, bounds)
        self._alone = asyncio.Semaphore(ALONE_MAX)
        self._constraints = system.derived(_constraints)
        self._schema = system.name

    async def load(self, plan: LoadPlan, tenant: str, wanted: Wanted) -> Loaded:
        """Load, without locks, what a decision rests on."""
        return await self._loads.load(plan, tenant, wanted)

    async def written_last(self, entries: int) -> list[tuple[str, Key]]:
        """The records that the newest entries are of, with their tenants; the last written comes first."""
        return await self._loads.written_last(entries)

    async def commit(self, tenant: str, key: IdempotencyKey | None, write: Write) -> Outcome:
        """Commit a write whose decision was made on unlocked records; one round trip.

        Commands that are ready at the same time share a transaction. One that fails in it is committed
        by itself, and so is each of the others.

        Raises WriteRefused for what no decision of the kernel can be, and one of the driver's `Retryable`
        where nothing was executed.

        A lost connection leaves it open whether the write was committed: the caller finds out by
        deciding again under the same key, which waits for the first attempt and replays its answer.
        """
        claims: dict[Hashable, bool] = {record: record in write.written for record in write.reads}
        if key is not None:
            claims[key.id] = True
        return await self._sharing.share(tenant, Commit(key, write), claims)

    async def rehearse(self, tenant: str, write: Write) -> Outcome:
        """What committing a write would come to, by every rule that the database holds; nothing is kept."""
        async with self._pool.borrow() as connection:
            rehearsal = connection.transaction()
            await rehearsal.start()
            try:
                return await self._call_alone(connection, tenant, Commit(None, write))
            finally:
                await rehearsal.rollback()

    async def decide_locked(
        self, plan: LoadPlan, wanted: Wanted, locks: Mapping[Key, bool], tenant: str,
        key: IdempotencyKey | None, decide: Decide, *, keep: bool,
    ) -> Outcome:  # fmt: skip
        """Lock first, then load, decide and commit: what a contended record needs to make progress.

        locks: everything that the decision may rest on, so that all are taken in one order. keep: False
        for a rehearsal, of which nothing is kept.
        """
        writing = {kind for (kind, _), write in locks.items() if write}
        async with self._alone, self._pool.borrow() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                await connection.execute(
                    _LOCK, tenant, [kind for kind, _ in locks], [record for _, record in locks],
                    [kind in writing for kind, _ in locks],
                )  # fmt: skip
                loaded = plan.read(await connection.fetchrow(plan.sql, *plan.parameters(tenant, [wanted])))
                outcome = await self._call_alone(connection, tenant, Commit(key, decide(loaded)))
            except BaseException:
                await transaction.rollback()
                raise
            await (transaction.commit() if keep else transaction.rollback())
            return outcome

    async def _share(self, tenant: Hashable, members: list[Member[Commit, Outcome]]) -> list[Outcome] | None:
        """One transaction for all members; where it fails, one for each."""
        try:
            async with self._pool.borrow() as connection:
                return await self._call(connection, tenant, [m.item for m in members], patient=False)
        except driver.DatabaseError as error:
            if isinstance(error, driver.Lost):
                raise
            for member in members:
                self._sharing.apart(member, partial(self._commit_alone, tenant, member.item))
            return None

    async def _commit_alone(self, tenant: Hashable, commit: Commit) -> Outcome:
        """A transaction for one command, which waits for locks as long as a statement may."""
        async with self._alone, self._pool.borrow() as connection:
            return await self._call_alone(connection, tenant, commit)

    async def _call_alone(self, connection: Connection, tenant: Hashable, commit: Commit) -> Outcome:
        try:
            return (await self._call(connection, tenant, [commit], patient=True))[0]
        except driver.IntegrityBroken as error:
            return self._broken(error)
        except (*driver.Retryable, *driver.Lost, driver.Canceled, *driver.NoRoom):
            raise
        except driver.DatabaseError as error:
            if cast(DatabaseFault, error).sqlstate == OVERTAKEN:
                return Stale()
            raise WriteRefused(error) from None

    async def _call(
        self, connection: Connection, tenant: Hashable, commits: Sequence[Commit], *, patient: bool
    ) -> list[Outcome]:
        told = [c.write.intervention for c in commits if c.write.settles is not None]
        interventions = [None if said is None else json.dumps(dict(said)) for said in told]
        disclosures = [
            {**kept, "of": place} for place, c in enumerate(commits, 1) for kept in c.write.disclosures
        ]
        given = [tenant, *_columns(commits), patient, interventions]
        if disclosures:
            outcomes = await connection.fetchval(_COMMIT_PRIVATE, *given, json.dumps(disclosures))
        else:
            outcomes = await connection.fetchval(_COMMIT, *given)
        return [_OUTCOMES[outcome] for outcome in outcomes]

    def _broken(self, error: Exception) -> Outcome:
        fault = cast(DatabaseFault, error)
        name = fault.constraint_name
        constraint = self._constraints.get(name or "")
        if constraint is not None:
            return Broken(constraint)
        if name == KEY_DESTROYED:
            return Stale()  # somebody was forgotten meanwhile; a new key is made for what comes now
        if name and name.startswith("audit_"):
            return Stale()  # another command has written this version of the record
        code, name = _NEWER_RULES.get(fault.sqlstate), name or fault.column_name  # NOT NULL may have no name
        if name and code is not None and fault.schema_name in (None, self._schema):
            message = "A rule of a newer declaration, which this server doesn't know yet, would be broken."
            return Broken(Constraint("", name, "", code, name, message))
        raise WriteRefused(error) from None


def _constraints(system: System) -> Mapping[str, Constraint]:
    """Every constraint of a system, by its name in the database."""
    found = (c for entity in system.entities.values() for c in constraints_of(system, entity))
    return {constraint.name: constraint for constraint in found}


_OUTCOMES: Mapping[str, Outcome] = {
    "done": Done(),
    "stale": Stale(),
    "replay": Replay(),
    "settled": Settled(),
}


def _columns(commits: Sequence[Commit]) -> list[Sequence[Any]]:
    """Several commits as the arrays that avow.commit takes."""
    answers: list[_Row] = []
    locks: list[_Row] = []
    settling: list[_Row] = []
    headers: list[_Row] = []
    payloads: list[_Row] = []
    writing = {kind for commit in commits for kind, _ in commit.write.written}
    for place, commit in enumerate(commits, 1):
        key, write = commit.key, commit.write
        kept = (None, None) if key is None else (key.id, key.fingerprint)
        answer, refusal = write.answer, None if write.refusal is None else json.dumps(write.refusal)
        told = (answer.status, answer.body, answer.kind, answer.record, answer.version)
        answers.append((*kept, *told, refusal))
        for (kind, record), version in write.reads.items():
            locks.append((place, kind, record, version, kind in writing))
        headers += [(place, header) for header in write.headers]
        payloads += [(place, payload) for payload in write.payloads]
        if write.settles is not None:
            settling.append((place, *write.settles))
    tables = ((answers, 8), (locks, 5), (headers, 2), (payloads, 2), (settling, 3))
    return [c for rows, width in tables for c in (zip(*rows, strict=True) if rows else [()] * width)]
