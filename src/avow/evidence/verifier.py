"""What a stranger needs to check a receipt: this one file, Python, and `cryptography`.

It imports nothing else of Avow, so that it can be read in one sitting, copied to another machine and run
there: `python verifier.py RECEIPT --key FILE`. What it is given is believed in nothing: each length has a
bound, each number one way of writing it, each signature is checked, and what doesn't fit is Invalid.

The formats are those of transparency logs: Merkle proofs (RFC 9162, 2.1.3 and 2.1.4; the same trees as RFC
6962), signed notes (c2sp.org/signed-note), checkpoints (c2sp.org/tlog-checkpoint) and cosignatures
(c2sp.org/tlog-cosignature).
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

HASH_BYTES = 32
PROOF_HASHES_MAX = 63
"""No tree of fewer than 2**63 leaves has a longer proof."""
SIZE_MAX = 2**63 - 1
SIGNATURES_MAX = 100
NOTE_BYTES_MAX = 1_000_000
ED25519 = 1
"""The type of a signature that says nothing but "this text" (signed-note)."""
COSIGNATURE = 4
"""The type of a signature that also says when (tlog-cosignature)."""

_DASH = "\N{EM DASH} "
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")


class Invalid(Exception):
    """What was given proves nothing; the message says why."""


class VerifierKey(NamedTuple):
    """Whose signature is believed. kind: ED25519 or COSIGNATURE. public: 32 bytes (RFC 8032)."""

    name: str
    kind: int
    public: bytes

    @property
    def id(self) -> bytes:
        """The four bytes that a signature names its key by."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    @property
    def text(self) -> str:
        """As people hand it on: name+id+base64."""
        return f"{self.name}+{self.id.hex()}+{b64encode(bytes([self.kind]) + self.public).decode()}"


class Signed(NamedTuple):
    """A signature that has been checked. time: seconds since 1970, as a cosignature states it; else None."""

    key: VerifierKey
    time: int | None


class Note(NamedTuple):
    """A signed note as it was written: its text, and each signature's name and bytes. Nothing is checked."""

    text: str
    signatures: Sequence[tuple[str, bytes]]


class Checkpoint(NamedTuple):
    """The state of a log: how many leaves it has, and the root over them."""

    origin: str
    size: int
    root: bytes


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node of a tree."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def check_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Raises Invalid unless `leaf` (a leaf hash) is the leaf number `index` of the tree with this root."""
    _demand_proof(proof)
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
    _demand_proof(proof)
    if not 0 <= old_size <= size <= SIZE_MAX:
        raise Invalid("the log has become shorter")
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


def _demand_proof(proof: Sequence[bytes]) -> None:
    if len(proof) > PROOF_HASHES_MAX or any(len(item) != HASH_BYTES for item in proof):
        raise Invalid(f"a proof is at most {PROOF_HASHES_MAX} hashes of {HASH_BYTES} bytes")


def parse_key(text: str) -> VerifierKey:
    """Read a verifier key. Raises Invalid."""
    name, _, rest = text.partition("+")
    stated, _, encoded = rest.partition("+")
    data = parse_base64(encoded)
    if not is_key_name(name) or len(data) != 1 + HASH_BYTES or data[0] not in (ED25519, COSIGNATURE):
        raise Invalid("not a verifier key of Ed25519 (name+id+base64)")
    key = VerifierKey(name, data[0], data[1:])
    if stated != key.id.hex():
        raise Invalid("the verifier key doesn't have the id that it states")
    return key


def is_key_name(name: str) -> bool:
    """Whether signed-note permits this name for a key."""
    return bool(name) and "+" not in name and name.isprintable() and not any(map(str.isspace, name))


def parse_note(note: bytes) -> Note:
    """Take a note apart. Raises Invalid for what isn't one."""
    if len(note) > NOTE_BYTES_MAX:
        raise Invalid(f"a note is at most {NOTE_BYTES_MAX:,} bytes")
    try:
        whole = note.decode("utf-8")
    except UnicodeDecodeError:
        raise Invalid("the note isn't UTF-8") from None
    if any(character < " " and character != "\n" for character in whole):
        raise Invalid("there is a control character in the note")
    body, blank, lines = whole.rpartition("\n\n")
    if not blank or not lines.endswith("\n"):
        raise Invalid("the note has no signature, or was cut off")
    found = [_signature(line) for line in lines[:-1].split("\n")]
    if len(found) > SIGNATURES_MAX:
        raise Invalid(f"a note has at most {SIGNATURES_MAX} signatures")
    return Note(f"{body}\n", found)


def _signature(line: str) -> tuple[str, bytes]:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    data = parse_base64(encoded)
    if not line.startswith(_DASH) or not is_key_name(name) or len(data) <= 4:
        raise Invalid("a line isn't a signature")
    return name, data


def check_note(note: Note, keys: Iterable[VerifierKey]) -> list[Signed]:
    """The signatures of keys that are believed, in their order in the note; others are passed over.

    Raises Invalid where one that names such a key isn't by it. A key that signs twice counts once.
    """
    known = {(key.name, key.id): key for key in keys}
    found: dict[VerifierKey, Signed] = {}
    for name, data in note.signatures:
        key = known.get((name, data[:4]))
        if key is None:
            continue
        found.setdefault(key, _checked(note.text, key, data[4:]))
    return list(found.values())


def _checked(text: str, key: VerifierKey, data: bytes) -> Signed:
    time = None
    if key.kind == COSIGNATURE:
        time, data = int.from_bytes(data[:8], "big"), data[8:]
        text = cosigned_text(text, time)
        if time > SIZE_MAX:
            raise Invalid(f"the time of the signature of {key.name} is none")
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(data, text.encode())
    except InvalidSignature:
        raise Invalid(f"the signature isn't by the key of {key.name}") from None
    return Signed(key, time)


def cosigned_text(text: str, time: int) -> str:
    """What a cosignature signs: when, and the text of the note."""
    return f"cosignature/v1\ntime {time}\n{text}"


def parse_checkpoint(text: str) -> Checkpoint:
    """Read the text of a checkpoint. Raises Invalid; extension lines are none of ours and are refused."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[3] or not lines[0]:
        raise Invalid("not a checkpoint of three lines: origin, size, root")
    root = parse_base64(lines[2])
    if len(root) != HASH_BYTES:
        raise Invalid("the root of the checkpoint isn't a hash")
    return Checkpoint(lines[0], parse_number(lines[1]), root)


def parse_number(text: str) -> int:
    """A number of leaves, or of one, without leading zeros. Raises Invalid."""
    if not _NUMBER.fullmatch(text) or int(text) > SIZE_MAX:
        raise Invalid("not a number from 0 to 2**63 - 1 as a log writes it")
    return int(text)


def parse_base64(text: str) -> bytes:
    """Base64 that is written in the one way that it can be. Raises Invalid."""
    try:
        data = b64decode(text, validate=True)
    except ValueError:
        raise Invalid("not base64") from None
    if b64encode(data).decode() != text:
        raise Invalid("not base64 as it is written")
    return data
