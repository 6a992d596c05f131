"""Receipts: the proof that one audit entry is in a log, and what that entry makes true.

A receipt is a file of c2sp.org/tlog-proof. Its `extra` holds the entry and the claim. Nothing authenticates
`extra` itself: the entry is authenticated by its hash, which is the leaf that the proof begins with, and
the claim isn't believed but evaluated on the entry.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from avow.evidence.verifier.checkpoint import Opened, open_checkpoint, parse_checkpoint
from avow.evidence.verifier.claim import holds, parse_claim, written
from avow.evidence.verifier.erased import Erased, open_erased
from avow.evidence.verifier.note import check_note, parse_note
from avow.evidence.verifier.policy import Policy
from avow.evidence.verifier.text import (
    Invalid,
    after,
    parse_base64,
    parse_hash,
    parse_number,
    parse_object,
)
from avow.evidence.verifier.tree import PROOF_HASHES_MAX, check_inclusion, leaf_hash

FORMAT = 1
FIRST_LINE = "c2sp.org/tlog-proof@v1"
HEAD_LINE = "avow.head/v1"
"""The first line of the note in which a log says what a record's newest entry is."""
NOTES = ("head", "erased")
"""What a receipt may have beside the entry and the claim: what only the log can say."""
RECEIPT_BYTES_MAX = 1_000_000

_HEADER: Mapping[str, type] = {
    "app": str, "at": str, "changes": dict, "id": str, "kind": str, "tenant": str, "to": str,
    "transition": str, "v": int, "ver": int,
}  # fmt: skip
"""What is read of a header here, and what each must be."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt that was taken apart.

    header: bytes of the entry. note: the checkpoint. head: a note about the newest entry, or none. erased: a
    note about what was erased of it, or none.
    """

    claim: str
    header: bytes
    index: int
    proof: tuple[bytes, ...]
    note: bytes
    head: bytes | None
    erased: bytes | None


class Head(NamedTuple):
    """What a log says was a record's newest entry when it had `size` leaves. Its word, no proof."""

    kind: str
    id: str
    tenant: str
    version: int
    leaf: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a valid receipt shows. header: the entry, read."""

    claim: str
    header: Mapping[str, Any]
    index: int
    sealed: Opened
    head: Head | None
    erased: Erased | None

    @property
    def statement(self) -> str:
        """What is shown, in sentences that say no more than that."""
        header, checkpoint, sealed = self.header, self.sealed.checkpoint, moment(self.sealed.time)
        lines = [
            self.claim,
            f"{header['kind']} {header['id']} of {header['app']}, tenant {header['tenant']}",
            f"happened at version {header['ver']}, sealed at {sealed}; later versions may exist",
            f"decided at {header['at']}, by the transition {header['transition']}",
            f"leaf {self.index} of {checkpoint.origin}, proved at size {checkpoint.size}",
            f"witnessed by: {self._witnesses()}",
        ]
        if self.head is not None:
            lines.append(f"newest at size {self.head.size}, as the log says: version {self.head.version}")
        for leaf, names in () if self.erased is None else self.erased.by:
            lines.append(f"erased at leaf {leaf}, as the log says: {', '.join(names)}")
        return "".join(f"{line}\n" for line in lines)

    def _witnesses(self) -> str:
        named = [f"{one.key.name} at {moment(one.time or 0)}" for one in self.sealed.witnesses]
        return ", ".join(named) or "nobody"


def moment(seconds: int) -> str:
    """An instant in UTC, from seconds since 1970; `check_note` lets no time pass that no calendar has."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def verify(data: bytes, policy: Policy) -> Verdict:
    """What a receipt shows to somebody who believes this policy. Raises Invalid where it shows nothing."""
    receipt = parse_receipt(data)
    sealed = _sealed(receipt.note, policy)
    check_inclusion(
        leaf_hash(receipt.header),
        receipt.index,
        sealed.checkpoint.size,
        receipt.proof,
        sealed.checkpoint.root,
    )
    if not policy.reached([one.key for one in sealed.witnesses]):
        raise Invalid("the witnesses that the policy asks for don't stand for the checkpoint")
    header = parse_header(receipt.header)
    claim = parse_claim(receipt.claim)
    if written(claim) != receipt.claim:
        raise Invalid("the claim isn't written as claims are")
    if not holds(claim, header):
        raise Invalid(f"the claim is false: version {header['ver']} says otherwise")
    leaf, head, erased = leaf_hash(receipt.header), receipt.head, receipt.erased
    return Verdict(
        receipt.claim, header, receipt.index, sealed,
        None if head is None else _head(head, sealed, header, leaf),
        None if erased is None else open_erased(erased, sealed, header, leaf),
    )  # fmt: skip


