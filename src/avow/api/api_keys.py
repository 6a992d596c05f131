"""API keys as text: `avow_<environment>_<id>_<secret><checksum>`.

The prefix and the checksum let secret scanners find a leaked key without asking us. Pure: it must
never store a secret, and takes the random bytes as an argument. A fast keyed hash is enough, since
the secret has 256 random bits; slow hashes are for passwords.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from avow.errors import reject

PREFIX: Final = "avow_"
PUBLIC_ID_BYTES: Final = 12
SECRET_BYTES: Final = 32
RANDOM_BYTES: Final = PUBLIC_ID_BYTES + SECRET_BYTES
PEPPER_BYTES_MIN: Final = 32

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PUBLIC_ID_CHARACTERS: Final = 17  # 62**17 > 2**96
_SECRET_CHARACTERS: Final = 43  # 62**43 > 2**256
_CHECKSUM_CHARACTERS: Final = 6  # 62**6 > 2**32
_ENVIRONMENT: Final = re.compile(r"[a-z]{1,12}", re.ASCII)
_KEY: Final = re.compile(
    rf"(avow_([a-z]{{1,12}})_([0-9A-Za-z]{{{_PUBLIC_ID_CHARACTERS}}})_([0-9A-Za-z]{{{_SECRET_CHARACTERS}}}))"
    rf"([0-9A-Za-z]{{{_CHECKSUM_CHARACTERS}}})",
    re.ASCII,
)
_PURPOSE: Final = b"avow api key 1\x00"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A well-formed key that was presented; nothing is known yet of its being genuine.

    environment: such as `dev` or `live`. public_id: finds the stored row; not secret.
    """

    environment: str
    public_id: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class IssuedApiKey:
    """A key that was just made.

    public_id, digest: what is stored. text: the whole key, shown once and kept nowhere.
    """

    public_id: str
    text: str = field(repr=False)
    digest: bytes


def new(environment: str, random_bytes: bytes, pepper: bytes) -> IssuedApiKey:
    """Make a key from `RANDOM_BYTES` bytes of a cryptographic source.

    Raises ValueError for a wrong number of bytes, a short pepper, or an environment that is not 1 to
    12 lower-case letters.
    """
    if len(random_bytes) != RANDOM_BYTES:
        raise ValueError(f"a key takes exactly {RANDOM_BYTES} random bytes")
    if not _ENVIRONMENT.fullmatch(environment):
        raise ValueError("an environment is 1 to 12 lower-case letters")
    public_id = _base62(random_bytes[:PUBLIC_ID_BYTES], _PUBLIC_ID_CHARACTERS)
    secret = _base62(random_bytes[PUBLIC_ID_BYTES:], _SECRET_CHARACTERS)
    head = f"{PREFIX}{environment}_{public_id}_{secret}"
    key = ApiKey(environment, public_id, secret)
    return IssuedApiKey(public_id, head + _checksum(head), digest(key, pepper))


def looks_like_key(text: str) -> bool:
    """Whether a bearer credential means to be an API key (and not a JWT)."""
    return text.startswith(PREFIX)


def parse(text: str) -> ApiKey:
    """Read a presented key; raises `unauthenticated`, and nothing else, for any malformed text."""
    found = _KEY.fullmatch(text)
    if found is None or found[5] != _checksum(found[1]):
        raise reject("unauthenticated", "The API key is malformed.")
    return ApiKey(environment=found[2], public_id=found[3], secret=found[4])


def digest(key: ApiKey, pepper: bytes) -> bytes:
    """What is stored of a key, 32 bytes: HMAC-SHA-256 under the pepper over environment, id and secret.

    A digest that is copied to another row or environment matches nothing there.
    """
    if len(pepper) < PEPPER_BYTES_MIN:
        raise ValueError(f"a pepper has at least {PEPPER_BYTES_MIN} bytes")
    message = f"{key.environment}_{key.public_id}_{key.secret}".encode("ascii")
    return hmac.digest(pepper, _PURPOSE + message, hashlib.sha256)


def matches(key: ApiKey, stored: Sequence[bytes], pepper: bytes) -> bool:
    """Whether the key has one of the stored digests (two while it is rotated), in constant time each.

    For a public id that is unknown, pass `stored=(UNKNOWN,)`: the answer then takes as long.
    """
    presented = digest(key, pepper)
    found = False
    for known in stored:
        found |= hmac.compare_digest(presented, known)
    return found


# No HMAC can be shown to have this value, so comparing with it is comparing with nothing.
UNKNOWN: Final = bytes(32)


def _checksum(head: str) -> str:
    return _base62(zlib.crc32(head.encode("ascii")).to_bytes(4, "big"), _CHECKSUM_CHARACTERS)


def _base62(data: bytes, characters: int) -> str:
    number = int.from_bytes(data, "big")
    digits: list[str] = []
    for _ in range(characters):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
