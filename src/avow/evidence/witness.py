"""Witnessing (c2sp.org/tlog-witness): what a log sends to a witness, and what a witness makes of it.

A witness signs that a checkpoint goes on from the one that it signed before. It signs for no two histories
of one log, and never goes back; that is all it promises, and all it has to know of a log.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from avow.evidence.verifier import (
    EMPTY_ROOT,
    PROOF_HASHES_MAX,
    Checkpoint,
    Invalid,
    Policy,
    VerifierKey,
    check_consistency,
    check_note,
    parse_checkpoint,
    parse_hash,
    parse_note,
    parse_number,
    parse_policy,
)

SIZE_MEDIA_TYPE = "text/x.tlog.size"


class Submission(NamedTuple):
    """What a log sends: the size that the witness signed last, the proof from there, and the checkpoint."""

    old_size: int
    proof: Sequence[bytes]
    note: bytes


class Seen(NamedTuple):
    """The newest checkpoint of a log that a witness has signed."""

    size: int
    root: bytes


class Refused(Exception):
    """The witness doesn't sign. status: as HTTP has it. size: of what it signed last, for 409."""

    def __init__(self, status: int, why: str, size: int | None = None) -> None:
        super().__init__(why)
        self.status, self.size = status, size


def write_submission(submission: Submission) -> bytes:
    """The body of a request to add a checkpoint."""
    lines = [f"old {submission.old_size}", *(b64encode(item).decode() for item in submission.proof), ""]
    return "".join(f"{line}\n" for line in lines).encode() + submission.note


def parse_submission(body: bytes) -> Submission:
    """Read such a body. Raises Invalid."""
    top, blank, note = body.partition(b"\n\n")
    try:
        first, *proof = top.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise Invalid("the proof isn't ASCII") from None
    if not blank or not first.startswith("old ") or len(proof) > PROOF_HASHES_MAX:
        raise Invalid("not an old size, at most 63 hashes, an empty line and a checkpoint")
    return Submission(parse_number(first.removeprefix("old ")), [*map(parse_hash, proof)], note)


def judge(body: bytes, logs: Iterable[VerifierKey], seen: Mapping[str, Seen]) -> tuple[str, Checkpoint]:
    """The text of the checkpoint that may be signed now, and what it says. Raises Refused.

    seen: what was signed last, by origin. Whoever signs must keep the new one first, and let nobody in
    between.
    """
    try:
        submission = parse_submission(body)
        note = parse_note(submission.note)
        checkpoint = parse_checkpoint(note.text)
    except Invalid as error:
        raise Refused(400, str(error)) from None
    keys = [key for key in logs if key.name == checkpoint.origin]
    if not keys:
        raise Refused(404, "this witness doesn't know the log")
    try:
        signed = check_note(note, keys)
    except Invalid:
        signed = []
    if not signed:
        raise Refused(403, "the checkpoint isn't signed by the log")
    if submission.old_size > checkpoint.size:
        raise Refused(400, "the old size is larger than the checkpoint's")
    last = seen.get(checkpoint.origin, Seen(0, EMPTY_ROOT))
    if submission.old_size != last.size:
        raise Refused(409, "another checkpoint was signed last", last.size)
    if last.size and last.size == checkpoint.size and last.root != checkpoint.root:
        raise Refused(409, "another root was signed for this size", last.size)
    try:
        check_consistency(last.size, last.root, checkpoint.size, checkpoint.root, submission.proof)
    except Invalid as error:
        raise Refused(422, str(error)) from None
    return note.text, checkpoint


class Witness(NamedTuple):
    """A witness that a log asks. url: the prefix of its addresses."""

    key: VerifierKey
    url: str


def parse_witnesses(text: str) -> tuple[Policy, tuple[Witness, ...]]:
    """A policy (c2sp.org/tlog-policy), and those of its witnesses that have a URL. Raises Invalid."""
    policy = parse_policy(text)
    lines = [[word for word in line.replace("\t", " ").split(" ") if word] for line in text.split("\n")]
    urls = {words[1]: words[3] for words in lines if words and words[0] == "witness" and len(words) == 4}
    return policy, tuple(Witness(policy.witnesses[name], url) for name, url in urls.items())
