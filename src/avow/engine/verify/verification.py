"""Does everything that is stored still agree with itself: every chain, every row, every long value?

Reads the log once, in pieces that may be checked side by side, rebuilds each record from it and compares with
the live row, all in one snapshot. It must never write, and never stop at the first difference unless it is
told to.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from avow.engine.privacy import Keyring
from avow.engine.verify.logs import LogsSeen, Outside, verify_logs
from avow.engine.verify.private import check_blind
from avow.engine.verify.records import Against, Piece, check_piece
from avow.engine.verify.workers import Given, LogsPiece, Workers, can_share, workers
from avow.evidence.boundaries import Boundaries, shape_of
from avow.evidence.finding import Finding
from avow.model.system import System
from avow.model.trigger import OnTime
from avow.store.canonical_columns import json_fields
from avow.store.log.audit_scan import Scan, Span, row_forms, scan

ENTRIES_A_PROCESS_MIN = 25_000
"""With fewer entries for each, further processes aren't worth their start."""

NOTHING = Outside()
"""Nothing is known from outside."""

Progress = Callable[[int, int], None]
"""Is told how many entries are done, and how many there are."""


@dataclass(slots=True)
class Verification(Piece):
    """What was checked and what was found, in the records and in the logs.

    complete: false when the time was over before the end. seconds: how long it took.
    private: the private values that entries name.
    position: the last record that was checked to its end, to go on from; None: none was.
    """

    seconds: float = 0.0
    logs: LogsSeen = field(default_factory=LogsSeen)

    @property
    def entries_per_s(self) -> float:
        """How fast it went."""
        return self.entries / self.seconds if self.seconds else 0.0

    def take(self, piece: Piece) -> None:
        """Go on with the piece behind the last one."""
        self.found += piece.found - len(piece.findings)
        self.add(piece.findings)
        self.entries += piece.entries
        self.records += piece.records
        self.rows_of += piece.rows_of
        self.private.kept += piece.private.kept
        self.private.opened += piece.private.opened
        self.private.erased += piece.private.erased
        same = self.position is not None and piece.first is not None and self.position[0] == piece.first[0]
        self.tenants += piece.tenants - same
        self.position = piece.position or self.position


@dataclass(frozen=True, slots=True)
class Beside:
    """Further processes that may share the work. url: where they connect to, with the same rights."""

    url: str
    processes: int


