"""Does everything that is stored still agree with itself: every chain, every row, every long value?

Streams the log once, rebuilds each record from it and compares with the live row, all in one snapshot.
It must never write, and never stop at the first difference unless it is told to.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from avow.engine.verify_log import LogsSeen, Outside, verify_logs
from avow.evidence.boundaries import Boundaries, shape_of
from avow.evidence.chain import RecordCheck
from avow.evidence.finding import Finding
from avow.model.system import System
from avow.store.audit_scan import Scan, logged, scan
from avow.store.canonical_columns import json_fields

FINDINGS_KEPT_MAX = 1_000
"""How many findings are kept to be shown; further ones are only counted."""

NOTHING = Outside()
"""Nothing is known from outside."""

Progress = Callable[[int, int], None]
"""Is told how many entries are done, and how many there are."""


@dataclass(slots=True)
class Verification:
    """What was checked and what was found, in the records and in the logs.

    complete: false when the time was over before the end. seconds: how long it took.
    position: the last record that was checked to its end (tenant, kind, id), to go on from; None: none was.
    """

    entries: int = 0
    records: int = 0
    rows: int = 0
    tenants: int = 0
    seconds: float = 0.0
    found: int = 0
    findings: list[Finding] = field(default_factory=list[Finding])
    complete: bool = False
    position: tuple[str, str, str] | None = None
    logs: LogsSeen = field(default_factory=LogsSeen)

    @property
    def entries_per_s(self) -> float:
        """How fast it went."""
        return self.entries / self.seconds if self.seconds else 0.0

    def add(self, findings: Sequence[Finding]) -> None:
        """Count findings, and keep them while there is room."""
        self.found += len(findings)
        self.findings.extend(findings[: FINDINGS_KEPT_MAX - len(self.findings)])


async def verify(
    connection: Any, system: System, *, tenant: str | None = None, limit_s: float | None = None,
    progress: Progress | None = None, outside: Outside = NOTHING, earlier: Verification | None = None,
) -> Verification:  # fmt: skip
    """Check one tenant, or all of them (None), and the logs that they are sealed in.

    Stops after `limit_s` seconds, and says so. outside: what is known of the logs from elsewhere. earlier:
    what came of a verification that was stopped; this one goes on behind its last record, and has its
    findings, too. The logs are checked as a whole each time.

    Raises UsageError where the login may not see what it should check.
    """
    started = time.monotonic()
    async with scan(connection, system, tenant) as snapshot:
        work = _Work(snapshot, system, await snapshot.boundaries(), earlier)
        await work.check_whole()
        work.result.logs = await verify_logs(snapshot.logs, outside, work.report)
        total = await snapshot.count()
        async with aclosing(snapshot.batches(work.result.position)) as batches:
            async for rows in batches:
                await work.check(rows)
                if progress is not None:
                    progress(work.result.entries, total)
                if limit_s is not None and time.monotonic() - started > limit_s:
                    work.leave()
                    break
            else:
                await work.finish()
    work.result.seconds += time.monotonic() - started
    return work.result


class _Work:
    """One verification on its way through the log."""

    def __init__(
        self, snapshot: Scan, system: System, boundaries: Boundaries, earlier: Verification | None
    ) -> None:
        self._scan, self._system, self._boundaries = snapshot, system, boundaries
        self._shapes = {e.name: shape_of(e, json_fields(e), boundaries) for e in system.entities.values()}
        self._rows_seen = dict.fromkeys(system.entities, 0)
        self._open: RecordCheck | None = None
        self._done = list[RecordCheck]()
        self._open_entries = 0
        self.result = earlier or Verification()
        self._tenant = None if self.result.position is None else self.result.position[0]
        self._resumed = earlier is not None
        self._known = frozenset(self.result.findings)

    def report(self, findings: Sequence[Finding]) -> None:
        """Take findings about the whole, which an earlier part may have had already."""
        self.result.add([finding for finding in findings if finding not in self._known])

    async def check_whole(self) -> None:
        """What isn't about one record: boundaries, transitions, tables."""
        found = [
            _about_whole("boundary-altered", f"boundary {name[:16]}: its description was edited")
            for name in self._boundaries.altered
        ]
        stored = {edge for edge in await self._scan.edges() if edge[0] not in self._boundaries.altered}
        for boundary, kind, name, source, target in sorted(stored ^ self._boundaries.edges, key=str):
            said = f"{kind}.{name} from {source} to {target}"
            found.append(
                _about_whole("edges-edited", f"boundary {boundary[:16]}: {said} was added or removed")
            )
        found += [
            _about_whole("table-unknown", f"{self._system.name}.{table} belongs to no entity")
            for table in await self._scan.unknown_tables()
        ]
        self.report(found)

    async def check(self, rows: Sequence[Any]) -> None:
        """Follow a batch of entries; conclude every record that it ends."""
        check = self._open
        shapes, boundaries = self._shapes, self._boundaries
        self._open_entries += len(rows)
        for place, row in enumerate(rows):
            _, tenant, kind, record, *_ = row
            if check is None or record != check.record or kind != check.kind or tenant != check.tenant:
                if check is not None:
                    self._done.append(check)
                check = RecordCheck(boundaries, shapes.get(kind), tenant, kind, record)
                self._open_entries = len(rows) - place
                if tenant != self._tenant:
                    self._tenant = tenant
                    self.result.tenants += 1
            check.follow(logged(row))
        self._open = check
        self.result.entries += len(rows)
        await self._check_payloads(rows)
        await self._conclude()

    def leave(self) -> None:
        """Stop here. A record that isn't at its end will be read again."""
        self.result.entries -= self._open_entries

    async def finish(self) -> None:
        """Conclude the last record, and look for rows that no entry speaks of."""
        if self._open is not None:
            self._done.append(self._open)
        await self._conclude()
        for entity in self._system.entities.values():
            if self._resumed or await self._scan.row_count(entity) != self._rows_seen[entity.name]:
                said = "there is a row, and no history"
                self.result.add(
                    [
                        Finding(tenant, entity.name, record, version, "", "history-missing", said)
                        for tenant, record, version in await self._scan.rows_without_history(entity)
                    ]
                )
        self.result.complete = True

    async def _conclude(self) -> None:
        """Compare the records that are done with their rows."""
        done, self._done = self._done, []
        kinds = dict[str, list[RecordCheck]]()
        for check in done:
            kinds.setdefault(check.kind, []).append(check)
        for kind, checks in kinds.items():
            known = kind in self._shapes
            live = await self._scan.rows(kind, [(c.tenant, c.record) for c in checks]) if known else {}
            if known:
                self._rows_seen[kind] += len(live)
            for check in checks:
                check.conclude(live.get((check.tenant, check.record)))
                if check.findings:
                    self.result.add(check.findings)
            self.result.rows += len(live)
        self.result.records += len(done)
        if done:
            self.result.position = (done[-1].tenant, done[-1].kind, done[-1].record)

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
                self.result.add([Finding(row[1], row[2], row[3], row[4], name, code, detail)])


def _about_whole(code: str, detail: str) -> Finding:
    return Finding("", "", "", 0, "", code, detail)


def _named(header: bytes) -> list[tuple[str, bytes]]:
    """The long values that a header names, with their fields or arguments; none where it is damaged."""
    try:
        read = json.loads(header)
        held = {**read.get("input_sha256", {}), **read.get("changes_sha256", {})}
        return [(name, bytes.fromhex(sha)) for name, sha in held.items()]
    except (ValueError, TypeError, AttributeError, RecursionError):
        return []
