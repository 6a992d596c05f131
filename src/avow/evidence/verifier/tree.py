"""Merkle proofs: that a leaf is in a log, and that one log is the beginning of another (RFC 9162, 2.1)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from avow.evidence.verifier.text import HASH_BYTES, SIZE_MAX, Invalid

PROOF_HASHES_MAX = 63
"""No tree of fewer than 2**63 leaves has a longer proof."""
EMPTY_ROOT = hashlib.sha256(b"").digest()
"""The root of the tree without leaves."""


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node of a tree."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def check_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Raises Invalid unless `leaf` (a leaf hash) is the leaf number `index` of the tree with this root."""
    _demand_hashes(proof, leaf, root)
    if not 0 <= index < size <= SIZE_MAX:
        raise Invalid("there is no such leaf in a tree of this size")
    place, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise Invalid("the inclusion proof is too long")
        if place & 1 or place == last:
            found = node_hash(sibling, found)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        place, last = place >> 1, last >> 1
    if last or found != root:
        raise Invalid("the inclusion proof doesn't lead to the root of the checkpoint")


def check_consistency(old_size: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> None:
    """Raises Invalid unless the tree of `old_size` leaves is the beginning of the tree of `size` leaves.

    Every tree begins with the empty one; the proof is empty then, and for two trees of one size.
    """
    _demand_hashes(proof, old_root, root)
    if not 0 <= old_size <= size <= SIZE_MAX:
        raise Invalid("the log has become shorter")
    if any(count == 0 and of != EMPTY_ROOT for count, of in ((old_size, old_root), (size, root))):
        raise Invalid("the root of a log of nothing is the hash of nothing")
    if old_size in (0, size):
        if proof:
            raise Invalid("the consistency proof is too long")
        if old_size == size and old_root != root:
            raise Invalid("two roots for one size: the log has been forked")
        return
    path = proof if old_size & (old_size - 1) else (old_root, *proof)
    if not path:
        raise Invalid("the consistency proof is too short")
    old, new = _consistent_roots(old_size - 1, size - 1, path)
    if old != old_root or new != root:
        raise Invalid("the consistency proof doesn't connect the two checkpoints")


def _consistent_roots(place: int, last: int, path: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The roots of both trees, as a consistency proof gives them."""
    while place & 1:
        place, last = place >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise Invalid("the consistency proof is too long")
        if place & 1 or place == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        place, last = place >> 1, last >> 1
    if last:
        raise Invalid("the consistency proof is too short")
    return old, new


def _demand_hashes(proof: Sequence[bytes], *ends: bytes) -> None:
    """A proof that no tree of a size that can be written down is too small for, and its two ends."""
    if len(proof) > PROOF_HASHES_MAX or any(len(item) != HASH_BYTES for item in (*proof, *ends)):
        raise Invalid(f"a proof is at most {PROOF_HASHES_MAX} hashes, and each has {HASH_BYTES} bytes")
