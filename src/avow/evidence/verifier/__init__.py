"""What a stranger needs to check a receipt: this folder, Python, and `cryptography`.

It imports nothing else of Avow, so that it can be read in one sitting, copied to another machine (as
`avow/evidence/verifier`) and run there: `python -m avow.evidence.verifier RECEIPT --key FILE`. It
believes nothing that it is given: each length has a bound, each text has one way of being written, each
signature is checked, and what doesn't fit is Invalid.

It is pure but for `__main__`. Receipts are made elsewhere (`evidence.receipt`), out of what is read here.
"""

from __future__ import annotations

from avow.evidence.verifier.checkpoint import Checkpoint, Opened, open_checkpoint, parse_checkpoint
from avow.evidence.verifier.erased import Erased, Erasure, private_names
from avow.evidence.verifier.note import (
    COSIGNATURE,
    ED25519,
    Note,
    Signed,
    VerifierKey,
    check_note,
    cosigned_text,
    is_key_name,
    parse_key,
    parse_note,
)
from avow.evidence.verifier.policy import Policy, believing, parse_keys, parse_policy, policy_of
from avow.evidence.verifier.receipt import (
    RECEIPT_BYTES_MAX,
    Head,
    Receipt,
    Verdict,
    moment,
    parse_receipt,
    verify,
)
from avow.evidence.verifier.text import Invalid, parse_base64, parse_hash, parse_number
from avow.evidence.verifier.tree import (
    EMPTY_ROOT,
    PROOF_HASHES_MAX,
    check_consistency,
    check_inclusion,
    leaf_hash,
    node_hash,
)

__all__ = [
    "COSIGNATURE", "ED25519", "EMPTY_ROOT", "PROOF_HASHES_MAX", "RECEIPT_BYTES_MAX", "Checkpoint", "Erased",
    "Erasure", "Head", "Invalid", "Note", "Opened", "Policy", "Receipt", "Signed", "Verdict", "VerifierKey",
    "believing", "check_consistency", "check_inclusion", "check_note", "cosigned_text", "is_key_name",
    "leaf_hash", "moment", "node_hash", "open_checkpoint", "parse_base64", "parse_checkpoint", "parse_hash",
    "parse_key", "parse_keys", "parse_note", "parse_number", "parse_policy", "parse_receipt", "policy_of",
    "private_names", "verify",
]  # fmt: skip
