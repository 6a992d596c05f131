"""What the other side answered, bounded, and what its status says about the outcome."""

from __future__ import annotations

import asyncio
import codecs
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn

import httpcore2
import httpx2

from avow.model.outcome import AnswerTooLarge, NotDone, Unclear

RETRY_AFTER_S_MAX = 86_400.0
"""The longest wait that another side may ask for."""

CLEARED_S_MAX, CLEARED_BYTES_MAX = 0.5, 65_536
"""How much of a body that nobody reads is let go by, for the sake of the connection."""

CONTENT_TYPE_MAX = 1_000
"""How far into a Content-Type the charset is looked for."""

_CHARSET = re.compile(r""";[ \t]*charset=(?:"([^"\\]+)"|([!#$%&'*+\-.^_`|~0-9A-Za-z]+))""", re.IGNORECASE)
_NO_CHARSETS = frozenset({"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined"})
"""What Python decodes and nobody else calls a charset. A megabyte of the first two takes it minutes."""

_SECONDS = re.compile(r"[0-9]{1,100}")
_TOO_MANY_REQUESTS = 429
_SERVER_FAULT = range(500, 600)


@dataclass(frozen=True, slots=True)
class Response:
    """An answer: every status that leaves no doubt, redirects too, which are not followed.

    headers: names in any case; `content`: the body's bytes.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The body as text, in the charset that its type names, else UTF-8. Raises Unclear."""
        try:
            return self.content.decode(_charset(self.headers.get("content-type", "")))
        except (LookupError, ValueError):
            raise Unclear("the answer isn't text in the charset that it names", answered=True) from None

    def json(self) -> Any:
        """The body as JSON; numbers with a fraction are Decimal, so that no cent is lost. Raises Unclear."""
        try:
            return json.loads(self.content.decode(), parse_float=Decimal, parse_constant=_refuse_constant)
        except (ValueError, RecursionError, ArithmeticError):
            raise Unclear("the answer isn't JSON", answered=True) from None


def demand_outcome(
    status: int, headers: Mapping[str, str], *, idempotent: bool, now: datetime, at: str
) -> None:
    """Raises NotDone or Unclear where the status doesn't say how the call ended.

    at: the words that name the request in the exception's text.
    """
    if status != _TOO_MANY_REQUESTS and status not in _SERVER_FAULT:
        return
    said, wait_s = f"{at} was answered with {status}", retry_after_s(headers, now)
    if status == _TOO_MANY_REQUESTS or idempotent:
        raise NotDone(said, retry_after_s=wait_s)
    raise Unclear(said, answered=True, retry_after_s=wait_s)


async def cleared(response: httpcore2.Response) -> bytes:
    """No body, whatever there is: what comes of it at once is let go by, so that the connection may be used
    again, and nothing of it is waited for."""
    length = 0
    try:
        async with asyncio.timeout(CLEARED_S_MAX):
            async for part in response.aiter_stream():
                length += len(part)
                if length > CLEARED_BYTES_MAX:
                    break
    except (TimeoutError, httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError):
        pass
    return b""


async def body_of(response: httpcore2.Response, headers: Mapping[str, str], at: str, most: int) -> bytes:
    """The whole body. Raises AnswerTooLarge where it is longer than `most` bytes, and Unclear where it is
    coded although that wasn't asked for.
    """
    if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise Unclear(f"{at} was answered in a coding that wasn't asked for", answered=True)
    content = bytearray()
    async for part in response.aiter_stream():
        content += part
        if len(content) > most:
            raise AnswerTooLarge(f"{at} was answered with more than {most} bytes")
    return bytes(content)


def headers_of(response: httpcore2.Response) -> Mapping[str, str]:
    """The headers, found under their names in any case."""
    return httpx2.Headers(response.headers)


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """How long the other side asks to be left alone (RFC 9110, 10.2.3); None where it doesn't say."""
    value = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(value):
        return min(float(value), RETRY_AFTER_S_MAX)
    try:
        then = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    wait_s = ((then if then.tzinfo else then.replace(tzinfo=UTC)) - now).total_seconds()
    return float(min(max(math.ceil(wait_s), 0), RETRY_AFTER_S_MAX))


def _charset(content_type: str) -> str:
    """The charset that a media type names; UTF-8 without one. Raises LookupError for what is none."""
    found = _CHARSET.search(content_type[:CONTENT_TYPE_MAX])
    named = codecs.lookup(found[1] or found[2]).name if found else "utf-8"
    if named in _NO_CHARSETS:
        raise LookupError("not a charset")
    return named


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
