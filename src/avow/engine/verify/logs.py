"""Are the entries in the log that was signed: every leaf an entry, every entry a leaf, every root the signed
one?

And is it the log that somebody outside of the database remembers. It must never write.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from avow.evidence.checkpoint import NO_CHECKPOINT, open_checkpoint
from avow.evidence.finding import Finding
from avow.evidence.log_check import Doubt, LogCheck, Saved
from avow.evidence.merkle import NODE_LEVELS
from avow.evidence.note import check_line
from avow.evidence.verifier import Invalid, VerifierKey, parse_key
from avow.store.log.scan import LEAVES_AT_ONCE, LeafName, LogRow, LogScan

SUSPECTS_MAX = 20
"""How many records are named where the leaves of a checkpoint aren't those that it was signed over."""

Report = Callable[[Sequence[Finding]], None]


@dataclass(frozen=True, slots=True)
class Outside:
    """What is known from outside of the database: keys of logs, and checkpoints that they have signed."""

    keys: Sequence[VerifierKey] = ()
    saved: Sequence[Saved] = ()


@dataclass(slots=True)
class LogsSeen:
    """What was seen of the logs.

    leaves: of all logs. unsealed: entries without a leaf. newest, covered, root: the newest log, how many
    leaves its checkpoint covers, and the root over them in hexadecimal. compared: saved checkpoints.
    dropped: of how many leaves the entries were, when last, and where they were exported to; None: of none.
    """

    epochs: int = 0
    leaves: int = 0
    checkpoints: int = 0
    unsealed: int = 0
    newest: str = ""
    covered: int = 0
    root: str = ""
    dropped: tuple[int, datetime, str] | None = None
    compared: list[str] = field(default_factory=list[str])


async def verify_logs(scan: LogScan, outside: Outside, report: Report) -> LogsSeen:
    """Check every log of the database from its first leaf on."""
    seen, logs = LogsSeen(), await scan.logs()
    for log in logs:
        await _Log(scan, log, outside, report).check(logs[: log.epoch - 1], seen)
    known = {log.origin for log in logs}
    if logs and logs[-1].stack is None:
        said = f"{logs[-1].origin}: nothing says how far it has come, so nothing is sealed any more"
        report([Finding.of_the_whole("log-altered", said)])
    for saved in outside.saved:
        seen.compared.append(saved.where)
        if saved.checkpoint.origin not in known:
            detail = f"there is no log {saved.checkpoint.origin}, which {saved.where} is of"
            report([Finding.of_the_whole("log-cut", detail)])
    seen.unsealed = await scan.unsealed()
    seen.dropped = await scan.dropped()
    if logs:
        said = "its number was passed without it: it was added by hand"
        report([_named(name, "leaf-missing", said) for name in await scan.passed_over()])
    return seen