async def verify(
    connection: Any, system: System, *, tenant: str | None = None, limit_s: float | None = None,
    progress: Progress | None = None, outside: Outside = NOTHING, earlier: Verification | None = None,
    beside: Beside | None = None, keyring: Keyring | None = None,
) -> Verification:  # fmt: skip
    """Check one tenant, or all of them (None), and the logs that they are sealed in.

    Stops after `limit_s` seconds, and says so. outside: what is known of the logs from elsewhere. earlier:
    what came of a verification that was stopped; this one goes on behind its last record, and has its
    findings, too: what was checked then isn't checked again, and is told as it was then. The logs are
    checked as a whole each time. beside: None: in this process alone, as where processes share no memory.
    keyring: the keys of keys, to open what is private; None: it isn't opened.

    Raises UsageError where the login may not see what it should check, EnvironmentFault where a process
    that shared the work has ended.
    """
    started = time.monotonic()
    until = None if limit_s is None else started + limit_s
    async with scan(connection, system, tenant) as snapshot:
        dropped = await snapshot.logs.dropped() is not None
        work = _Work(snapshot, system, await snapshot.boundaries(), earlier, dropped, keyring)
        await work.check_whole()
        total = await snapshot.count()
        shown = _Shown(progress, work.result.entries, total)
        spans = await snapshot.spans(work.result.position, total)
        processes = 1 if beside is None else min(beside.processes, total // ENTRIES_A_PROCESS_MIN)
        if beside is not None and processes > 1 and can_share():
            given = Given(beside.url, await snapshot.export(), row_forms(system), work.against)
            async with workers(given, processes) as shared:
                done = await work.share(shared, processes, spans, outside, until, shown)
        else:
            done = await work.follow(spans, outside, until, shown)
        if done:
            await work.finish()
    work.result.seconds += time.monotonic() - started
    return work.result


class _Shown:
    """How far it is, as it is told."""

    def __init__(self, progress: Progress | None, done: int, total: int) -> None:
        self._progress, self._done, self._total = progress, done, total

    def step(self, entries: int) -> None:
        """So many more were read."""
        self._done += entries
        if self._progress is not None:
            self._progress(self._done, self._total)


class _Work:
    """One verification on its way through the log."""

    def __init__(
        self,
        snapshot: Scan,
        system: System,
        boundaries: Boundaries,
        earlier: Verification | None,
        dropped: bool,
        keyring: Keyring | None,
    ) -> None:
        self._scan, self._system, self._boundaries = snapshot, system, boundaries
        shapes = {e.name: shape_of(e, json_fields(e), boundaries) for e in system.entities.values()}
        self.against = Against(boundaries, shapes, dropped, _waits_of(system), keyring)
        self.result = earlier or Verification()
        self._resumed = earlier is not None
        self._known = frozenset(self.result.findings)

    def report(self, findings: Sequence[Finding]) -> None:
        """Take findings about the whole, which an earlier part may have had already."""
        self.result.add([finding for finding in findings if finding not in self._known])

    async def follow(
        self, spans: Sequence[Span], outside: Outside, until: float | None, shown: _Shown
    ) -> bool:
        """Check the logs, then piece after piece; False where the time was over."""
        self.result.logs = await verify_logs(self._scan.logs, outside, self.report)
        for span in spans:
            piece = await check_piece(self._scan, self.against, span, until, shown.step)
            self.result.take(piece)
            if not piece.complete:
                return False
        return True

    async def share(
        self, shared: Workers, processes: int, spans: Sequence[Span], outside: Outside, until: float | None,
        shown: _Shown,
    ) -> bool:  # fmt: skip
        """The same with several processes. Pieces are taken in their order, whichever is done first."""
        logs = asyncio.ensure_future(shared.logs(outside))
        complete = True
        try:
            async with aclosing(_in_order(shared, processes, spans, until, shown)) as pieces:
                async for piece in pieces:
                    self.result.take(piece)
                    if not piece.complete:
                        complete = False
                        break
            self._take_logs(await logs)
        finally:
            logs.cancel()
        return complete

    def _take_logs(self, logs: LogsPiece) -> None:
        self.result.logs = logs.seen
        self.report(logs.findings)

    async def check_whole(self) -> None:
        """What isn't about one record: boundaries, transitions, tables."""
        found = [
            Finding.of_the_whole("boundary-altered", f"boundary {name[:16]}: its description isn't its own")
            for name in self._boundaries.altered
        ]
        stored = {edge for edge in await self._scan.edges() if edge[0] not in self._boundaries.altered}
        for boundary, kind, name, source, target in sorted(stored ^ self._boundaries.edges, key=str):
            said = f"{kind}.{name} from {source} to {target}"
            found.append(
                Finding.of_the_whole("edges-edited", f"boundary {boundary[:16]}: {said} was added or removed")
            )
        found += [
            Finding.of_the_whole("table-unknown", f"{self._system.name}.{table} belongs to no entity")
            for table in await self._scan.unknown_tables()
        ]
        found += [
            Finding.of_the_whole("table-unknown", f"{child} is read as a part of {parent}")
            for child, parent in await self._scan.inheriting_tables()
        ]
        self.report(found)

    async def finish(self) -> None:
        """Look for rows that no entry speaks of, for what is stuck and asks nobody, and for where the logs
        have what has erased."""
        for entity in self._system.entities.values():
            if self._resumed or await self._scan.row_count(entity) != self.result.rows_of[entity.name]:
                said = "there is a row, and no history"
                self.result.add(
                    [
                        Finding(tenant, entity.name, record, version, "", "history-missing", said)
                        for tenant, record, version in await self._scan.rows_without_history(entity)
                    ]
                )
        self.result.add([_of_stuck(*found) for found in await self._scan.stuck_and_asked()])
        self.result.add(await check_blind(self._scan, self._system))
        if erasing := {entry for entry in self.result.private.erased if entry}:
            self.result.private.leaves = await self._scan.leaves(erasing)
        self.result.complete = True


async def _in_order(
    shared: Workers, processes: int, spans: Sequence[Span], until: float | None, shown: _Shown
) -> AsyncGenerator[Piece]:
    """What comes of the spans, in their order; so many more than there are processes are under way."""
    ahead = list[asyncio.Future[Piece]]()
    waiting = list(reversed(spans))
    try:
        while waiting or ahead:
            while waiting and len(ahead) < 2 * processes:
                piece = asyncio.ensure_future(shared.piece(waiting.pop(), until))
                piece.add_done_callback(lambda done: shown.step(_entries_of(done)))
                ahead.append(piece)
            yield await ahead[0]
            del ahead[0]
    finally:
        for piece in ahead:
            piece.cancel()


def _waits_of(system: System) -> dict[str, frozenset[str]]:
    """Of the kinds whose records may wait for something, the names of their calls and times."""
    found = dict[str, frozenset[str]]()
    for entity in system.entities.values():
        times = {t.name for t in entity.transitions.values() if isinstance(t.trigger, OnTime)}
        if times or entity.effects or any(t.task is not None for t in entity.transitions.values()):
            found[entity.name] = frozenset({*times, *entity.effects})
    return found


def _of_stuck(tenant: str, kind: str, record: str, version: int, name: str, missing: bool) -> Finding:
    if missing:
        said = f"{name} is stuck, and nobody is asked to see to it"
        return Finding(tenant, kind, record, version, "", "task-missing", said)
    return Finding(tenant, kind, record, version, "", "task-unknown", f"{name} is asked for, and isn't stuck")


def _entries_of(piece: asyncio.Future[Piece]) -> int:
    return 0 if piece.cancelled() or piece.exception() is not None else piece.result().entries
