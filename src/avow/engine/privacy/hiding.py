"""Taking what is private out of free text: of reasons that an owner's function, or a provider, has written.

Such a text is kept, in the log for good. It may repeat what the function was told as it is, but as well in
JSON, in an address, in capitals, without its spaces, or a part of it. Rather a word too many is taken out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from enum import Enum
from html import escape
from typing import Any, Final
from urllib.parse import quote, quote_plus

from avow.model.private import SHOWN

READ_MAX: Final = 20_000
"""How much of a text is looked through; what comes behind is cut off. No more than a part of it is kept."""
PART_MIN, WORD_MIN, ANYWHERE_MIN = 3, 3, 5
"""How long a member of a value has to be, to be looked for; a word of it; and one also within other words."""
RUN_MIN: Final = 4
"""How many letters and digits a value has to have, to be found whatever stands between them."""

_WORD = re.compile(r"[0-9A-Za-z]+")
_DATES = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y%m%d", "%d.%m.%y", "%m/%d/%y")


def hidden(text: str, values: Iterable[Any]) -> str:
    """The text without these values, in whatever form, and without the words that they consist of."""
    text = text[:READ_MAX]
    leaves = {leaf for value in values for leaf in _leaves(value)}
    forms = {form for leaf in leaves for form in _forms(leaf)}
    words = {word for leaf in leaves for word in _WORD.findall(leaf) if len(word) >= WORD_MIN}
    return _without(text, _spans(text, forms, words).union(_runs(text, leaves)))


def holds_any(text: str, values: Iterable[Any]) -> bool:
    """Whether one of these values, or a member of one, stands in a text, as it is or merely encoded."""
    return any(
        form in text
        for value in values
        for leaf in _leaves(value)
        if leaf == str(value) or len(leaf) >= PART_MIN
        for form in _forms(leaf)
    )


def _leaves(value: Any) -> Iterator[str]:
    """A value as text, and whatever it consists of."""
    if value is None or isinstance(value, bool) or value in ("", ()):
        return
    if isinstance(value, Enum):
        yield str(value.value)
        return
    yield str(value)
    if isinstance(value, date):
        yield value.isoformat()
        yield from (value.strftime(form) for form in _DATES)
    elif is_dataclass(value):
        for each in fields(value):
            yield from _leaves(getattr(value, each.name))
    elif isinstance(value, Mapping):
        for each in value.values():  # pyright: ignore[reportUnknownVariableType]
            yield from _leaves(each)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for each in value:  # pyright: ignore[reportUnknownVariableType]
            yield from _leaves(each)


def _forms(leaf: str) -> set[str]:
    """A text as it is, and as it stands in JSON, in Python, in an address, in a page."""
    encoded = {json.dumps(leaf)[1:-1], json.dumps(leaf, ensure_ascii=False)[1:-1], repr(leaf)[1:-1]}
    return {leaf, *encoded, quote(leaf), quote(leaf, safe=""), quote_plus(leaf), escape(leaf)}


def _spans(text: str, forms: set[str], words: set[str]) -> set[tuple[int, int]]:
    """Where any of these stands, in capitals or not: what is short as it is, or as a word of its own."""
    whole = (rf"(?<![0-9A-Za-z]){word}(?![0-9A-Za-z])" for word in words if len(word) < ANYWHERE_MIN)
    longest = sorted({*forms, *(word for word in words if len(word) >= ANYWHERE_MIN)}, key=len, reverse=True)
    anywhere = (
        re.escape(each) if len(each) >= ANYWHERE_MIN else f"(?-i:{re.escape(each)})" for each in longest
    )
    return {
        found.span()
        for patterns in ([*anywhere], [*whole])
        if patterns
        for found in re.finditer("|".join(patterns), text, re.IGNORECASE)
    }


def _runs(text: str, leaves: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Where the letters and digits of these stand one after another, whatever is between them."""
    places = [place for place, character in enumerate(text) if character.isalnum()]
    run = _run(text)
    for wanted in {_run(leaf) for leaf in leaves}:
        at = run.find(wanted) if len(wanted) >= RUN_MIN else -1
        while at >= 0:
            yield places[at], places[at + len(wanted) - 1] + 1
            at = run.find(wanted, at + 1)


def _run(text: str) -> str:
    """The letters and digits of a text, one for each that it has."""
    return "".join(character.lower()[0] for character in text if character.isalnum())


def _without(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """The text with one mark for each stretch that spans cover."""
    parts, at = list[str](), 0
    for start, end in sorted(spans):
        if start >= at:
            parts += (text[at:start], SHOWN)
        at = max(at, end)
    return "".join([*parts, text[at:]])
