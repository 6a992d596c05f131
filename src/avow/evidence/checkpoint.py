"""Checkpoints of a log (c2sp.org/tlog-checkpoint): how they are written, signed, opened and compared.

A log signs each of its checkpoints twice with one key: the text alone, as every client of such logs
expects it, and as a cosignature, which states when. So the time of sealing is signed, and the text stays
three lines.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from typing import NamedTuple

from avow.evidence.note import Signer, join
from avow.evidence.verifier import (
    COSIGNATURE,
    ED25519,
    Checkpoint,
    Invalid,
    Signed,
    VerifierKey,
    check_note,
    parse_checkpoint,
    parse_note,
)


class Opened(NamedTuple):
    """A checkpoint whose log has signed it.

    time: when, in seconds since 1970. witnesses: who else stands for it.
    """

    checkpoint: Checkpoint
    time: int
    witnesses: tuple[Signed, ...]


def text_of(checkpoint: Checkpoint) -> str:
    """The three lines of a checkpoint."""
    return f"{checkpoint.origin}\n{checkpoint.size}\n{b64encode(checkpoint.root).decode()}\n"


def sign(checkpoint: Checkpoint, signer: Signer, time: int) -> str:
    """The note of a checkpoint, signed by its log, whose origin is the signer's name.

    time: seconds since 1970. Raises ValueError for a checkpoint of another log.
    """
    if checkpoint.origin != signer.name:
        raise ValueError(f"a key of {signer.name} doesn't sign for {checkpoint.origin}")
    text = text_of(checkpoint)
    return join(text, signer.sign(text), signer.cosign(text, time))


def open_checkpoint(note: bytes, log: VerifierKey, witnesses: Iterable[VerifierKey] = ()) -> Opened:
    """The checkpoint of a note, if the log has signed it, with its time. Raises verifier.Invalid."""
    parsed = parse_note(note)
    checkpoint = parse_checkpoint(parsed.text)
    timed = VerifierKey(log.name, COSIGNATURE, log.public)
    plain = VerifierKey(log.name, ED25519, log.public)
    signed = {one.key: one for one in check_note(parsed, (plain, timed, *witnesses))}
    if checkpoint.origin != log.name or plain not in signed:
        raise Invalid(f"the checkpoint isn't signed by {log.name}")
    sealed = signed.get(timed)
    if sealed is None or sealed.time is None:
        raise Invalid("the log doesn't say when it made the checkpoint")
    others = tuple(one for one in signed.values() if one.key not in (plain, timed))
    return Opened(checkpoint, sealed.time, others)
