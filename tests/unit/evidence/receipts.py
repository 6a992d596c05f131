"""A small log, with a receipt of one of its entries, for the tests of whoever checks receipts."""

from __future__ import annotations

import json
from typing import Any

from avow.canonical import encode, leaf_hash
from avow.evidence.checkpoint import sign, text_of
from avow.evidence.merkle import Node, Stack, inclusion_ranges, proof
from avow.evidence.note import SecretKey, Signer
from avow.evidence.receipt import sign_head, write_receipt
from avow.evidence.verifier import Checkpoint, Head, Policy, believing, parse_policy

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
        "note": None,
        "paid": True,
        "place": {"city": "Łódź"},
        "rate": "0.050",
    },
    "changes_sha256": {"letter": "cd" * 32},
    "command": "018f0000-0000-7000-8000-000000000001",
    "from": "authorised",
    "id": "018f0000-0000-7000-8000-000000000042",
    "input": {},
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
WITNESSED = parse_policy(f"log {LOG.verifier.text}\nwitness one {WITNESS.cosigner.text}\nquorum one\n")


def receipt(
    *, claim: str = CLAIM, witnessed: bool = False, newest: int | None = None, **changes: Any
) -> bytes:
    """A receipt of ENTRY with these members changed, the seventh of thirteen leaves."""
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
    path = proof(inclusion_ranges(PLACE, SIZE), hashes)
    return write_receipt(claim, header, PLACE, path, note, head).encode()


def header(**changes: Any) -> dict[str, Any]:
    """The header of ENTRY with these members changed, read."""
    return json.loads(json.dumps({**ENTRY, **changes}))
