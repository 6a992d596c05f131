"""The proof that an entry is in its log, with all that a receipt has beside it.

Who asks, and whether they may see it, is settled before. It must never seal or write.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from avow.engine.log.erasures import Gone, Named, erased_of, sign_what_is_gone, signer_for
from avow.engine.log.key import Keys
from avow.errors import reject
from avow.evidence.note import Signer, check_line
from avow.evidence.receipt import sign_head, write_receipt
from avow.evidence.verifier import Head, Invalid, moment, parse_note
from avow.store.log.reads import Borrow, LogReads, SealedEntry, StoredCheckpoint
from avow.store.log.witnesses import Cosignatures


@dataclass(frozen=True, slots=True)
class Issued:
    """A receipt. text: the file. log: the verifier key of its log. at: when the checkpoint was made. erased:
    what is gone of the entry's private values."""

    text: str
    claim: str
    version: int
    index: int
    size: int
    log: str
    at: datetime
    witnesses: tuple[str, ...]
    erased: tuple[Gone, ...]

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
            "erased": [one.document for one in self.erased],
            "receipt": self.text,
        }


class Logs:
    """Where proofs come from: the logs, and what witnesses signed of them.

    keys: whose signature says what was erased; None: nobody's does.
    """

    def __init__(self, borrow: Borrow, keys: Keys | None = None) -> None:
        self.reads, self.cosignatures, self.keys = LogReads(borrow), Cosignatures(borrow), keys


Choose: TypeAlias = Callable[[Logs, int, int], Awaitable[StoredCheckpoint | None]]
"""Which checkpoint of a log (its epoch), over a leaf, a receipt rests on."""


async def first_over(logs: Logs, epoch: int, index: int) -> StoredCheckpoint | None:
    """The earliest, as it says most about when; of those with the most witnesses."""
    witnessed = await logs.cosignatures.checkpoint_over(epoch, index)
    return witnessed or await logs.reads.checkpoint_over(epoch, index)


async def newest_over(logs: Logs, epoch: int, index: int) -> StoredCheckpoint | None:
    """The newest."""
    found = await logs.reads.newest_checkpoint(epoch)
    return found if found is not None and found.size > index else None


async def newest_witnessed_over(logs: Logs, epoch: int, index: int) -> StoredCheckpoint | None:
    """The newest that witnesses stand for, where one does: else whoever asks for them would refuse it."""
    found = await logs.cosignatures.newest_checkpoint(epoch)
    return found if found is not None and found.size > index else await newest_over(logs, epoch, index)


@dataclass(frozen=True, slots=True)
class Shown:
    """What is to be shown: the claim, as it is written, and the record that makes it true.

    choose: which checkpoint it rests on. current: who signs what the record's newest entry is; None: not
    wanted. deadline: until when to wait for seals, by the monotonic clock.
    """

    claim: str
    of: Named
    choose: Choose
    current: Signer | None
    deadline: float


async def prove(logs: Logs, shown: Shown, entry: SealedEntry) -> Issued | None:
    """The receipt of an entry; None where no checkpoint covers it. Raises ProblemError `claim-unproved` where
    the log that has the entry isn't the one that says what is newest."""
    if entry.epoch is None or entry.index is None:
        return None
    [log] = [each for each in await logs.reads.epochs() if each.epoch == entry.epoch]
    erased = await erased_of(logs.reads, shown.of, entry, shown.deadline)
    here = [one.index for one in erased if one.epoch == entry.epoch and one.index is not None]
    signer = await signer_for(logs.keys, log.key) if here else None
    checkpoint = await shown.choose(logs, entry.epoch, max([entry.index, *(here if signer else ())]))
    if checkpoint is None:
        return None
    head = await _head(logs, shown, checkpoint)
    said, gone = await sign_what_is_gone(signer, entry, checkpoint.size, erased)
    proof = await logs.reads.inclusion(checkpoint.epoch, entry.index, checkpoint.size)
    lines = await _witnessed(logs, checkpoint)
    note = checkpoint.note + "".join(lines)
    text = write_receipt(shown.claim, entry.header, entry.index, proof, note, head, said)
    witnesses = tuple(line.split(" ")[1] for line in lines)
    return Issued(
        text, shown.claim, entry.version, entry.index, checkpoint.size, log.key, checkpoint.at, witnesses,
        gone,
    )  # fmt: skip


async def _witnessed(logs: Logs, checkpoint: StoredCheckpoint) -> list[str]:
    """What witnesses signed the checkpoint with. A line that isn't theirs would make the receipt invalid for
    whoever asks for that witness; `avow verify` reports it."""
    found = list[str]()
    for line, key in await logs.cosignatures.lines(checkpoint.epoch, checkpoint.size):
        with suppress(Invalid):
            check_line(checkpoint.note, line, key)
            found.append(line)
    return found


async def _head(logs: Logs, shown: Shown, checkpoint: StoredCheckpoint) -> str | None:
    """What the log says is the record's newest entry at this checkpoint."""
    if shown.current is None:
        return None
    if parse_note(checkpoint.note.encode()).text.split("\n")[0] != shown.current.name:
        raise reject(
            "claim-unproved", "The entry is in an earlier log, which says nothing about what is newest."
        )
    tenant, kind, record = shown.of
    newest = await logs.reads.head_at(*shown.of, checkpoint.epoch, checkpoint.size)
    if newest is None:
        return None
    head = Head(kind, str(record), tenant, newest.version, newest.hash, checkpoint.size)
    return sign_head(shown.current, head)
