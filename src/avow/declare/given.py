"""What is given to a word where only a text, or yes or no, makes sense: anything else is a mistake.

Type checkers see it first. Without one it would be a fault of ours later, or go unnoticed.
"""

from __future__ import annotations

from typing import Any, TypeVar

from avow.declare.place import misuse
from avow.model.article import with_article

T = TypeVar("T")


def text(given: Any, name: str, otherwise: T = "") -> str | T:
    """The text that stands in `name`, or `otherwise`: also where that is given."""
    return given if isinstance(given, str) or given is otherwise else _unfit(given, name, '"..."', otherwise)


def flag(given: Any, name: str, otherwise: bool = False) -> bool:
    """Whether `name` is True. What merely counts as true or false in Python says neither."""
    return given if isinstance(given, bool) else _unfit(given, name, "True or False", otherwise)


def _unfit(given: Any, name: str, wanted: str, otherwise: T) -> T:
    detail = f"`{name}` can't be {with_article(type(given).__name__)}"
    misuse("value-unfit", detail, f"Write {name}={wanted}, or leave it out.")
    return otherwise
