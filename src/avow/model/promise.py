"""Promises and goals: what `avow prove` looks for, and nothing else holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from avow.model.expression import Expression
from avow.model.place import Place


@dataclass(frozen=True, slots=True)
class Always:
    """A condition over each record of an entity that is never false, as far as it is tried."""

    name: str
    condition: Expression
    message: str
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True, slots=True)
class Sometimes:
    """A condition that some record of an entity can come to: where none does, much holds of nothing."""

    name: str
    condition: Expression
    message: str
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True, slots=True)
class Promise:
    """What is true of all records together, told by a pure function over them; no tool sees into it.

    holds: takes a world, whose `all(ENTITY)` are handles that only read, and gives back whether it is true.
    """

    name: str
    message: str
    holds: Callable[[Any], bool] = field(compare=False)
    source_hash: str
    place: Place = field(default=Place(), compare=False)