class _Log:
    """One log on its way."""

    def __init__(self, scan: LogScan, log: LogRow, outside: Outside, report: Report) -> None:
        self._scan, self._log, self._outside, self._report = scan, log, outside, report

    async def check(self, earlier: Sequence[LogRow], seen: LogsSeen) -> None:
        """All of it: what is said of it, its leaves, what they add up to."""
        log = self._log
        seen.epochs += 1
        try:
            key = parse_key(log.key)
        except Invalid as error:
            self._doubt("log-altered", f"its key can't be read: {error}")
            return
        self._compare_key(key)
        check = LogCheck(key, self._outside.saved)
        await self._follow(check)
        await self._link(earlier)
        await self._witnesses()
        check.conclude()
        for doubt in check.doubts:
            await self._tell(doubt)
        seen.leaves += check.size
        seen.checkpoints += check.checkpoints
        seen.newest, seen.covered = log.origin, log.covered or 0
        seen.root = check.root.hex() if check.size == seen.covered else ""

    async def _follow(self, check: LogCheck) -> None:
        """Every leaf, in batches."""
        log, scan = self._log, self._scan
        size = log.size or 0
        while check.size < size:
            first, end = check.size, min(size, check.size + LEAVES_AT_ONCE)
            leaves = await scan.leaves(log.epoch, first, end)
            for name in await scan.strangers(log.epoch, first, end):
                code = "entry-removed" if name.gone else "leaf-altered"
                said = f"leaf {name.index:,} is of an entry that " + (
                    "is gone" if name.gone else "says otherwise"
                )
                self._report([_named(name, code, said)])
            if len(leaves) < end - first:
                self._doubt(
                    "log-cut", f"of its leaves {first:,} to {end - 1:,} there are only {len(leaves):,}"
                )
                return
            nodes = await scan.nodes(log.epoch, first, end)
            check.take(leaves, nodes, await scan.checkpoints(log.epoch, first, end))
        await self._compare_state(check)

    async def _compare_state(self, check: LogCheck) -> None:
        """What is said of the log as a whole is what its leaves come to."""
        log = self._log
        if await self._scan.leaves(log.epoch, check.size, check.size + 1):
            self._doubt("log-altered", f"there are leaves beyond its size, {check.size:,}")
        if log.covered != check.size and check.size:
            self._doubt(
                "log-altered", f"its {check.size:,} leaves have no checkpoint: the newest has {log.covered}"
            )
        if log.stack is not None and list(log.stack) != check.stack:
            self._doubt("log-altered", "what the sealer goes on from isn't what the leaves come to")
        expected = sum(check.size >> NODE_LEVELS * level for level in range(1, 8))
        if await self._scan.node_count(log.epoch) != expected:
            self._doubt("node-altered", f"a log of {check.size:,} leaves has {expected:,} nodes")

    async def _witnesses(self) -> None:
        """What is kept of witnesses is by the key that it is kept under, and over this log's checkpoint."""
        async for kept in self._scan.cosignatures(self._log.epoch):
            try:
                if kept.note is None:
                    raise Invalid("there is no such checkpoint")
                check_line(kept.note, kept.line, kept.key)
            except Invalid as error:
                said = f"of checkpoint {kept.size:,} by {kept.key.partition('+')[0][:60]}: {error}"
                self._doubt("cosignature-altered", f"the cosignature {said}")

    async def _link(self, earlier: Sequence[LogRow]) -> None:
        """An epoch begins with the newest checkpoint of the one before, which nothing was added to."""
        log = self._log
        if log.previous is None:
            if log.epoch > 1:
                self._doubt("log-altered", "it doesn't say what it goes on from")
            return
        leaf = sha256(b"\x00" + log.previous.encode()).digest()
        if await self._scan.leaves(log.epoch, 0, 1) != [leaf]:
            self._doubt("log-altered", "its first leaf isn't the checkpoint that it goes on from")
        before = earlier[-1] if earlier else None
        if log.previous == NO_CHECKPOINT and before is not None and not before.covered:
            return
        try:
            if before is None or before.epoch != log.epoch - 1:
                raise Invalid("the log before it is missing")
            last = open_checkpoint(log.previous.encode(), parse_key(before.key)).checkpoint
        except Invalid as error:
            self._doubt("log-altered", f"what it goes on from: {error}")
            return
        if (before.covered or 0) > last.size:
            self._doubt("log-altered", f"{before.origin} went on after {log.origin} had begun")

    def _compare_key(self, key: VerifierKey) -> None:
        for known in self._outside.keys:
            if known.name == key.name and known.public != key.public:
                self._doubt("log-altered", "its key isn't the one that is known outside")

    async def _tell(self, doubt: Doubt) -> None:
        """A doubt, by the names of the records that it may be about."""
        names = await self._scan.names(self._log.epoch, doubt.leaves, SUSPECTS_MAX) if doubt.leaves else []
        if names:
            self._report([_named(name, doubt.code, f"{self._log.origin}: {doubt.detail}") for name in names])
        else:
            self._doubt(doubt.code, doubt.detail)

    def _doubt(self, code: str, detail: str) -> None:
        self._report([Finding.of_the_whole(code, f"{self._log.origin}: {detail}")])


def _named(name: LeafName, code: str, detail: str) -> Finding:
    return Finding(name.tenant, name.kind, name.id, name.version, "", code, detail)
