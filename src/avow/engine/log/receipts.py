"""Receipts: which entry of a record makes a claim true, and the proof that it was sealed.

Both doors ask here. A receipt shows one entry as a whole. So only somebody gets it who may see all of that:
every field of the record, and every other record that the entry names. It must never seal or write.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from avow.engine.explain import WINDOWS_MAX, Operator, Reader, View
from avow.errors import ProblemError, reject
from avow.evidence.claim_types import typed
from avow.evidence.note import Signer
from avow.evidence.receipt import sign_head, write_receipt
from avow.evidence.verifier import Head, Invalid, moment, parse_note
from avow.evidence.verifier.claim import Condition, holds, parse_claim, written
from avow.evidence.verifier.receipt import parse_header
from avow.model.entity import Entity
from avow.model.system import System
from avow.store.log.reads import Borrow, LogReads, SealedEntry, StoredCheckpoint
from avow.store.log.witnesses import Cosignatures
from avow.store.reads import ENTRIES_MAX, Reads

WAIT_S_MAX: Final = 10.0
"""How long one may wait for an entry to be sealed."""
LOOK_S: Final = 0.05
_FORM: Final = "it is made of conditions such as state = captured, joined by &."


@dataclass(frozen=True, slots=True)
class Asked:
    """The receipt that is wanted. version: None: of the newest entry that makes the claim true.

    wait_s: how long to wait for the seal. current: who signs what the record's newest entry is; None: not
    wanted.
    """

    entity: Entity
    record: UUID
    claim: str
    version: int | None = None
    wait_s: float = 0.0
    current: Signer | None = None


@dataclass(frozen=True, slots=True)
class Issued:
    """A receipt. text: the file. log: the verifier key of its log. at: when the checkpoint was made."""

    text: str
    claim: str
    version: int
    index: int
    size: int
    log: str
    at: datetime
    witnesses: tuple[str, ...]

    @property
    def document(self) -> dict[str, Any]:
        """As JSON: the file itself, and what it says, for who doesn't want to take it apart."""
        return {
            "claim": self.claim,
            "version": self.version,
            "leaf": self.index,
            "size": self.size,
            "log": self.log,
            "sealed_at": moment(int(self.at.timestamp())),
            "witnesses": list(self.witnesses),
            "receipt": self.text,
        }


class Logs:
    """Where proofs come from: the logs, and what witnesses signed of them."""

    def __init__(self, borrow: Borrow) -> None:
        self.reads, self.cosignatures = LogReads(borrow), Cosignatures(borrow)


async def issue(system: System, reads: Reads, logs: Logs, reader: Reader, asked: Asked) -> Issued | None:
    """A receipt; None for a record that may not be read.

    Raises ProblemError: `input-invalid` for what is no claim about such a record, `forbidden` for somebody
    who may not see all that a receipt shows, `claim-unproved` where no entry makes the claim true,
    `not-sealed` where that entry isn't sealed yet.
    """
    try:
        read = parse_claim(asked.claim)
    except Invalid:
        told = {"parameter": "claim", "in": "query", "code": "claim", "detail": _FORM}
        raise reject("input-invalid", f"The claim can't be read: {_FORM}", errors=[told]) from None
    view, key = View(system, reads, reader), (asked.entity.name, asked.record)
    sight = await view.sight(key)
    if sight is None:
        return None
    if not sight.everything:
        raise reject(
            "forbidden", "A receipt shows every field of the entry, and you may not see all of them."
        )
    try:
        claim = typed(read, asked.entity)
    except Invalid as error:
        raise reject("claim-unproved", f"{error}.") from None
    version = await _version(view, reads, reader, asked, claim)
    entry, checkpoint = await _sealed(logs, reader.tenant, asked, version)
    await _demand_seen(view, parse_header(entry.header))
    head = None if asked.current is None else await _head(logs, reader.tenant, asked, checkpoint)
    return await _written(logs, claim, entry, checkpoint, head)


async def _version(
    view: View, reads: Reads, reader: Reader, asked: Asked, claim: tuple[Condition, ...]
) -> int:
    """The newest version whose entry makes the claim true, or the one that was asked for."""
    end = await view.newest((asked.entity.name, asked.record)) if asked.version is None else asked.version
    why = "No entry of the record makes the claim true; a claim is about what one entry has set."
    for _ in range(WINDOWS_MAX):
        start = max(0, end - ENTRIES_MAX) if asked.version is None else end - 1
        for stored in reversed(await reads.entries(reader.tenant, asked.entity.name, asked.record, start)):
            if stored.version > end or asked.version not in (None, stored.version):
                continue
            try:
                if holds(claim, parse_header(stored.header)):
                    return stored.version
                why = why if asked.version is None else f"Version {stored.version} says otherwise."
            except Invalid as error:
                why = why if asked.version is None else f"{error}.".capitalize()
        end = start
        if asked.version is not None or end == 0:
            break
    raise reject("claim-unproved", await _dropped(reads, reader, asked) or why)


