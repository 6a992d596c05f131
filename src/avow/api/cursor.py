"""Opaque page cursors: a small payload under a MAC, bound to the query that it continues.

A cursor is authentic, not secret: it must never hold a private field. It grants nothing: who presents
it sees only what its own policies let through.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias, cast

from avow.api import base64url, json_text
from avow.errors import ProblemError, reject

CursorValue: TypeAlias = None | bool | int | str

CURSOR_CHARACTERS_MAX: Final = 2048
KEY_BYTES_MIN: Final = 32

_MAC_BYTES: Final = 32
_PURPOSE: Final = b"avow cursor 1\x00"


def encode(payload: Mapping[str, CursorValue], key: bytes, bound_to: bytes) -> str:
    """Seal `payload` for the query that `bound_to` names (filter, order, tenant; any bytes).

    Raises ValueError if the key is too short or the cursor would be too long: both our bugs.
    """
    _demand_key(key)
    body = json.dumps(payload, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
    text = base64url.encode(_mac(body, key, bound_to) + body)
    if len(text) > CURSOR_CHARACTERS_MAX:
        raise ValueError(f"a cursor of more than {CURSOR_CHARACTERS_MAX} characters")
    return text


def decode(text: str, keys: Sequence[bytes], bound_to: bytes) -> dict[str, CursorValue]:
    """Open a cursor that was sealed with any of `keys` (the newest first) for the same `bound_to`.

    Raises `cursor-invalid`, with one and the same sentence for every reason.
    """
    if not keys:
        raise ValueError("no key to open cursors with")
    if len(text) > CURSOR_CHARACTERS_MAX or not text.isascii():
        raise _invalid()
    try:
        sealed = base64url.decode(text)
    except ValueError:
        raise _invalid() from None
    mac, body = sealed[:_MAC_BYTES], sealed[_MAC_BYTES:]
    genuine = False
    for key in keys:
        _demand_key(key)
        genuine |= hmac.compare_digest(mac, _mac(body, key, bound_to))
    if not genuine:
        raise _invalid()
    return cast("dict[str, CursorValue]", json_text.loads(body))


def _mac(body: bytes, key: bytes, bound_to: bytes) -> bytes:
    # Lengths before parts: no two (bound_to, body) pairs make the same message.
    message = _PURPOSE + len(bound_to).to_bytes(8, "big") + bound_to + body
    return hmac.digest(key, message, hashlib.sha256)


def _demand_key(key: bytes) -> None:
    if len(key) < KEY_BYTES_MIN:
        raise ValueError(f"a cursor key has at least {KEY_BYTES_MIN} bytes")


def _invalid() -> ProblemError:
    error = {
        "parameter": "cursor",
        "in": "query",
        "code": "cursor",
        "detail": "The cursor is not valid here.",
    }
    return reject("cursor-invalid", "The cursor is not valid for this list.", errors=[error])