def parse_receipt(data: bytes) -> Receipt:
    """Take a receipt apart; nothing is checked yet but its form. Raises Invalid."""
    if len(data) > RECEIPT_BYTES_MAX:
        raise Invalid(f"a receipt is at most {RECEIPT_BYTES_MAX:,} bytes")
    top, blank, note = data.partition(b"\n\n")
    try:
        first, extra, index, *proof = top.decode("ascii").split("\n")
    except ValueError:
        raise Invalid("not a receipt: it has too few lines, or one that isn't ASCII") from None
    if first != FIRST_LINE or not blank or len(proof) > PROOF_HASHES_MAX:
        raise Invalid("not a receipt (c2sp.org/tlog-proof)")
    held = parse_object(parse_base64(after("extra ", extra)))
    claim, header, notes = held.get("claim"), held.get("header"), [held.get(name) for name in NOTES]
    if not (isinstance(claim, str) and isinstance(header, str)):
        raise Invalid("the receipt has no entry, or no claim")
    head, erased = (note if isinstance(note, str) else None for note in notes)
    if held != extra_of(claim, header, head, erased):
        raise Invalid("the claim was damaged, or the receipt is of another format")
    place = parse_number(after("index ", index))
    hashes = tuple(map(parse_hash, proof))
    said = (None if text is None else text.encode() for text in (head, erased))
    return Receipt(claim, header.encode(), place, hashes, note, *said)


def extra_of(claim: str, header: str, head: str | None, erased: str | None) -> dict[str, Any]:
    """What a receipt carries beside its proof.

    The claim's hash finds damage to the claim, so that it never turns unnoticed into another one that is
    true as well. It authenticates nothing.
    """
    sha256 = hashlib.sha256(claim.encode()).hexdigest()
    extra = {"claim": claim, "claim_sha256": sha256, "header": header, "v": FORMAT}
    said = zip(NOTES, (head, erased), strict=True)
    return extra | {name: note for name, note in said if note is not None}


def parse_header(data: bytes) -> Mapping[str, Any]:
    """The header of an audit entry. Raises Invalid.

    What is said of it stands on a line each: the log that has sealed it may have written anything into it.
    """
    header = parse_object(data)
    known = all(type(header.get(name)) is kind for name, kind in _HEADER.items()) and header["v"] == 1
    if not known or not isinstance(header.get("changes_sha256", {}), dict):
        raise Invalid("the leaf isn't an audit entry of a format that is known here")
    if not all(header[name].isprintable() for name, kind in _HEADER.items() if kind is str):
        raise Invalid("there is a line's end, or another sign that can't be shown, in the entry")
    return header


def head_text(origin: str, head: Head) -> str:
    """The text of the note in which a log says what a record's newest entry is.

    No checkpoint reads like it: where that has its size, this has `log`.
    """
    record = [head.tenant, head.kind, head.id]
    names = " ".join(b64encode(part.encode()).decode() for part in record)
    leaf = b64encode(head.leaf).decode()
    return (
        f"{HEAD_LINE}\nlog {origin}\nsize {head.size}\nrecord {names}\nversion {head.version}\nleaf {leaf}\n"
    )


def _head(note: bytes, sealed: Opened, header: Mapping[str, Any], leaf: bytes) -> Head:
    parsed = parse_note(note)
    try:
        first, log, size, record, version, newest, end = parsed.text.split("\n")
        tenant, kind, record_id = (
            parse_base64(part).decode() for part in after("record ", record).split(" ")
        )
    except ValueError:
        raise Invalid("what the log says about the newest entry can't be read") from None
    head = Head(
        kind, record_id, tenant, parse_number(after("version ", version)),
        parse_hash(after("leaf ", newest)), parse_number(after("size ", size)),
    )  # fmt: skip
    if first != HEAD_LINE or end or not check_note(parsed, [sealed.log]):
        raise Invalid("the log didn't say what the newest entry is")
    if after("log ", log) != sealed.checkpoint.origin or head.size != sealed.checkpoint.size:
        raise Invalid("what is said about the newest entry is of another checkpoint")
    if (kind, record_id, tenant) != (header["kind"], header["id"], header["tenant"]):
        raise Invalid("what is said about the newest entry is of another record")
    if head.version < header["ver"] or (head.version == header["ver"]) != (head.leaf == leaf):
        raise Invalid("the newest entry contradicts the one that is proved")
    return head


def _sealed(note: bytes, policy: Policy) -> Opened:
    """The checkpoint of a receipt, by whichever log of the policy it is."""
    origin = parse_checkpoint(parse_note(note).text).origin
    keys = [key for key in policy.logs if key.name == origin]
    if not keys:
        raise Invalid("it is of a log whose key you don't have")
    for key in keys[:-1]:
        try:
            return open_checkpoint(note, key, policy.witnesses.values())
        except Invalid:
            continue
    return open_checkpoint(note, keys[-1], policy.witnesses.values())
