"""The records of one piece of the log: every chain against itself and against its row.

A piece is checked by itself, in this process or in another one; what it is checked against is plain data.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from avow.engine.privacy import Keyring, Reader
from avow.engine.verify.private import PrivateSeen, check_private
from avow.evidence.awaited import Waiting, key_of
from avow.evidence.boundaries import Boundaries, Shape
from avow.evidence.chain import RecordCheck
from avow.evidence.finding import Finding
from avow.store.log.audit_scan import EntryScan, Position, Span

NOTHING = Waiting({}, frozenset())
"""What is kept of a record that waits for nothing."""
FINDINGS_KEPT_MAX = 1_000
"""How many findings are kept to be shown; further ones are only counted."""

Step = Callable[[int], None]
"""Is told that so many more entries were read."""


@dataclass(frozen=True, slots=True)
class Against:
    """What records are checked against.

    shapes: of the rows of each kind. dropped: entries were. waits: of the kinds that wait for something the
    names of the calls and times that are declared. keyring: the keys of keys, where they are at hand.
    """

    boundaries: Boundaries
    shapes: Mapping[str, Shape]
    dropped: bool = False
    waits: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    keyring: Keyring | None = None


@dataclass(slots=True)
class Piece:
    """What came of checking some records, in order.

    rows_of: how many rows, by kind. found: how many findings, of which the first are kept. first, position:
    the first and the last record that were checked to their end. complete: false where the time was over
    before the end.
    """

    entries: int = 0
    records: int = 0
    tenants: int = 0
    rows_of: Counter[str] = field(default_factory=Counter[str])
    found: int = 0
    findings: list[Finding] = field(default_factory=list[Finding])
    private: PrivateSeen = field(default_factory=PrivateSeen)
    first: Position | None = None
    position: Position | None = None
    complete: bool = False

    @property
    def rows(self) -> int:
        """How many rows were compared."""
        return self.rows_of.total()

    def add(self, findings: Sequence[Finding]) -> None:
        """Count findings, and keep them while there is room."""
        self.found += len(findings)
        self.findings.extend(findings[: max(0, FINDINGS_KEPT_MAX - len(self.findings))])


async def check_piece(
    scan: EntryScan, against: Against, span: Span, until: float | None = None, step: Step | None = None
) -> Piece:
    """Check the records of a span. until: when to stop, by the monotonic clock, behind some record."""
    work = _Work(scan, against)
    async with aclosing(scan.batches(span)) as batches:
        async for rows in batches:
            await work.check(rows)
            if step is not None:
                step(len(rows))
            if until is not None and time.monotonic() > until:
                work.leave()
                return work.piece
    await work.finish()
    return work.piece


class _Work:
    """One piece on its way."""

    def __init__(self, scan: EntryScan, against: Against) -> None:
        self._scan, self._against = scan, against
        self._reader = None if against.keyring is None else Reader(against.keyring)
        self._open: RecordCheck | None = None
        self._done = list[RecordCheck]()
        self._open_entries = 0
        self._tenant: str | None = None
        self.piece = Piece()

    async def check(self, rows: Sequence[Any]) -> None:
        """Follow a batch of entries; conclude every record that it ends."""
        check = self._open
        tenant, kind, record = (
            (None, None, None) if check is None else (check.tenant, check.kind, check.record)
        )
        self._open_entries += len(rows)
        stubs = await self._stubs(rows)
        for place, row in enumerate(rows):
            if check is None or row[3] != record or row[2] != kind or row[1] != tenant:
                if check is not None:
                    self._done.append(check)
                _, tenant, kind, record, *_ = row
                check = self._begin(tenant, kind, record)
                if stubs and (stub := stubs.get((tenant, kind, record))) is not None:
                    check.go_on_from(*stub)
                self._open_entries = len(rows) - place
            check.follow(row)
        self._open = check
        self.piece.entries += len(rows)
        await self._check_payloads(rows)
        boundaries, private = self._against.boundaries, self.piece.private
        self.piece.add(await check_private(self._scan, boundaries, self._reader, rows, private))
        await self._conclude()

    async def _stubs(self, rows: Sequence[Any]) -> Mapping[Position, tuple[int, int, bytes]]:
        """What the first entries of those records go on from that don't begin at version 1."""
        if not self._against.dropped:
            return {}
        begun = None if self._open is None else _position(self._open)
        later = {(row[1], row[2], row[3]) for row in rows if row[4] > 1}
        later -= {(row[1], row[2], row[3]) for row in rows if row[4] == 1}
        later.discard(begun or ("", "", ""))
        return await self._scan.stubs(sorted(later)) if later else {}

    def _begin(self, tenant: str, kind: str, record: str) -> RecordCheck:
        if tenant != self._tenant:
            self._tenant = tenant
            self.piece.tenants += 1
        return RecordCheck(self._against.boundaries, self._against.shapes.get(kind), tenant, kind, record)

    def leave(self) -> None:
        """Stop here. A record that isn't at its end will be read again."""
        self.piece.entries -= self._open_entries
        if self._tenant != (None if self.piece.position is None else self.piece.position[0]):
            self.piece.tenants -= 1

    async def finish(self) -> None:
        """Conclude the last record."""
        if self._open is not None:
            self._done.append(self._open)
        await self._conclude()
        self.piece.complete = True

    async def _conclude(self) -> None:
        """Compare the records that are done with their rows."""
        done, self._done = self._done, []
        kinds = dict[str, list[RecordCheck]]()
        for check in done:
            kinds.setdefault(check.kind, []).append(check)
        piece = self.piece
        for kind, checks in kinds.items():
            known = kind in self._against.shapes
            live = await self._scan.rows(kind, [(c.tenant, c.record) for c in checks]) if known else {}
            piece.rows_of[kind] += len(live)
            for check in checks:
                check.conclude(live.get((check.tenant, check.record)))
            if known and kind in self._against.waits:
                await self._compare_waiting(kind, checks)
            for check in checks:
                if check.findings:
                    piece.add(check.findings)
        piece.records += len(done)
        if done:
            piece.first = piece.first or _position(done[0])
            piece.position = _position(done[-1])

    async def _compare_waiting(self, kind: str, checks: Sequence[RecordCheck]) -> None:
        """Compare what records wait for with the queue and the inboxes."""
        kept = await self._scan.waiting(kind, [(c.tenant, c.record) for c in checks])
        lost = list[tuple[RecordCheck, str, UUID]]()
        for check in checks:
            found = check.compare_waiting(
                kept.get((check.tenant, check.record), NOTHING), self._against.waits[kind]
            )
            for name, wait in found.items():
                key = key_of(check.tenant, kind, check.record, name, wait.version)
                if wait.call:
                    check.report_lost(name)
                else:
                    lost.append((check, name, key))
        if lost:
            passed = await self._scan.passed(kind, [(c.tenant, c.record) for c, _, _ in lost])
            for check, name, key in lost:
                if key not in passed:
                    check.report_lost(name)

    async def _check_payloads(self, rows: Sequence[Any]) -> None:
        """The long values that these entries name must be there, and have their hash."""
        named = [(row, name, sha) for row in rows if b'_sha256":{' in row[5] for name, sha in _named(row[5])]
        if not named:
            return
        held = await self._scan.payloads({(row[1], sha) for row, _, sha in named})
        for row, name, sha in named:
            sound = held.get((row[1], sha))
            if not sound:
                code = "payload-missing" if sound is None else "payload-altered"
                detail = f"the long value {sha.hex()[:16]} " + ("is gone" if sound is None else "was edited")
                self.piece.add([Finding(row[1], row[2], row[3], row[4], name, code, detail)])


def _position(check: RecordCheck) -> Position:
    return (check.tenant, check.kind, check.record)


def _named(header: bytes) -> list[tuple[str, bytes]]:
    """The long values that a header names, with their fields or arguments; none where it is damaged."""
    try:
        read = json.loads(header)
        held = {**read.get("input_sha256", {}), **read.get("changes_sha256", {})}
        return [(name, bytes.fromhex(sha)) for name, sha in held.items()]
    except (ValueError, TypeError, AttributeError, RecursionError):
        return []
