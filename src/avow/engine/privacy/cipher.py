"""AES-256-GCM (NIST SP 800-38D) with a random nonce: how everything private is encrypted."""

from __future__ import annotations

import secrets
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
"""Random, so one key encrypts 2^32 values at most (SP 800-38D, 8.3); each person has a key of their own."""


class Encrypted(NamedTuple):
    """A ciphertext with its tag, and the nonce that it was made with."""

    nonce: bytes
    ciphertext: bytes


class Unreadable(Exception):
    """What should be decrypted isn't what was encrypted with this key, for this place."""


def new_key() -> bytes:
    """A key of 256 random bits."""
    return secrets.token_bytes(KEY_BYTES)


def encrypt(key: bytes, plaintext: bytes, context: bytes) -> Encrypted:
    """Encrypt; context: where it belongs, so that it can't be read in another place."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return Encrypted(nonce, AESGCM(key).encrypt(nonce, plaintext, context))


def decrypt(key: bytes, encrypted: Encrypted, context: bytes) -> bytes:
    """The plaintext. Raises Unreadable for another key, another context, or one bit that differs."""
    try:
        return AESGCM(key).decrypt(encrypted.nonce, encrypted.ciphertext, context)
    except (InvalidTag, ValueError):
        raise Unreadable from None
