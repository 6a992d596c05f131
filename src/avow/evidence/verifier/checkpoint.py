"""Checkpoints: what a log stands for, who has signed that, and when (c2sp.org/tlog-checkpoint)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from avow.evidence.verifier.note import COSIGNATURE, ED25519, Signed, VerifierKey, check_note, parse_note
from avow.evidence.verifier.text import Invalid, parse_hash, parse_number


class Checkpoint(NamedTuple):
    """The state of a log: how many leaves it has, and the root over them."""

    origin: str
    size: int
    root: bytes


class Opened(NamedTuple):
    """A checkpoint that its log has signed.

    time: when, in seconds since 1970. witnesses: who else stands for it. log: the key that has signed.
    """

    checkpoint: Checkpoint
    time: int
    witnesses: tuple[Signed, ...]
    log: VerifierKey


def parse_checkpoint(text: str) -> Checkpoint:
    """Read the text of a checkpoint. Raises Invalid.

    Extension lines are signed with it, and say nothing here: ours have none, another log's may.
    """
    *lines, end = text.split("\n")
    if len(lines) < 3 or end or not all(lines):
        raise Invalid("not a checkpoint: lines of origin, size, root, and none that is empty")
    return Checkpoint(lines[0], parse_number(lines[1]), parse_hash(lines[2]))


def open_checkpoint(note: bytes, log: VerifierKey, witnesses: Iterable[VerifierKey] = ()) -> Opened:
    """The checkpoint of a note, if the log has signed it, with its time. Raises Invalid."""
    parsed = parse_note(note)
    checkpoint = parse_checkpoint(parsed.text)
    plain, timed = (VerifierKey(log.name, kind, log.public) for kind in (ED25519, COSIGNATURE))
    signed = {one.key: one for one in check_note(parsed, (plain, timed, *witnesses))}
    if checkpoint.origin != log.name or plain not in signed:
        raise Invalid(f"the checkpoint isn't signed by {log.name}")
    sealed = signed.get(timed)
    if sealed is None or sealed.time is None:
        raise Invalid("the log doesn't say when it made the checkpoint")
    others = tuple(one for one in signed.values() if one.key not in (plain, timed))
    return Opened(checkpoint, sealed.time, others, plain)
