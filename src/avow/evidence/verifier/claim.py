"""Claims: what a receipt is to show, as conditions on the header of one audit entry.

    state = captured & amount >= 25.00 EUR

A condition compares `state` (the one that the entry left the record in), or a field that the entry set,
with a constant: a word, a text in double quotes, a number, an amount with its currency, true, false or
none. Conditions are joined by `&`. `written` has one way of writing each claim, and a receipt's is written
that way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple, TypeAlias, cast

from avow.evidence.verifier.text import Invalid

CHARACTERS_MAX = 2_000


class Amount(NamedTuple):
    """An amount of money."""

    number: Decimal
    currency: str


Constant: TypeAlias = "str | Decimal | Amount | bool | None"


class Condition(NamedTuple):
    """One comparison. path: `state`, or a field and perhaps a member of it. op: = != < <= > >=."""

    path: str
    op: str
    value: Constant


_NUMBER = r"-?(?:0|[1-9][0-9]{0,37})(?:\.[0-9]{1,37})?"
_CONDITION = re.compile(
    r" *(?P<path>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*) *(?P<op>==|!=|<=|>=|=|<|>) *"
    rf"(?:(?P<amount>{_NUMBER}) +(?P<currency>[A-Z]{{3}})\b|(?P<double>\"(?:[^\"\\]|\\.)*\")"
    r"|'(?P<single>[^'\\]*)'|(?P<word>[A-Za-z0-9_.:+-]+)) *"
)
_WORD = re.compile(r"[A-Za-z0-9_.:+-]+")
_DECIMAL = re.compile(_NUMBER)
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z)?")
_NAMED: Mapping[str, Constant] = {"true": True, "false": False, "none": None}


def parse_claim(text: str) -> tuple[Condition, ...]:
    """Read a claim, also where a person wrote it: with more spaces, `==` or single quotes. Raises Invalid."""
    if len(text) > CHARACTERS_MAX or not text.isprintable():
        raise Invalid(f"a claim is at most {CHARACTERS_MAX:,} printable characters")
    found: list[Condition] = []
    place = 0
    while True:
        match = _CONDITION.match(text, place)
        if match is None:
            raise Invalid(
                f"not a condition, such as state = captured: {text[place:].strip()[:60] or 'nothing'}"
            )
        found.append(Condition(match["path"], match["op"].replace("==", "="), _constant(match)))
        place = match.end()
        if place == len(text):
            return tuple(found)
        if text[place] != "&":
            raise Invalid(f"conditions are joined by &; there is {text[place:].strip()[:60]}")
        place += 1


def written(claim: tuple[Condition, ...]) -> str:
    """A claim in its one way of writing."""
    return " & ".join(f"{path} {op} {_written(value)}" for path, op, value in claim)


def holds(claim: tuple[Condition, ...], header: Mapping[str, Any]) -> bool:
    """Whether the header of an entry makes the claim true.

    Raises Invalid where the entry says nothing about it, or what it says can't be compared like that.
    """
    found = [_holds(condition, value_of(condition.path, header)) for condition in claim]
    return all(found)


def value_of(path: str, header: Mapping[str, Any]) -> Any:
    """What an entry says about a path. Raises Invalid where it says nothing."""
    name, *members = path.split(".")
    version = header["ver"]
    if path == "state":
        return header["to"]
    if name in header.get("changes_sha256", {}):
        raise Invalid(f"version {version} has only the hash of {name}, which is long")
    if name not in header["changes"]:
        raise Invalid(f"version {version} didn't set {name}, so its entry says nothing about it")
    value: Any = header["changes"][name]
    for member in members:
        if not isinstance(value, dict) or member not in value:
            raise Invalid(f"{name} has no member {member} in version {version}")
        value = cast("dict[str, Any]", value)[member]
    return value


def _constant(match: re.Match[str]) -> Constant:
    if match["amount"]:
        return Amount(Decimal(match["amount"]), match["currency"])
    if match["double"]:
        try:
            return str(json.loads(match["double"]))
        except ValueError:
            raise Invalid(f"not a text as JSON writes it: {match['double'][:60]}") from None
    if match["single"] is not None:
        return match["single"]
    word = match["word"]
    if word in _NAMED:
        return _NAMED[word]
    return Decimal(word) if _DECIMAL.fullmatch(word) else word


def _written(value: Constant) -> str:
    match value:
        case Amount(number, currency):
            return f"{number:f} {currency}"
        case bool() | None:
            return next(word for word, named in _NAMED.items() if named is value)
        case Decimal():
            return f"{value:f}"
        case str():
            plain = _WORD.fullmatch(value) and value not in _NAMED and not _DECIMAL.fullmatch(value)
            return value if plain else json.dumps(value, ensure_ascii=False)


def _holds(condition: Condition, found: Any) -> bool:
    path, op, value = condition
    if value is None or isinstance(value, bool):
        if op not in ("=", "!="):
            raise Invalid(f"{path} can't be ordered against {_written(value)}")
        return (found is value) == (op == "=")
    if found is None:
        return False
    match value:
        case Amount(number, currency):
            held = _amount(path, found)
            if held.currency != currency and op not in ("=", "!="):
                raise Invalid(f"{path} is in another currency; other currencies can't be ordered against it")
            if held.currency != currency:
                return op == "!="
            return _compared(held.number, op, number)
        case Decimal():
            return _compared(_decimal(path, found), op, value)
        case str():
            if not isinstance(found, str):
                raise Invalid(f"{path} isn't a text")
            if op not in ("=", "!=") and not _alike(found, value):
                raise Invalid(f"{path} can't be ordered: only numbers, amounts, dates and times can")
            return _compared(found, op, value)


def _alike(one: str, other: str) -> bool:
    """Whether both are dates, or both are times, which are ordered as their texts are."""
    return bool(_MOMENT.fullmatch(one) and _MOMENT.fullmatch(other)) and len(one) == len(other)


def _amount(path: str, found: Any) -> Amount:
    match found:
        case {"amount": str() as amount, "currency": str() as currency} if len(found) == 2:
            return Amount(_decimal(path, amount), currency)
        case _:
            raise Invalid(f"{path} isn't an amount of money")


def _decimal(path: str, found: Any) -> Decimal:
    text = str(found) if type(found) is int else found
    if not isinstance(text, str) or not _DECIMAL.fullmatch(text):
        raise Invalid(f"{path} isn't a number")
    return Decimal(text)


def _compared(left: Any, op: str, right: Any) -> bool:
    match op:
        case "=":
            return left == right
        case "!=":
            return left != right
        case "<":
            return left < right
        case "<=":
            return left <= right
        case ">":
            return left > right
        case _:
            return left >= right
