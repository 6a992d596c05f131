"""What became of the private values of an entry, and the log's word for it in a receipt.

No receipt is refused for it: what the log can't be heard to say, whoever asks is told beside the receipt.
It must never read a value.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from uuid import UUID

from avow.engine.log.key import Keys
from avow.errors import EnvironmentFault
from avow.evidence.note import Signer
from avow.evidence.receipt import sign_erased
from avow.evidence.verifier import (
    Erased,
    Erasure,
    Invalid,
    check_note,
    leaf_hash,
    parse_note,
    private_names,
)
from avow.evidence.verifier.receipt import parse_header
from avow.store.log.reads import ErasedValue, LogReads, SealedEntry

LOOK_S: Final = 0.05
"""How often it is looked whether something was sealed."""
NOT_SEALED: Final = "not-sealed"
OTHER_LOG: Final = "other-log"
NO_KEY: Final = "no-key"
UNSIGNED: Final = {
    NOT_SEALED: "the entry that erased it isn't sealed yet",
    OTHER_LOG: "the entry that erased it is in another log",
    NO_KEY: "the key of its log isn't at hand here",
}
"""Why a receipt doesn't say that something was erased."""

_log = logging.getLogger("avow.log")


class Named(NamedTuple):
    """The record that an entry is of."""

    tenant: str
    kind: str
    id: UUID


@dataclass(frozen=True, slots=True)
class Gone:
    """A private value that was erased. leaf: where the log has the entry that did it; None: not in that log.
    unsigned: why the receipt doesn't say so, a word of UNSIGNED; None: it does."""

    field: str
    leaf: int | None
    unsigned: str | None

    @property
    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {"field": self.field, "leaf": self.leaf, "unsigned": self.unsigned}


async def erased_of(reads: LogReads, of: Named, entry: SealedEntry, deadline: float) -> Sequence[ErasedValue]:
    """What was erased of an entry. It is waited, until a time of the monotonic clock, for the seals of the
    entries that did it."""
    names = private_names(parse_header(entry.header))
    while names:
        found = [one for one in await reads.erased(*of, entry.version) if one.field in names]
        if all(one.index is not None for one in found) or time.monotonic() >= deadline:
            return found
        await asyncio.sleep(LOOK_S)
    return ()


async def signer_for(keys: Keys | None, log: str) -> Signer | None:
    """Who signs for the log with this verifier key; None where nobody here does."""
    try:
        signer = None if keys is None else await asyncio.to_thread(keys.signer)
    except EnvironmentFault as fault:
        _log.warning("receipts don't say what was erased: %s", fault)
        return None
    return signer if signer is not None and signer.verifier.text == log else None


async def sign_what_is_gone(
    signer: Signer | None, entry: SealedEntry, size: int, erased: Sequence[ErasedValue]
) -> tuple[str | None, tuple[Gone, ...]]:
    """The log's note about what its first `size` leaves have erased of an entry, and all that was erased.

    The note is None where there is nothing to be said in it, or nobody who can sign it.
    """
    by = dict[int, list[str]]()
    for one in erased:
        if one.epoch == entry.epoch and one.index is not None and one.index < size:
            by.setdefault(one.index, []).append(one.field)
    note = None
    if by and signer is not None:
        said = (Erasure(leaf, tuple(sorted(names))) for leaf, names in sorted(by.items()))
        note = await _signed(signer, Erased(leaf_hash(entry.header), size, tuple(said)))
    return note, tuple(_gone(one, entry, () if note is None else by) for one in erased)


async def _signed(signer: Signer, erased: Erased) -> str | None:
    """The note, if the key can be used and its signature holds: a program signs what it likes."""
    try:
        note = await asyncio.to_thread(sign_erased, signer, erased)
        check_note(parse_note(note.encode()), [signer.verifier])
    except (EnvironmentFault, Invalid) as fault:
        _log.warning("a receipt doesn't say what was erased: %s", fault)
        return None
    return note


def _gone(one: ErasedValue, entry: SealedEntry, said: Container[int]) -> Gone:
    """What is told of one value. said: the leaves that the note names."""
    if one.index is None:
        return Gone(one.field, None, NOT_SEALED)
    if one.epoch != entry.epoch:
        return Gone(one.field, None, OTHER_LOG)
    return Gone(one.field, one.index, None if one.index in said else NO_KEY)
