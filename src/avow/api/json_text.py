"""Strict JSON at the door: bytes in, plain values out, or a `json-invalid` problem.

It must never accept what two parsers could read differently (duplicate members, NaN, lone
surrogates, other encodings), never make a binary float, and never repeat a value in an error.
U+0000 is legal JSON and passes; `path_of_nul` lets a later step answer 422 with a pointer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import accumulate
from typing import Any, Final, NoReturn, TypeAlias, cast
from urllib.parse import quote

from avow.errors import ProblemError, reject

JsonValue: TypeAlias = "None | bool | int | Decimal | str | list[JsonValue] | dict[str, JsonValue]"
Path: TypeAlias = tuple[str | int, ...]

DEPTH_MAX: Final = 32
NUMBER_CHARACTERS_MAX: Final = 128
# Small enough that int(value) and quantize() of an accepted Decimal stay cheap.
EXPONENT_MAX: Final = 400
POINTER_NAME_CHARACTERS_MAX: Final = 64

_BLANK: Final = " \t\n\r"
_BRACKETS: Final = b"[]{}"
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(_BRACKETS))
_STEP: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
# Possessive, and an unterminated string is eaten to its end: linear for every input.
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_ESCAPED_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_NAME: Final = re.compile(rf"[A-Za-z_][A-Za-z0-9_.-]{{0,{POINTER_NAME_CHARACTERS_MAX - 1}}}", re.ASCII)

# The parser's own messages may quote the input (they did in the past); only these sentences leave us.
_SENTENCES: Final = {
    "Expecting value": "A value is expected",
    "Extra data": "The document has ended, yet more text follows",
    "Unterminated string starting at": "A string is not terminated; it starts",
    "Invalid control character at": "A string holds a raw control character",
    "Invalid \\escape": "A string holds an invalid escape",
    "Invalid \\uXXXX escape": "A string holds an invalid \\u escape",
    "Expecting property name enclosed in double quotes": "A member name in double quotes is expected",
    "Expecting ':' delimiter": "A colon is expected",
    "Expecting ',' delimiter": "A comma is expected",
    "Illegal trailing comma before end of object": "A comma stands before the end of an object",
    "Illegal trailing comma before end of array": "A comma stands before the end of an array",
}


class _Suspect(Exception):
    """The quick pass met something that JSON text may hold but we refuse; the slow pass says where."""


class _Refused:
    """Stands in the slow pass where a value is refused."""

    def __init__(self, code: str, detail: str) -> None:
        self.code = code
        self.detail = detail


class _Members(list[tuple[str, Any]]):
    """The members of one object as they were written, duplicates included."""


def loads(raw: bytes) -> JsonValue:
    """Parse one JSON document; objects become dicts, numbers int or Decimal.

    Raises ProblemError `json-invalid` for everything else, with `line` and `column` for faults of
    syntax, or with `errors[0].pointer` for a refused value. Runs in time linear in the input.
    """
    if _depth_may_exceed(raw):
        raise _refusal("depth", f"The body is nested deeper than {DEPTH_MAX} levels.")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _refusal(
            "encoding", f"The body is not UTF-8 at byte {error.start}.", byte=error.start
        ) from None
    try:
        value = _value(text, _SHORT if len(raw) <= NUMBER_CHARACTERS_MAX else _QUICK)
    except _Suspect:
        raise _locate(text) from None
    except json.JSONDecodeError as error:
        raise _syntax(error) from None
    suspect = raw.find(b"\\u") >= 0 and _ESCAPED_SURROGATE.search(raw)
    if suspect and _path_where(value, _has_surrogate) is not None:
        raise _locate(text)
    return value


def _value(text: str, decoder: Any) -> JsonValue:
    """What a text says. Raises _Suspect, and JSONDecodeError where it isn't JSON."""
    bare = text.strip(_BLANK)
    try:
        value, end = decoder.scan_once(bare, 0)
        if end == len(bare):
            return value
    except (StopIteration, json.JSONDecodeError):
        pass
    return decoder.decode(text)  # which says what is wrong, and where


def pointer(path: Sequence[str | int]) -> str:
    """The place as a JSON pointer in its URI fragment form: `#/items/0/quantity`.

    A member name that no declaration could hold is the client's own text: the pointer then ends at
    the object around it.
    """
    parts: list[str] = []
    for step in path:
        if isinstance(step, str) and not _NAME.fullmatch(step):
            break
        parts.append(quote(str(step), safe="~"))
    return "#" + "".join(f"/{part}" for part in parts)


def path_of_nul(value: JsonValue) -> Path | None:
    """The place of the first string (or member name) with U+0000, which PostgreSQL cannot hold."""
    return _path_where(value, _has_nul)


