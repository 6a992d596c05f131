"""Merkle trees: published vectors, and every tree up to a size against the definition of RFC 9162."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import pytest

from avow.canonical import leaf_hash
from avow.evidence.merkle import (
    Node,
    Stack,
    consistency_ranges,
    inclusion_ranges,
    nodes,
    proof,
    root_of,
)
from avow.evidence.verifier import EMPTY_ROOT, Invalid, check_consistency, check_inclusion

# The vectors of Certificate Transparency's own implementations of RFC 6962 (google/certificate-transparency,
# today transparency-dev/merkle: testonly/constants.go, proof/verify_test.go).
INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
LEVELS = [
    [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "0298d122906dcfc10892cb53a73992fc5b9f493ea4c9badb27b791b4127a7fe7",
        "07506a85fd9dd2f120eb694f86011e5bb4662e5c415a62917033d4a9624487e7",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "4271a26be0d8a84f0bd54c8c302e7cb3a3b5d1fa6780a40bcce2873477dab658",
        "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
        "46f6ffadd3d06a09ff3c5860d2755c8b9819db7df44251788c7d8e3180de8eb1",
    ],
    [
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
    ],
    [
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    ["5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"],
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = [  # index, size, the nodes of the proof (level, index)
    (0, 1, []),
    (0, 8, [(0, 1), (1, 1), (2, 1)]),
    (5, 8, [(0, 4), (1, 3), (2, 0)]),
    (2, 3, [(1, 0)]),
    (1, 5, [(0, 0), (1, 1), (0, 4)]),
]
CONSISTENCY = [
    (1, 1, []),
    (1, 8, [(0, 1), (1, 1), (2, 1)]),
    (6, 8, [(1, 2), (1, 3), (2, 0)]),
    (2, 5, [(1, 1), (0, 4)]),
    (6, 7, [(1, 2), (0, 6), (2, 0)]),
]
SIZE = 40
"""Every pair of sizes up to here is tried: more than two levels of each shape."""

LEAVES = [leaf_hash(bytes.fromhex(data)) for data in INPUTS]


def test_leaves_nodes_and_roots_are_those_of_the_published_trees() -> None:
    stack = Stack()
    found = {Node(0, index): leaf for index, leaf in enumerate(LEAVES)}
    assert stack.root == EMPTY_ROOT == bytes.fromhex(ROOTS[0])
    for leaf, root in zip(LEAVES, ROOTS[1:], strict=True):
        found.update(stack.append(leaf))
        assert stack.root == bytes.fromhex(root)
    published = {
        Node(level, i): bytes.fromhex(h) for level, row in enumerate(LEVELS) for i, h in enumerate(row)
    }
    assert found == published


@pytest.mark.parametrize(("index", "size", "path"), INCLUSION)
def test_inclusion_proofs_are_the_published_ones(index: int, size: int, path: list[tuple[int, int]]) -> None:
    expected = [bytes.fromhex(LEVELS[level][place]) for level, place in path]
    assert _inclusion(LEAVES[:size], index) == expected
    check_inclusion(LEAVES[index], index, size, expected, bytes.fromhex(ROOTS[size]))


@pytest.mark.parametrize(("old", "size", "path"), CONSISTENCY)
def test_consistency_proofs_are_the_published_ones(old: int, size: int, path: list[tuple[int, int]]) -> None:
    expected = [bytes.fromhex(LEVELS[level][place]) for level, place in path]
    assert _consistency(LEAVES[:size], old) == expected
    check_consistency(old, bytes.fromhex(ROOTS[old]), size, bytes.fromhex(ROOTS[size]), expected)


OTHER = bytes.fromhex("abacaba000000000000000000000000000000000000000000060061e00123456")
"""A hash that is in none of the published trees, as their tests have it."""


@pytest.mark.parametrize(("index", "size", "path"), [one for one in INCLUSION if one[2]])
def test_the_published_inclusion_proofs_show_nothing_else(
    index: int, size: int, path: list[tuple[int, int]]
) -> None:
    """The probes of proof/verify_test.go: other places and trees, more or fewer hashes than there are."""
    good, root, leaf = (
        [bytes.fromhex(LEVELS[level][place]) for level, place in path],
        bytes.fromhex(ROOTS[size]),
        LEAVES[index],
    )
    for wrong_index, wrong_size in [
        (index - 1, size),
        (index + 1, size),
        (index ^ 2, size),
        (index, size * 2),
        (index, size // 2),
    ]:
        _refused(leaf, wrong_index, wrong_size, good, root)
    for wrong_leaf, wrong_root in [
        (b"WrongLeaf", root),
        (leaf, EMPTY_ROOT),
        (leaf, OTHER),
        (leaf, b""),
        (b"", root),
    ]:
        _refused(wrong_leaf, index, size, good, wrong_root)
    for wrong in (
        [*good, b""],
        [*good, root],
        [b"", *good],
        [root, *good],
        good[:-1],
        [good[0], OTHER, *good[1:]],
    ):
        _refused(leaf, index, size, wrong, root)


@pytest.mark.parametrize(("old", "size", "path"), [one for one in CONSISTENCY if one[2]])
def test_the_published_consistency_proofs_show_nothing_else(
    old: int, size: int, path: list[tuple[int, int]]
) -> None:
    good = [bytes.fromhex(LEVELS[level][place]) for level, place in path]
    one, two = bytes.fromhex(ROOTS[old]), bytes.fromhex(ROOTS[size])
    for wrong_old, wrong_size in [
        (old - 1, size),
        (old + 1, size),
        (old ^ 2, size),
        (old, size * 2),
        (old, size // 2),
    ]:
        _unconnected(wrong_old, one, wrong_size, two, good)
    for wrong_one, wrong_two in [(b"WrongRoot", two), (one, b"WrongRoot"), (two, one), (EMPTY_ROOT, two)]:
        _unconnected(old, wrong_one, size, wrong_two, good)
    for wrong in ([], [*good, b""], [*good, one], [*good, two], [b"", *good], [one, *good], [two, *good],
                  [good[0], *good], good[:-1]):  # fmt: skip
        _unconnected(old, one, size, two, wrong)


def test_trees_of_no_leaf_and_of_one_have_empty_proofs() -> None:
    one, two = bytes.fromhex(ROOTS[1]), bytes.fromhex(ROOTS[2])
    check_inclusion(one, 0, 1, [], one)
    for leaf, root in [(one, b""), (b"", one), (b"", b""), (one, EMPTY_ROOT)]:
        _refused(leaf, 0, 1, [], root)
    for index, size in [(0, 0), (1, 0), (2, 1)]:
        _refused(OTHER, index, size, [], EMPTY_ROOT)
    for old, size, root in [(0, 0, EMPTY_ROOT), (0, 1, one), (1, 1, one)]:
        old_root = root if old else EMPTY_ROOT
        check_consistency(old, old_root, size, root, [])
        _unconnected(old, old_root, size, root, [EMPTY_ROOT])
        _unconnected(old, OTHER, size, root, [])
    for old, size in [(0, 0), (1, 1), (1, 0), (2, 1), (1, 2)]:
        _unconnected(old, one, size, two, [])


def _refused(leaf: bytes, index: int, size: int, path: list[bytes], root: bytes) -> None:
    with pytest.raises(Invalid):
        check_inclusion(leaf, index, size, path, root)


def _unconnected(old: int, old_root: bytes, size: int, root: bytes, path: list[bytes]) -> None:
    with pytest.raises(Invalid):
        check_consistency(old, old_root, size, root, path)


def test_many_leaves_at_once_come_to_the_same_as_one_by_one() -> None:
    """From any size to any other, with the nodes that are kept: those over 256 leaves."""
    leaves = [leaf_hash(str(number).encode()) for number in range(600)]
    for first in (0, 1, 2, 3, 255, 256, 257, 300):
        for end in (first, first + 1, first + 2, 511, 512, 513, 600):
            one, all_at_once = Stack(), Stack()
            for leaf in leaves[:first]:
                one.append(leaf)
            all_at_once.extend(leaves[:first])
            kept = [done for leaf in leaves[first:end] for done in one.append(leaf) if done[0].level == 8]
            assert all_at_once.extend(leaves[first:end]) == kept
            assert (all_at_once.size, all_at_once.hashes) == (one.size, one.hashes)


def test_each_leaf_of_each_tree_is_proved_and_in_no_other_place() -> None:
    leaves = _leaves(SIZE)
    for size in range(1, SIZE + 1):
        root = _defined_root(leaves[:size])
        assert root_of(leaves[:size]) == root
        for index in range(size):
            path = _inclusion(leaves[:size], index)
            check_inclusion(leaves[index], index, size, path, root)
            with pytest.raises(Invalid):
                check_inclusion(leaves[index], (index + 1) % (size + 1), size, path, root)


def test_each_tree_is_the_beginning_of_each_later_one_and_no_other_tree_is() -> None:
    leaves = _leaves(SIZE)
    roots = [_defined_root(leaves[:size]) for size in range(SIZE + 1)]
    for size in range(SIZE + 1):
        for old in range(size + 1):
            path = _consistency(leaves[:size], old)
            check_consistency(old, roots[old], size, roots[size], path)
            if not old:
                continue
            with pytest.raises(Invalid):
                check_consistency(old, roots[old - 1], size, roots[size], path)
            with pytest.raises(Invalid):
                check_consistency(old, roots[old], size, roots[size], [*path, leaves[0]])
            if path:
                with pytest.raises(Invalid):
                    check_consistency(old, roots[old], size, roots[size], path[:-1])


def test_any_bit_of_a_proof_counts() -> None:
    leaves = _leaves(13)
    root, path, longer = root_of(leaves), _inclusion(leaves, 6), _consistency(leaves, 6)
    for place in range(len(path) * 256):
        with pytest.raises(Invalid):
            check_inclusion(leaves[6], 6, 13, _flipped(path, place), root)
    for place in range(len(longer) * 256):
        with pytest.raises(Invalid):
            check_consistency(6, root_of(leaves[:6]), 13, root, _flipped(longer, place))


def test_a_proof_has_bounds() -> None:
    leaf, root = LEAVES[0], bytes.fromhex(ROOTS[8])
    with pytest.raises(Invalid, match="at most 63"):
        check_inclusion(leaf, 0, 8, [leaf] * 64, root)
    with pytest.raises(Invalid, match="at most 63"):
        check_consistency(1, leaf, 8, root, [leaf] * 64)
    with pytest.raises(Invalid, match="32 bytes"):
        check_inclusion(leaf, 0, 8, [leaf[:31]], root)
    for index, size in [(8, 8), (-1, 8), (0, 0), (0, 2**63)]:
        with pytest.raises(Invalid):
            check_inclusion(leaf, index, size, [], root)
    with pytest.raises(Invalid, match="shorter"):
        check_consistency(8, root, 7, root, [])


def test_a_log_of_nothing_is_the_beginning_of_any_and_two_logs_of_one_size_are_a_fork() -> None:
    check_consistency(0, EMPTY_ROOT, 8, bytes.fromhex(ROOTS[8]), [])
    with pytest.raises(Invalid, match="forked"):
        check_consistency(8, bytes.fromhex(ROOTS[7]), 8, bytes.fromhex(ROOTS[8]), [])
    with pytest.raises(ValueError, match="never"):
        consistency_ranges(9, 8)
    with pytest.raises(ValueError, match="no leaf"):
        inclusion_ranges(8, 8)


def test_a_stack_goes_on_from_its_hashes() -> None:
    leaves = _leaves(11)
    whole = Stack()
    for size, leaf in enumerate(leaves):
        again = Stack(size, whole.hashes)
        again.append(leaf)
        whole.append(leaf)
        assert (again.size, again.hashes, again.root) == (whole.size, whole.hashes, whole.root)
    with pytest.raises(ValueError, match="3 complete subtrees"):
        Stack(11, whole.hashes[1:])


def test_the_nodes_of_a_range_cover_it_once() -> None:
    for size in range(1, SIZE):
        for index in range(size):
            for leaves in inclusion_ranges(index, size):
                covered = [range(n.place << n.level, (n.place + 1) << n.level) for n in nodes(leaves)]
                assert (covered[0].start, covered[-1].stop) == (leaves.start, leaves.stop)
                assert all(left.stop == right.start for left, right in pairwise(covered))


def _leaves(count: int) -> list[bytes]:
    return [leaf_hash(bytes([number])) for number in range(count)]


def _hashes(leaves: list[bytes]) -> dict[Node, bytes]:
    stack = Stack()
    found = {Node(0, index): leaf for index, leaf in enumerate(leaves)}
    for leaf in leaves:
        found.update(stack.append(leaf))
    return found


def _inclusion(leaves: list[bytes], index: int) -> list[bytes]:
    return proof(inclusion_ranges(index, len(leaves)), _hashes(leaves))


def _consistency(leaves: list[bytes], old: int) -> list[bytes]:
    return proof(consistency_ranges(old, len(leaves)), _hashes(leaves))


def _defined_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 9162, section 2.1.1, as it is written there."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return hashlib.sha256(b"\x01" + _defined_root(leaves[:half]) + _defined_root(leaves[half:])).digest()


def _flipped(path: list[bytes], place: int) -> list[bytes]:
    number, bit = divmod(place, 256)
    changed = bytearray(path[number])
    changed[bit // 8] ^= 1 << bit % 8
    return [*path[:number], bytes(changed), *path[number + 1 :]]
