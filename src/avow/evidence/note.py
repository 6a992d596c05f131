"""Signing notes (c2sp.org/signed-note): a text, and lines that say who stands for it.

The secret key is an argument. Where it comes from is none of this room's business; what it signs is.
"""

from __future__ import annotations

from base64 import b64encode
from typing import NamedTuple, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from avow.evidence.verifier import (
    COSIGNATURE,
    ED25519,
    Invalid,
    VerifierKey,
    check_note,
    cosigned_text,
    is_key_name,
    parse_base64,
    parse_key,
    parse_note,
)

_PREFIX = "PRIVATE+KEY"


class Key(Protocol):
    """A secret Ed25519 key, or somebody who has one: a file's, or a key service's."""

    @property
    def public(self) -> bytes:
        """The public key, 32 bytes."""
        ...

    def sign(self, data: bytes) -> bytes:
        """The signature over `data`, 64 bytes."""
        ...


class SecretKey:
    """A secret key in memory, from its 32 bytes."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._key.public_key().public_bytes_raw()

    def sign(self, data: bytes) -> bytes:
        return self._key.sign(data)


class Signer(NamedTuple):
    """Who signs: a name, and the key that goes with it."""

    name: str
    key: Key

    @property
    def verifier(self) -> VerifierKey:
        """What its signatures are checked with."""
        return VerifierKey(self.name, ED25519, self.key.public)

    @property
    def cosigner(self) -> VerifierKey:
        """What its cosignatures, which state a time, are checked with."""
        return VerifierKey(self.name, COSIGNATURE, self.key.public)

    def sign(self, text: str) -> str:
        """The line that says: this text is mine."""
        return _line(self.verifier, self.key.sign(text.encode()))

    def cosign(self, text: str, time: int) -> str:
        """The line that says: at this time (seconds since 1970) I knew no newer checkpoint."""
        return _line(
            self.cosigner, time.to_bytes(8, "big") + self.key.sign(cosigned_text(text, time).encode())
        )


def join(text: str, *lines: str) -> str:
    """A note of a text, which ends with a line's end, and the lines of those who sign it."""
    return f"{text}\n{''.join(lines)}"


def check_line(note: str, line: str, key: str) -> None:
    """Look whether a line, and nothing but one, signs the text of a note by this verifier key, which is given
    as text. Raises Invalid."""
    try:
        signed = parse_note(join(parse_note(note.encode()).text, line).encode())
    except UnicodeEncodeError:
        raise Invalid("a line isn't a signature") from None
    if len(signed.signatures) != 1 or not check_note(signed, [parse_key(key)]):
        raise Invalid("it isn't by that key")


def write_secret(name: str, seed: bytes) -> str:
    """A secret key as it is kept in a file: PRIVATE+KEY+name+id+base64, as Go's `note` writes it."""
    key = VerifierKey(name, ED25519, SecretKey(seed).public)
    return f"{_PREFIX}+{name}+{key.id.hex()}+{b64encode(bytes([ED25519]) + seed).decode()}"


def read_secret(text: str) -> Signer:
    """The signer whose secret key this is. Raises ValueError, which never holds a part of it."""
    try:
        private, word, name, stated, encoded = text.strip().split("+", 4)
        data = parse_base64(encoded)
    except (ValueError, Invalid):
        raise ValueError("not a secret key (PRIVATE+KEY+name+id+base64)") from None
    if f"{private}+{word}" != _PREFIX or not is_key_name(name) or len(data) != 33 or data[0] != ED25519:
        raise ValueError("not a secret key of Ed25519 (PRIVATE+KEY+name+id+base64)")
    signer = Signer(name, SecretKey(data[1:]))
    if stated != signer.verifier.id.hex():
        raise ValueError("the secret key doesn't have the id that it states")
    return signer


def _line(key: VerifierKey, signature: bytes) -> str:
    return f"\N{EM DASH} {key.name} {b64encode(key.id + signature).decode()}\n"
