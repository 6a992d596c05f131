"""Signed notes: a text, and lines that say who stands for it.

The formats are c2sp.org/signed-note and c2sp.org/tlog-cosignature.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from avow.evidence.verifier.text import HASH_BYTES, Invalid, parse_base64

SIGNATURES_MAX = 100
TIME_MAX = 253_402_300_799
"""The last second of the year 9999: no calendar that is printed here goes further."""
NOTE_BYTES_MAX = 1_000_000
ED25519 = 1
"""The type of a signature that says nothing but "this text" (signed-note)."""
COSIGNATURE = 4
"""The type of a signature that also says when (tlog-cosignature)."""

_DASH = "\N{EM DASH} "


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
        if time > TIME_MAX:
            raise Invalid(f"the time of the signature of {key.name} is none")
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(data, text.encode())
    except InvalidSignature:
        raise Invalid(f"the signature isn't by the key of {key.name}") from None
    return Signed(key, time)


def cosigned_text(text: str, time: int) -> str:
    """What a cosignature signs: when, and the text of the note."""
    return f"cosignature/v1\ntime {time}\n{text}"
