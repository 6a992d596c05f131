"""One canonical encoding and one hash, for audit entries, fingerprints and request digests.

The encoding is RFC 8785 (JCS) over a narrow profile, so that any JSON library can check it in ten
years: objects with ASCII member names, arrays, strings, booleans, null, and integers of at most
53 bits. There is no binary floating point. Bytes are hashed as they were encoded and stored as they
were hashed; nothing is ever decoded and encoded again to check a hash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from json import encoder as standard
from json.encoder import encode_basestring as quoted
from typing import Any, TypeAlias, cast

__all__ = [
    "HASH_BYTES", "INTEGER_MAX", "JsonValue", "compact", "decode", "digest", "encode", "encode_trusted",
    "leaf_hash", "quoted", "written",
]  # fmt: skip

JsonValue: TypeAlias = "None | bool | int | str | Sequence[JsonValue] | Mapping[str, JsonValue]"

INTEGER_MAX = 2**53 - 1
HASH_BYTES = 32


def compact(
    *, ensure_ascii: bool = False, sort_keys: bool = False, default: Callable[[Any], Any] | None = None
) -> Callable[[Any], str]:
    """A function that writes JSON without spaces, and no NaN.

    `json.JSONEncoder` makes its encoder in C anew for each value; here it is made once, which takes half
    of the time for the small values that commands bring. Where there is none in C, the standard one does it.
    """
    encoder = json.JSONEncoder(
        ensure_ascii=ensure_ascii, check_circular=False, allow_nan=False, sort_keys=sort_keys,
        separators=(",", ":"), default=default,
    )  # fmt: skip
    make: Any = getattr(standard, "c_make_encoder", None)
    if make is None:
        return encoder.encode
    quote = standard.encode_basestring_ascii if ensure_ascii else standard.encode_basestring
    chunks = make(None, encoder.default, quote, None, ":", ",", sort_keys, False, False)
    return lambda value: "".join(chunks(value, 0))


_write = compact(sort_keys=True)
_SCALARS: Mapping[type, Callable[[Any], str]] = {
    str: quoted,
    int: int.__repr__,
    bool: {False: "false", True: "true"}.__getitem__,
    type(None): {None: "null"}.__getitem__,
}
"""How the encoder writes what holds nothing else, without its list of pieces."""


def encode(value: JsonValue) -> bytes:
    """Encode a value of the profile as canonical JSON in UTF-8.

    Raises ValueError for what the profile leaves out: floats, other types, integers of more than
    53 bits, member names that are not ASCII strings, strings with lone surrogates.
    """
    _demand_profile(value)
    return _write(value).encode("utf-8")


def encode_trusted(value: JsonValue) -> bytes:
    """Encode a value that our own code built within the profile; skips the walk over it."""
    return _write(value).encode("utf-8")


def written(value: JsonValue) -> str:
    """The text that `encode_trusted` encodes: for who joins an object from pieces, members sorted."""
    scalar = _SCALARS.get(type(value))
    return _write(value) if scalar is None else scalar(value)


def decode(data: bytes) -> Any:
    """Decode canonical JSON that we wrote ourselves."""
    return json.loads(data)


_digest_begun = hashlib.sha256()
_leaf_begun = hashlib.sha256(b"\x00")
# To copy one that has begun costs less than to have OpenSSL look for the function anew.


def digest(data: bytes) -> bytes:
    """SHA-256 of `data`, 32 bytes."""
    begun = _digest_begun.copy()
    begun.update(data)
    return begun.digest()


def leaf_hash(header: bytes) -> bytes:
    """The RFC 6962 leaf hash of an audit header: SHA-256(0x00 || header), 32 bytes.

    The link of an entity's chain and the leaf of a Merkle log over all entries are one value.
    """
    begun = _leaf_begun.copy()
    begun.update(header)
    return begun.digest()


def _demand_profile(value: object) -> None:
    if value is None or value is True or value is False or type(value) is str:
        return
    if type(value) is int:
        if not -INTEGER_MAX <= value <= INTEGER_MAX:
            raise ValueError("an integer of more than 53 bits is outside the canonical profile")
        return
    if isinstance(value, dict):
        for name, member in cast(dict[object, object], value).items():
            if type(name) is not str or not name.isascii():
                raise ValueError("a member name outside ASCII is outside the canonical profile")
            _demand_profile(member)
        return
    if isinstance(value, list | tuple):
        for item in cast("list[object] | tuple[object, ...]", value):
            _demand_profile(item)
        return
    raise ValueError(f"{type(value).__name__} is outside the canonical profile")
