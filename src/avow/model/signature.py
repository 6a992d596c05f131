"""Signatures of webhooks: who sent this body, under which id, and when.

One reading of three schemes, for what arrives and for what is sent. Secrets are keys of an HMAC and appear
in no text of an error. It must never parse a body before its signature is known to be right.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from avow.errors import AvowError

TOLERANCE_S = 300
"""How far the sender's clock may be from ours, either way (Standard Webhooks, "Verifying")."""

SIGNATURES_MAX = 16
"""How many signatures one message may carry; more than a rotation needs is an attempt to cost time."""

HEADER_BYTES_MAX = 4_096
STANDARD_KEY_BYTES_MIN, STANDARD_KEY_BYTES_MAX = 24, 64

_SECRET_PREFIX = "whsec_"
_SECONDS = re.compile(rb"[0-9]{1,12}")
_ID = re.compile(r"[\x21-\x7e]{1,255}")
_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)+")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")

Headers = Iterable[tuple[bytes, bytes]]
"""Raw pairs, as an ASGI scope has them: only there can a header be seen to stand twice."""


class SignatureRefused(AvowError):
    """The message isn't from a holder of the secret, or not from now. Nothing of it may be believed.

    reason: `header-missing`, `header-duplicated`, `header-malformed`, `secret-missing`, `signature-wrong`,
            `time-outside-window` or `id-missing`; made of no part of the message.
    """

    exit_code = 1

    def __init__(self, reason: str) -> None:
        super().__init__(f"the signature is refused: {reason}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Message:
    """What a right signature says.

    id:   the sender's own, by which a second delivery is known; 1 to 255 visible ASCII characters.
    time: when this delivery was signed; None where the scheme signs no time, and so can't tell a replay.
    """

    id: str
    time: datetime | None


@dataclass(frozen=True, slots=True)
class StandardWebhooks:
    """`webhook-id`, `webhook-timestamp`, `webhook-signature`, with `v1` (HMAC-SHA256) signatures.

    Secrets are `whsec_` and the key in base64, 24 to 64 bytes of it.
    """


@dataclass(frozen=True, slots=True)
class StripeStyle:
    """One header with `t=` and `v1=`: HMAC-SHA256 in hex over the time, a full stop and the body.

    id_pointer: where in the body the sender's id stands (RFC 6901).
    """

    header: str = "Stripe-Signature"
    id_pointer: str = "/id"

    def __post_init__(self) -> None:
        _check_pointer(self.id_pointer)


@dataclass(frozen=True, slots=True)
class PlainHmac:
    """An HMAC of the body alone in a header of its own. It signs no time, and no id outside the body.

    prefix:     what stands before the signature, such as `sha256=`.
    id_header:  where the sender's id stands; or, signed with the rest,
    id_pointer: where it stands in the body (RFC 6901). Exactly one of the two.
    """

    header: str
    algorithm: Literal["sha256", "sha512"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    prefix: str = ""
    id_header: str | None = None
    id_pointer: str | None = None

    def __post_init__(self) -> None:
        if self.algorithm not in ("sha256", "sha512") or self.encoding not in ("hex", "base64"):
            raise ValueError("an algorithm is sha256 or sha512, an encoding hex or base64")
        if (self.id_header is None) == (self.id_pointer is None):
            raise ValueError("give id_header or id_pointer, and not both")
        if self.id_pointer is not None:
            _check_pointer(self.id_pointer)


Scheme = StandardWebhooks | StripeStyle | PlainHmac


def check_secret(scheme: Scheme, secret: str) -> None:
    """Raises ValueError, without the secret, where it can't be one of this scheme: before it is kept."""
    if _key(scheme, secret) is None:
        if isinstance(scheme, StandardWebhooks):
            raise ValueError("a secret of Standard Webhooks is whsec_ and 24 to 64 bytes in base64")
        raise ValueError("a secret must not be empty")


def verify(
    scheme: Scheme,
    secrets: Sequence[str],
    headers: Headers,
    body: bytes,
    now: datetime,
    tolerance_s: float = TOLERANCE_S,
) -> Message:
    """The sender's id and time of a message that one of these secrets has signed, byte for byte.

    secrets: all that are valid now; several while they are being replaced.
    body:    as it came, before anything has parsed it.
    Raises SignatureRefused and, whatever the message holds, nothing else.
    """
    keys = [key for secret in secrets if (key := _key(scheme, secret)) is not None]
    if not keys:
        raise SignatureRefused("secret-missing")
    named = list(headers)
    match scheme:
        case StandardWebhooks():
            return _verify_standard(keys, named, body, now, tolerance_s)
        case StripeStyle():
            return _verify_stripe(scheme, keys, named, body, now, tolerance_s)
        case PlainHmac():
            return _verify_plain(scheme, keys, named, body)


def sign(secrets: Sequence[str], message_id: str, timestamp: datetime, body: bytes) -> dict[str, str]:
    """The three headers of Standard Webhooks, with one signature for each secret, in their order.

    Raises ValueError for a secret or an id that the scheme can't carry: a full stop in an id would let a
    receiver take the message apart at another place.
    """
    if not _ID.fullmatch(message_id) or "." in message_id:
        raise ValueError("the id of a message is 1 to 255 visible ASCII characters without a full stop")
    if not secrets:
        raise ValueError("a message is signed with at least one secret")
    scheme, seconds = StandardWebhooks(), str(int(timestamp.timestamp()))
    signatures: list[str] = []
    for secret in secrets:
        check_secret(scheme, secret)
        signed = _standard_signature(_key(scheme, secret) or b"", message_id.encode(), seconds.encode(), body)
        signatures.append(f"v1,{signed.decode()}")
    return {
        "webhook-id": message_id,
        "webhook-timestamp": seconds,
        "webhook-signature": " ".join(signatures),
    }


def _verify_standard(
    keys: list[bytes], headers: list[tuple[bytes, bytes]], body: bytes, now: datetime, tolerance_s: float
) -> Message:
    raw_id, seconds = _header(headers, "webhook-id"), _header(headers, "webhook-timestamp")
    if b"." in raw_id or not _SECONDS.fullmatch(seconds):
        raise SignatureRefused("header-malformed")
    found = [
        encoded
        for version, _, encoded in (
            one.partition(b",") for one in _header(headers, "webhook-signature").split()
        )
        if version == b"v1"
    ]
    _demand_one(found, [_standard_signature(key, raw_id, seconds, body) for key in keys])
    return Message(_identifier(raw_id), _time(seconds, now, tolerance_s))


def _verify_stripe(
    scheme: StripeStyle,
    keys: list[bytes],
    headers: list[tuple[bytes, bytes]],
    body: bytes,
    now: datetime,
    tolerance_s: float,
) -> Message:
    parts = [part.strip().partition(b"=") for part in _header(headers, scheme.header).split(b",")]
    times = [value for name, _, value in parts if name == b"t"]
    if len(times) != 1 or not _SECONDS.fullmatch(times[0]):
        raise SignatureRefused("header-malformed")
    signed = times[0] + b"." + body
    _demand_one(
        [value.lower() for name, _, value in parts if name == b"v1"],
        [_signature(key, signed, "sha256", "hex") for key in keys],
    )
    return Message(_id_in(body, scheme.id_pointer), _time(times[0], now, tolerance_s))


def _verify_plain(
    scheme: PlainHmac, keys: list[bytes], headers: list[tuple[bytes, bytes]], body: bytes
) -> Message:
    value, prefix = _header(headers, scheme.header), scheme.prefix.encode()
    if not value.startswith(prefix):
        raise SignatureRefused("header-malformed")
    found = value[len(prefix) :]
    _demand_one(
        [found.lower() if scheme.encoding == "hex" else found],
        [_signature(key, body, scheme.algorithm, scheme.encoding) for key in keys],
    )
    if scheme.id_header is not None:
        return Message(_identifier(_header(headers, scheme.id_header)), None)
    return Message(_id_in(body, scheme.id_pointer or ""), None)


def _demand_one(found: list[bytes], right: list[bytes]) -> None:
    """One of those found must be right. Each is compared with each, so that time tells nothing."""
    if len(found) > SIGNATURES_MAX:
        raise SignatureRefused("header-malformed")
    matches = [hmac.compare_digest(one, other) for one in found for other in right]
    if not any(matches):
        raise SignatureRefused("signature-wrong")


def _standard_signature(key: bytes, message_id: bytes, seconds: bytes, body: bytes) -> bytes:
    return _signature(key, message_id + b"." + seconds + b"." + body, "sha256", "base64")


def _signature(key: bytes, signed: bytes, algorithm: str, encoding: str) -> bytes:
    """As text: comparing the text leaves no second spelling of one signature (spare bits of base64)."""
    digest = hmac.new(key, signed, getattr(hashlib, algorithm)).digest()
    return digest.hex().encode() if encoding == "hex" else base64.b64encode(digest)


def _key(scheme: Scheme, secret: str) -> bytes | None:
    """The key that a secret stands for; None where it can't be one."""
    try:
        if not isinstance(scheme, StandardWebhooks):
            return secret.encode() or None
        key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
    except ValueError:
        return None
    return key if STANDARD_KEY_BYTES_MIN <= len(key) <= STANDARD_KEY_BYTES_MAX else None


def _header(headers: list[tuple[bytes, bytes]], name: str) -> bytes:
    """The one value of a header. Two of them are refused: the next reader might take the other one."""
    wanted = name.lower().encode()
    values = [value for key, value in headers if key.lower() == wanted]
    if not values:
        raise SignatureRefused("header-missing")
    if len(values) > 1:
        raise SignatureRefused("header-duplicated")
    if len(values[0]) > HEADER_BYTES_MAX:
        raise SignatureRefused("header-malformed")
    return values[0]


def _time(seconds: bytes, now: datetime, tolerance_s: float) -> datetime:
    if abs(now.timestamp() - int(seconds)) > tolerance_s:
        raise SignatureRefused("time-outside-window")
    return datetime.fromtimestamp(int(seconds), UTC)


def _identifier(raw: bytes) -> str:
    text = raw.decode("latin-1")
    if not _ID.fullmatch(text):
        raise SignatureRefused("id-missing")
    return text


def _id_in(body: bytes, pointer: str) -> str:
    """The id at this place of the body: a string, or a whole number as text."""
    try:
        value: Any = json.loads(body.decode())
        for step in pointer.split("/")[1:]:
            value = _below(value, step.replace("~1", "/").replace("~0", "~"))
    except (ValueError, LookupError, TypeError, RecursionError):
        raise SignatureRefused("id-missing") from None
    if isinstance(value, bool) or not isinstance(value, str | int) or not _ID.fullmatch(str(value)):
        raise SignatureRefused("id-missing")
    return str(value)


def _below(value: Any, step: str) -> Any:
    return value[int(step) if isinstance(value, list) and _INDEX.fullmatch(step) else step]


def _check_pointer(pointer: str) -> None:
    if not _POINTER.fullmatch(pointer):
        raise ValueError("a place in the body is written as a JSON pointer, such as /data/id")
