"""Receipts as they are made: the file that `evidence.verifier` checks, and the page that checks itself.

Pure: the entry, its place in the log and the proof are arguments.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from html import escape

from avow.canonical import encode
from avow.evidence.note import Signer, join
from avow.evidence.verifier import Erased, Head, Policy
from avow.evidence.verifier.erased import erased_text
from avow.evidence.verifier.receipt import FIRST_LINE, extra_of, head_text


def write_receipt(
    claim: str, header: bytes, index: int, proof: Sequence[bytes], note: str, head: str | None = None,
    erased: str | None = None,
) -> str:  # fmt: skip
    """A receipt (c2sp.org/tlog-proof).

    claim: as `claim.written` has it. note: the checkpoint, as it was signed.
    head, erased: the notes in which the log says what the record's newest entry is, and what was erased of
    this one.
    """
    extra = encode(extra_of(claim, header.decode(), head, erased))
    lines = [FIRST_LINE, f"extra {b64encode(extra).decode()}", f"index {index}"]
    lines += [b64encode(item).decode() for item in proof]
    return "".join(f"{line}\n" for line in [*lines, ""]) + note


def sign_head(signer: Signer, head: Head) -> str:
    """The note in which a log says what a record's newest entry is, at one size of the log."""
    text = head_text(signer.name, head)
    return join(text, signer.sign(text))


def sign_erased(signer: Signer, erased: Erased) -> str:
    """The note in which a log says what was erased of an entry, at one size of the log."""
    text = erased_text(signer.name, erased)
    return join(text, signer.sign(text))


def write_page(template: str, receipt: str, policy: str, statement: str) -> str:
    """The page that checks itself: the receipt, whom it believes, and what it then says."""
    parts = {"statement": statement, "policy": policy, "receipt": receipt}
    for name, text in parts.items():
        template = template.replace(f"{{{name}}}", escape(text), 1)
    return template


def write_policy(policy: Policy) -> str:
    """A policy as a file (c2sp.org/tlog-policy)."""
    lines = [f"log {key.text}" for key in policy.logs]
    lines += [f"witness {name} {key.text}" for name, key in policy.witnesses.items()]
    lines += [f"group {name} {least} {' '.join(names)}" for name, (least, names) in policy.groups.items()]
    return "".join(f"{line}\n" for line in [*lines, f"quorum {policy.quorum}"])
