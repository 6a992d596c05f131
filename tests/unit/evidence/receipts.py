"""A small log, with a receipt of one of its entries, for the tests of whoever checks receipts."""

from __future__ import annotations

import json
from typing import Any

from avow.canonical import encode, leaf_hash
from avow.evidence.checkpoint import sign, text_of
from avow.evidence.merkle import Node, Stack, inclusion_ranges, proof
from avow.evidence.note import SecretKey, Signer, join
from avow.evidence.receipt import sign_erased, sign_head, write_receipt
from avow.evidence.verifier import Checkpoint, Erased, Erasure, Head, Policy, believing, parse_policy

LOG = Signer("shop.example/log", SecretKey(bytes(range(32))))
WITNESS = Signer("auditor.example/w1", SecretKey(bytes(range(32, 64))))
SEALED = 1_700_000_000
ENTRY = {
    "actor": {"credential": "key", "roles": ["clerk"], "subject": "zoë"},
    "app": "shop",
    "at": "2023-11-14T22:13:19.500000Z",
    "boundary": "ab" * 32,
    "cause": None,
    "changes": {
        "amount": {"amount": "25.00", "currency": "EUR"},
        "captured_at": "2023-11-14T22:13:19.500000Z",
        "code": "7",
        "count": 3,
        "email": {"private": "kD3vQ2xYb0Y4sV0T1m0nq8kqkD3vQ2xYb0Y4sV0T1m0"},
        "note": None,
        "paid": True,
        "place": {"city": "Łódź"},
        "rate": "0.050",
    },
    "changes_sha256": {"letter": "cd" * 32},
    "command": "018f0000-0000-7000-8000-000000000001",
    "from": "authorised",
    "id": "018f0000-0000-7000-8000-000000000042",
    "input": {"phone": {"private": "b0Y4sV0T1m0nq8kqkD3vQ2xYkD3vQ2xYb0Y4sV0T1m0"}, "reason": "none"},
    "kind": "Payment",
    "prev": "ef" * 32,
    "reads": [],
    "request": "r",
    "tenant": "main",
    "to": "captured",
    "transition": "capture",
    "v": 1,
    "ver": 7,
}  # fmt: skip
CLAIM = "state = captured & amount >= 25.00 EUR"
PLACE, SIZE = 6, 13
ALONE: Policy = believing([LOG.verifier])
GONE = ((4, ("email",)), (9, ("phone",)))
"""What the log may say was erased: at which leaves, which fields."""
WITNESSED = parse_policy(f"log {LOG.verifier.text}\nwitness one {WITNESS.cosigner.text}\nquorum one\n")


def receipt(
    *, claim: str = CLAIM, witnessed: bool = False, newest: int | None = None,
    gone: tuple[tuple[int, tuple[str, ...]], ...] = (), said: str | None = None, **changes: Any,
) -> bytes:  # fmt: skip
    """A receipt of ENTRY with these members changed, the seventh of thirteen leaves.

    gone: what the log says was erased. said: the text that it signs about it, in place of its own.
    """
    header = encode({**ENTRY, **changes})
    leaves = [leaf_hash(bytes([number])) for number in range(SIZE)]
    leaves[PLACE] = leaf_hash(header)
    stack, hashes = Stack(), {Node(0, place): leaf for place, leaf in enumerate(leaves)}
    for leaf in leaves:
        hashes.update(stack.append(leaf))
    checkpoint = Checkpoint(LOG.name, SIZE, stack.root)
    note = sign(checkpoint, LOG, SEALED)
    if witnessed:
        note += WITNESS.cosign(text_of(checkpoint), SEALED + 3)
    head = None
    if newest is not None:
        leaf = leaf_hash(header) if newest == ENTRY["ver"] else leaves[0]
        head = sign_head(LOG, Head("Payment", str(ENTRY["id"]), "main", newest, leaf, SIZE))
    erased = None
    if gone:
        by = tuple(Erasure(leaf, names) for leaf, names in gone)
        erased = sign_erased(LOG, Erased(leaf_hash(header), SIZE, by))
    if said is not None:
        erased = join(said, LOG.sign(said))
    path = proof(inclusion_ranges(PLACE, SIZE), hashes)
    return write_receipt(claim, header, PLACE, path, note, head, erased).encode()


def header(**changes: Any) -> dict[str, Any]:
    """The header of ENTRY with these members changed, read."""
    return json.loads(json.dumps({**ENTRY, **changes}))