async def _dropped(reads: Reads, reader: Reader, asked: Asked) -> str:
    """That the entries were dropped which might make the claim true; empty where none were."""
    gone = await reads.dropped(reader.tenant, asked.entity.name, asked.record)
    if gone is None or (asked.version or 0) > gone.upto:
        return ""
    told = gone.text if isinstance(reader, Operator) else "dropped from the database"
    return f"The entries up to version {gone.upto} were {told}; what is left doesn't make the claim true."


async def _sealed(
    logs: Logs, tenant: str, asked: Asked, version: int
) -> tuple[SealedEntry, StoredCheckpoint]:
    """The entry with the checkpoint that its receipt rests on, when it has one, within the time to wait."""
    deadline = time.monotonic() + min(asked.wait_s, WAIT_S_MAX)
    while True:
        entry = await logs.reads.entry(tenant, asked.entity.name, asked.record, version)
        if entry is not None and entry.epoch is not None and entry.index is not None:
            checkpoint = await _checkpoint(logs, entry.epoch, entry.index, newest=asked.current is not None)
            if checkpoint is not None:
                return entry, checkpoint
        if time.monotonic() >= deadline:
            raise await _unsealed(logs)
        await asyncio.sleep(LOOK_S)


async def _unsealed(logs: Logs) -> ProblemError:
    if await logs.reads.head() is None:
        return reject("not-sealed", "Nothing of this service was ever sealed: it has no log yet.")
    return ProblemError(reject("not-sealed").problem, {"Retry-After": "1"})


async def _checkpoint(logs: Logs, epoch: int, index: int, *, newest: bool) -> StoredCheckpoint | None:
    """The earliest checkpoint over a leaf, as it says most about when; of those with the most witnesses.

    With `newest` the latest.
    """
    if newest:
        found = await logs.reads.newest_checkpoint(epoch)
        return found if found is not None and found.size > index else None
    witnessed = await logs.cosignatures.checkpoint_over(epoch, index)
    return witnessed or await logs.reads.checkpoint_over(epoch, index)


async def _demand_seen(view: View, header: Any) -> None:
    """The entry names other records: what caused it, and what it rested on."""
    named = [(kind, record) for kind, record, _ in header["reads"]]
    if header["cause"] is not None:
        named.append((header["cause"]["kind"], header["cause"]["id"]))
    for kind, record in named:
        if await view.sight((kind, UUID(record))) is None:
            raise reject(
                "forbidden", "A receipt shows which records the entry rested on; you may not see one."
            )


async def _head(logs: Logs, tenant: str, asked: Asked, checkpoint: StoredCheckpoint) -> str | None:
    """What the log says is the record's newest entry at this checkpoint."""
    if (
        asked.current is None
        or parse_note(checkpoint.note.encode()).text.split("\n")[0] != asked.current.name
    ):
        raise reject(
            "claim-unproved", "The entry is in an earlier log, which says nothing about what is newest."
        )
    newest = await logs.reads.head_at(
        tenant, asked.entity.name, asked.record, checkpoint.epoch, checkpoint.size
    )
    if newest is None:
        return None
    head = Head(asked.entity.name, str(asked.record), tenant, newest.version, newest.hash, checkpoint.size)
    return sign_head(asked.current, head)


async def _written(
    logs: Logs, claim: tuple[Condition, ...], entry: SealedEntry, checkpoint: StoredCheckpoint,
    head: str | None,
) -> Issued:  # fmt: skip
    index = entry.index or 0
    proof = await logs.reads.inclusion(checkpoint.epoch, index, checkpoint.size)
    [epoch] = [each for each in await logs.reads.epochs() if each.epoch == checkpoint.epoch]
    lines = await logs.cosignatures.lines(checkpoint.epoch, checkpoint.size)
    note = checkpoint.note + "".join(lines)
    text = write_receipt(written(claim), entry.header, index, proof, note, head)
    names = tuple(line.split(" ")[1] for line in lines)
    return Issued(
        text, written(claim), entry.version, index, checkpoint.size, epoch.key, checkpoint.at, names
    )
