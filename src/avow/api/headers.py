"""Request headers: raw ASGI lines in, plain values out, or a problem that names the header.

Pure parsers. They must never return a value that holds a line break, and never repeat a value in an
error. A header that may stand once is read in one place, `Headers.one`, which refuses a second line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from avow.api.entity_tag import Condition, read_condition
from avow.errors import Problem, ProblemError, reject

IDEMPOTENCY_KEY_CHARACTERS_MAX: Final = 255
TOKEN_CHARACTERS_MAX: Final = 8192
ACCEPT_RANGES_MAX: Final = 64
JSON: Final = "application/json"

_SPACE: Final = b" \t"
# An RFC 8941 string or, as many clients send it, a bare token. No spaces: a key is one visible word.
_KEY_QUOTED: Final = re.compile(rb'"((?:[\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_KEY_BARE: Final = re.compile(rb"[A-Za-z0-9!#$%&'*+./:=@^_`|~-]+")
_ESCAPE: Final = re.compile(rb'\\(["\\])')
_JSON_TYPE: Final = re.compile(rb'application/json(?:[ \t]*;[ \t]*charset=(?:utf-8|"utf-8"))?', re.IGNORECASE)
_JSON: Final = JSON.encode("ascii")
_LENGTH_DIGITS_MAX: Final = 18
_BACKSLASH: Final = ord("\\")
_HOST: Final = re.compile(rb"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._~!$&'()*+;=%-]{1,253})(?::[0-9]{0,5})?")
_HOSTS_MAX: Final = 64
_BEARER: Final = re.compile(rb"(?i:bearer)[ ]+([A-Za-z0-9._~+/-]+=*)")
_RANGE: Final = re.compile(r"(\*/\*|[!#$%&'+.^_`|~0-9a-z-]+/(?:\*|[!#$%&'+.^_`|~0-9a-z-]+))", re.ASCII)
_WAIT: Final = re.compile(
    rb'(?:^|,)[ \t]*wait(?:[ \t]*=[ \t]*"?([0-9]+)"?)?[ \t]*(?:;[^,]*)?(?:,|$)', re.IGNORECASE
)
_HARMLESS: Final = ("", "charset=utf-8", 'charset="utf-8"')
_QUALITY: Final = re.compile(r"q=(0(?:\.[0-9]{0,3})?|\.[0-9]{1,3}|1(?:\.0{0,3})?)", re.ASCII)


class Headers(dict[bytes, bytes]):
    """The header lines of one request by lower-case name, as ASGI has them; of several, the last.

    What a header says, `one` and `joined` tell, which see whether it stands twice; `in`, whether it is there.
    """

    __slots__ = ("_repeated",)

    def __init__(self, raw: Sequence[tuple[bytes, bytes]]) -> None:
        super().__init__(raw)
        self._repeated: dict[bytes, list[bytes]] | None = None
        if len(self) != len(raw):
            self._repeated = {}
            for name, value in raw:
                self._repeated.setdefault(name, []).append(value)

    def one(self, name: bytes, code: str = "header-invalid") -> bytes | None:
        """The value of a header that may stand once, or None; raises the problem `code` for two lines."""
        value = self.get(name)
        if value is None:
            return None
        if self._repeated is not None and len(self._repeated[name]) != 1:
            raise _refusal(code, name, "twice", "stands more than once")
        return value.strip(_SPACE)

    def lines(self) -> list[tuple[bytes, bytes]]:
        """Every line, names in lower case: for whoever has to see that a header stands twice."""
        if self._repeated is None:
            return list(self.items())
        return [(name, value) for name, values in self._repeated.items() for value in values]

    def joined(self, name: bytes) -> bytes | None:
        """The value of a list header: all its lines, joined by commas (RFC 9110, section 5.3)."""
        value = self.get(name)
        if value is None or self._repeated is None:
            return value
        return b",".join(self._repeated[name])


def idempotency_key(headers: Headers) -> str:
    """The Idempotency-Key; the quoted and the bare spelling of a key are the same key.

    Raises `idempotency-key-missing`, and `idempotency-key-invalid` for an empty key, one over 255
    characters, control characters, spaces, lists, parameters and a second header line.
    """
    name, code = b"idempotency-key", "idempotency-key-invalid"
    value = headers.one(name, code)
    if value is None:
        raise reject("idempotency-key-missing")
    quoted = _KEY_QUOTED.fullmatch(value)
    if quoted is not None:
        value = _ESCAPE.sub(rb"\1", quoted[1]) if _BACKSLASH in quoted[1] else quoted[1]
    elif not _KEY_BARE.fullmatch(value):
        raise _refusal(code, name, "syntax", "is neither a quoted string nor one bare token")
    if not 1 <= len(value) <= IDEMPOTENCY_KEY_CHARACTERS_MAX:
        raise _refusal(code, name, "length", f"must have 1 to {IDEMPOTENCY_KEY_CHARACTERS_MAX} characters")
    return value.decode("ascii")


def if_match(headers: Headers) -> Condition | None:
    """The If-Match condition, or None; raises `header-invalid`."""
    return _condition(headers, b"if-match")


def if_none_match(headers: Headers) -> Condition | None:
    """The If-None-Match condition, or None; raises `header-invalid`."""
    return _condition(headers, b"if-none-match")


def preferred_wait_s(headers: Headers, most: float) -> float | None:
    """How long the client would wait (`Prefer: wait=10`, RFC 7240), at most `most`; None: it didn't say.

    A bare `wait` means as long as possible. What can't be read isn't heeded: a preference binds nobody.
    """
    value = headers.joined(b"prefer")
    found = None if value is None else _WAIT.search(value)
    if found is None:
        return None
    return most if found[1] is None else min(float(found[1]), most)


def demand_json_body(headers: Headers) -> None:
    """Accept only `application/json`, in UTF-8, not encoded; raises `media-type-unsupported`."""
    value = headers.one(b"content-type", "media-type-unsupported")
    if value != _JSON and (value is None or not _JSON_TYPE.fullmatch(value)):
        raise _media_type("The body must be application/json in UTF-8.")
    encoding = headers.joined(b"content-encoding") if b"content-encoding" in headers else None
    if encoding is not None and encoding.strip(_SPACE).lower() != b"identity":
        raise _media_type("The body must be sent without Content-Encoding.")


def content_length(headers: Headers) -> int | None:
    """The declared length of the body in bytes, or None; raises `bad-request` if it is no number."""
    value = headers.one(b"content-length", "bad-request")
    if value is None:
        return None
    if not value.isdigit() or len(value) > _LENGTH_DIGITS_MAX:
        raise _refusal("bad-request", b"content-length", "syntax", "is not a number of bytes")
    return int(value)


def host(headers: Headers) -> str:
    """The Host, port included; raises `host-invalid` unless exactly one well-formed line is there."""
    value = headers.one(b"host", "host-invalid")
    if value is None or not _is_host(value):
        raise _refusal("host-invalid", b"host", "syntax", "is missing or malformed")
    return value.decode("ascii")


@lru_cache(_HOSTS_MAX)
def _is_host(value: bytes) -> bool:
    return _HOST.fullmatch(value) is not None


def bearer_token(headers: Headers) -> str | None:
    """The credential of `Authorization: Bearer ...`, or None when the header is absent.

    Raises `unauthenticated` for any other scheme, a malformed or overlong token, or two lines.
    """
    value = headers.one(b"authorization", "unauthenticated")
    if value is None:
        return None
    found = _BEARER.fullmatch(value)
    if found is None or len(found[1]) > TOKEN_CHARACTERS_MAX:
        raise reject("unauthenticated", "The Authorization header is not one Bearer credential.")
    return found[1].decode("ascii")


def negotiate(headers: Headers, offered: Sequence[str] = (JSON,)) -> str:
    """The media type to answer with: the most preferred of `offered`, the earlier one in a tie.

    Ranges that cannot be read are passed over, as if they were not there. Raises `not-acceptable`.
    Problems are sent as problem+json whatever this says (RFC 9457, section 3, allows it).
    """
    value = headers.joined(b"accept") if b"accept" in headers else None
    if value is None or not value.strip(_SPACE):
        return offered[0]
    if value == b"*/*":
        return offered[0]
    if value == _JSON and JSON in offered:  # nearly every request
        return JSON
    ranges = _accepted_ranges(value.decode("latin-1").lower())
    best = max(offered, key=lambda media_type: _quality(media_type, ranges))
    if not _quality(best, ranges):
        raise reject("not-acceptable", f"This address answers with {', '.join(offered)}.")
    return best


def _condition(headers: Headers, name: bytes) -> Condition | None:
    value = headers.joined(name)
    if value is None:
        return None
    try:
        return read_condition(value)
    except ValueError as error:
        raise _refusal("header-invalid", name, "syntax", f"cannot be read: {error}") from None


def _accepted_ranges(accept: str) -> dict[str, float]:
    ranges: dict[str, float] = {}
    for element in accept.split(",")[:ACCEPT_RANGES_MAX]:
        media_range, *parameters = [part.strip(" \t") for part in element.split(";")]
        weight = _weight(parameters)
        if weight is not None and _RANGE.fullmatch(media_range):
            ranges[media_range] = max(weight, ranges.get(media_range, 0.0))
    return ranges


def _weight(parameters: Sequence[str]) -> float | None:
    """The q value; None when another parameter narrows the range to something that we do not serve."""
    for parameter in parameters:
        found = _QUALITY.fullmatch(parameter)
        if found is not None:
            return float(found[1])
        if parameter not in _HARMLESS:
            return None
    return 1.0


def _quality(media_type: str, ranges: dict[str, float]) -> float:
    # The most specific range decides, also when it says q=0 (RFC 9110, section 12.5.1).
    main_type = media_type.partition("/")[0]
    for media_range in (media_type, f"{main_type}/*", "*/*"):
        if media_range in ranges:
            return ranges[media_range]
    return 0.0


def _media_type(detail: str) -> ProblemError:
    return ProblemError(Problem("media-type-unsupported", detail), {"accept-post": JSON})


def _refusal(code: str, name: bytes, error_code: str, says: str) -> ProblemError:
    shown = name.decode("ascii").title()
    error = {"parameter": shown, "in": "header", "code": error_code, "detail": f"The header {says}."}
    return reject(code, f"The header {shown} {says}.", errors=[error])
