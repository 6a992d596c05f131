"""Merkle trees over the leaves of a log (RFC 9162, the same as RFC 6962): appending, roots and proofs.

Pure: it says which nodes a proof is made of, and somebody else loads them. Proofs are checked by
`evidence.verifier`, which a stranger can run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from avow.evidence.verifier import EMPTY_ROOT, node_hash

_sha256 = hashlib.sha256

NODE_LEVELS: Final = 8
"""Every so many levels of the tree the complete subtrees are kept; one between is made from 256 at most."""


class Node(NamedTuple):
    """A complete subtree: the 2**level leaves from place * 2**level on. Its hash never changes."""

    level: int
    place: int


class Stack:
    """The complete subtrees that a log consists of, largest first: all that appending needs to know.

    Its hashes are one for each bit that is set in the size, so at most 63.
    """

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        if size.bit_count() != len(hashes):
            raise ValueError(f"a log of {size} leaves has {size.bit_count()} complete subtrees")
        self.size = size
        self.hashes = [*hashes]

    def append(self, leaf: bytes) -> list[tuple[Node, bytes]]:
        """Append one leaf hash; gives back the nodes above it that are complete now, lowest first."""
        done: list[tuple[Node, bytes]] = []
        node, level, last = leaf, 0, self.size
        while last & 1:
            node = node_hash(self.hashes.pop(), node)
            level, last = level + 1, last >> 1
            done.append((Node(level, last), node))
        self.hashes.append(node)
        self.size += 1
        return done

    def extend(self, leaves: Sequence[bytes]) -> list[tuple[Node, bytes]]:
        """Append leaf hashes, level by level; gives back those nodes above them that are complete now and
        are of a level that is kept (NODE_LEVELS), lowest first."""
        done: list[tuple[Node, bytes]] = []
        left: list[bytes] = []
        row, place, level = [*leaves], self.size, 0
        while row:
            if place & 1:
                row.insert(0, self.hashes.pop())
            if len(row) & 1:
                left.append(row.pop())
            each = iter(row)
            row = [_sha256(b"\x01" + one + other).digest() for one, other in zip(each, each, strict=True)]
            place, level = place >> 1, level + 1
            if not level % NODE_LEVELS:
                done += [(Node(level, at), node) for at, node in enumerate(row, place)]
        self.hashes += reversed(left)
        self.size += len(leaves)
        return done

    @property
    def root(self) -> bytes:
        """The root over all leaves."""
        return _joined(self.hashes) if self.hashes else EMPTY_ROOT


def inclusion_ranges(index: int, size: int) -> list[range]:
    """The leaves below each hash of an inclusion proof, from the leaf's sibling up. Raises ValueError."""
    if not 0 <= index < size:
        raise ValueError(f"there is no leaf {index} in a log of {size}")
    found: list[range] = []
    first, end = 0, size
    while end - first > 1:
        middle = first + _left(end - first)
        if index < middle:
            found.append(range(middle, end))
            end = middle
        else:
            found.append(range(first, middle))
            first = middle
    return found[::-1]


def consistency_ranges(old_size: int, size: int) -> list[range]:
    """The leaves below each hash of a consistency proof between two sizes of a log. Raises ValueError."""
    if not 0 <= old_size <= size:
        raise ValueError(f"a log of {size} leaves was never one of {old_size}")
    if old_size in (0, size):
        return []
    found: list[range] = []
    first, end = 0, size
    while end != old_size:
        middle = first + _left(end - first)
        if old_size <= middle:
            found.append(range(middle, end))
            end = middle
        else:
            found.append(range(first, middle))
            first = middle
    if first:  # the old tree isn't one of the subtrees on the way: its last one is part of the proof
        found.append(range(first, end))
    return found[::-1]


def nodes(leaves: range) -> list[Node]:
    """The complete subtrees that make up one range of a proof, from the left."""
    found: list[Node] = []
    first = leaves.start
    while first < leaves.stop:
        level = (leaves.stop - first).bit_length() - 1
        found.append(Node(level, first >> level))
        first += 1 << level
    return found


def proof(ranges: Iterable[range], hashes: Mapping[Node, bytes]) -> list[bytes]:
    """The hashes of a proof; `hashes` has those of all `nodes` of all ranges."""
    return [_joined([hashes[node] for node in nodes(leaves)]) for leaves in ranges]


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root over these leaf hashes."""
    stack = Stack()
    stack.extend([*leaves])
    return stack.root


def _joined(hashes: Sequence[bytes]) -> bytes:
    """The hash above complete subtrees that stand side by side, largest first."""
    joined = hashes[-1]
    for left in reversed(hashes[:-1]):
        joined = node_hash(left, joined)
    return joined


def _left(size: int) -> int:
    """How many of `size` leaves are in the left subtree: the largest power of two below it."""
    return 1 << (size - 1).bit_length() - 1