def _depth_may_exceed(raw: bytes) -> bool:
    # Two counts settle nearly every body. The exact walk needs no grammar: up to the first fault it
    # sees the same strings and brackets as the parser, and at the first fault the parser stops.
    if raw.count(b"[") + raw.count(b"{") <= DEPTH_MAX:
        return False
    brackets = _STRING.sub(b"", raw).translate(None, _NOT_BRACKETS)
    return max(accumulate(map(_STEP.__getitem__, brackets)), default=0) > DEPTH_MAX


def _refusal(code: str, detail: str, path: Path | None = None, **extra: object) -> ProblemError:
    error: dict[str, object] = {"code": code, "detail": detail}
    if path is not None:
        error = {"pointer": pointer(path), **error}
    return reject("json-invalid", detail, errors=[error], **extra)


def _syntax(error: json.JSONDecodeError) -> ProblemError:
    if error.doc.startswith("\ufeff"):
        return _refusal("encoding", "The body starts with a byte order mark.", byte=0)
    sentence = next((ours for theirs, ours in _SENTENCES.items() if error.msg.startswith(theirs)), None)
    detail = f"{sentence or 'The text is not JSON'} at line {error.lineno}, column {error.colno}."
    return _refusal("syntax", detail, line=error.lineno, column=error.colno)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Suspect
    return members


def _integer(text: str) -> int:
    if len(text) > NUMBER_CHARACTERS_MAX:
        raise _Suspect
    return int(text)


def _decimal(text: str) -> Decimal:
    if _number_is_absurd(text):
        raise _Suspect
    return Decimal(text)


def _number_is_absurd(text: str) -> bool:
    if len(text) > NUMBER_CHARACTERS_MAX:
        return True
    exponent = text.lower().partition("e")[2]
    return bool(exponent) and abs(int(exponent)) > EXPONENT_MAX


def _suspect(_text: str) -> NoReturn:
    raise _Suspect


def _slow_number(text: str) -> object:
    if not _number_is_absurd(text):
        return 0
    detail = f"A number has more than {NUMBER_CHARACTERS_MAX} characters or an exponent over {EXPONENT_MAX}."
    return _Refused("number", detail)


def _slow_constant(_text: str) -> object:
    return _Refused("number", "NaN and Infinity are not JSON.")


_QUICK: Final = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=_integer, parse_float=_decimal, parse_constant=_suspect
)
_SHORT: Final = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=int, parse_float=_decimal, parse_constant=_suspect
)
"""The same for a text in which no number is too long: integers are read without asking us."""
_SLOW: Final = json.JSONDecoder(
    object_pairs_hook=_Members,
    parse_int=_slow_number,
    parse_float=_slow_number,
    parse_constant=_slow_constant,
)


def _locate(text: str) -> ProblemError:
    """Parse again, keeping what the quick pass refuses, and name the first such place."""
    try:
        tree = _SLOW.decode(text)
    except json.JSONDecodeError as error:
        return _syntax(error)
    found = _first_refused(tree, ())
    if found is None:
        raise AssertionError("the quick pass refused a document in which the slow pass finds nothing")
    path, refused = found
    return _refusal(refused.code, refused.detail, path)


def _first_refused(node: object, path: Path) -> tuple[Path, _Refused] | None:
    if isinstance(node, _Refused):
        return path, node
    if isinstance(node, str):
        return (path, _LONE_SURROGATE) if _has_surrogate(node) else None
    seen: set[str] = set()
    steps: Sequence[tuple[str | int, object]] = ()
    if isinstance(node, _Members):
        steps = node
    elif isinstance(node, list):
        steps = list(enumerate(cast("list[object]", node)))
    for step, member in steps:
        if isinstance(step, str):
            if _has_surrogate(step):
                return path, _LONE_SURROGATE
            if step in seen:
                return (*path, step), _DUPLICATE
            seen.add(step)
        found = _first_refused(member, (*path, step))
        if found is not None:
            return found
    return None


_LONE_SURROGATE: Final = _Refused("surrogate", "A string holds a lone surrogate.")
_DUPLICATE: Final = _Refused("duplicate", "A member stands twice in one object.")


def _has_surrogate(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _has_nul(text: str) -> bool:
    return "\x00" in text


def _path_where(value: JsonValue, holds: Callable[[str], bool]) -> Path | None:
    """The path of the first string or member name for which `holds` is true."""
    if isinstance(value, str):
        return () if holds(value) else None
    steps: Sequence[tuple[str | int, JsonValue]] = ()
    if isinstance(value, dict):
        steps = list(value.items())
    elif isinstance(value, list):
        steps = list(enumerate(value))
    for step, member in steps:
        if isinstance(step, str) and holds(step):
            return (step,)
        below = _path_where(member, holds)
        if below is not None:
            return (step, *below)
    return None
