"""Where in the owner's source something was declared, and misuse that Python itself can't report."""

from __future__ import annotations

import re
import sys
from itertools import count
from types import FrameType
from typing import Any

from avow.errors import Mistake
from avow.model.place import Place

_misuses: list[Mistake] = []
_created: list[tuple[str, Place, Any]] = []
_numbers = count(1)


class Token(str):
    """Stands in an expression for a word whose name Python tells only when the class body has ended.

    A name can't be guessed before: inside a function that helps to declare, a field goes by the name
    of that function's argument.
    """

    __slots__ = ("word",)
    word: Any


def token_of(word: Any) -> Token:
    """A new token, unlike every other."""
    token = Token(f"<{next(_numbers)}>")
    token.word = word
    return token


def declaring_frame() -> FrameType:
    """The innermost frame outside this room: the owner's line that is being executed."""
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("avow.declare"):
        frame = frame.f_back
    return frame


def here() -> Place:
    """The place of the declaration that is being executed."""
    frame = declaring_frame()
    return Place(frame.f_code.co_filename, frame.f_lineno)


def in_class_body() -> bool:
    """Whether the owner's line that is being executed stands directly in a class body."""
    return "__qualname__" in declaring_frame().f_locals


def misuse(code: str, detail: str, mend: str) -> None:
    """Remember a misuse, so that it is reported with all other mistakes; one for each line and kind."""
    place = here()
    if any((m.file, m.line, m.code) == (place.file, place.line, code) for m in _misuses):
        return
    _misuses.append(Mistake(place.file, place.line, code, _with_names(detail), mend))


def _with_names(text: str) -> str:
    """The text with the names that words have in the body being executed, in place of their tokens."""
    for name, held in declaring_frame().f_locals.items():
        token = getattr(getattr(held, "avow_word", held), "token", None)
        if isinstance(token, Token):
            text = text.replace(token, name)
    return re.sub("<[0-9]+>", "a field", text)


def take_misuses() -> list[Mistake]:
    """Hand over, once, whatever was remembered since the last system: none may be lost."""
    found = list(_misuses)
    _misuses.clear()
    return found


def remember(word: Any, place: Place) -> None:
    """Note that a class body made a word, to find those that it then lost."""
    name = declaring_frame().f_locals.get("__qualname__")
    if isinstance(name, str):
        _created.append((name, place, word))


def take_words(qualified_name: str, begin: Place) -> list[Any]:
    """Hand over, once, the words that the class body of this name made."""

    def is_own(name: str, place: Place) -> bool:
        return name == qualified_name and place.file == begin.file

    own = [(place, word) for name, place, word in _created if is_own(name, place)]
    # Entries are never compared: two fields of one line would be asked whether they are equal.
    _created[:] = [entry for entry in _created if not is_own(entry[0], entry[1])]
    return [word for place, word in own if place.line >= begin.line]
