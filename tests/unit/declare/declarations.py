"""Declarations as text, run as a module of an owner would be, with the mistakes that they announce."""

from __future__ import annotations

import linecache
import re
import sys
import textwrap
from types import ModuleType
from typing import Any

import avow
from avow.declare.build import build
from avow.errors import DeclarationError, Mistake

DEFERRED = "from __future__ import annotations"
"""From Python 3.14 on, nothing looks at an annotation before it is asked for, also without this line."""

PRELUDE = f"""
{DEFERRED}
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Annotated, ClassVar, Final
from uuid import UUID
from avow import *
from avow import system as close
dean, clerk = role("dean"), role("clerk")
"""

SOUND = """
class Course(Entity):
    seats: int = field(ge=1)
    taken: int = field(default=0, ge=0)
    paid: bool = field(default=False)
    owner: Subject = field(default=actor)
    visible = read(by=authenticated)
    open = State(initial=True)
    closed = State(final=True)
    announce = create(open, by=dean, sets=[seats])
    close_it = transition(open, to=closed, by=dean)
"""


def mistakes_of(source: str, prelude: str = PRELUDE) -> tuple[list[Mistake], list[tuple[int, str]]]:
    """The mistakes of a declaration, and those that its marker comments (`# <- code`) announce."""
    text = prelude + textwrap.dedent(source)
    name = f"<declaration {hash(text)}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    expected = [
        (number, code)
        for number, line in enumerate(text.splitlines(), start=1)
        for code in re.findall(r"[a-z-]+", (re.findall(r"# <- (.*)", line) or [""])[0])
    ]
    module = sys.modules["declared_in_a_test"] = ModuleType("declared_in_a_test")
    scope: dict[str, Any] = vars(module)
    exec(compile(text, name, "exec", dont_inherit=True), scope)  # noqa: S102
    entities = [held for held in scope.values() if isinstance(held, type) and issubclass(held, avow.Entity)]
    try:
        operators = scope.get("operators", avow.role("operator"))
        own = (entity for entity in entities if entity is not avow.Entity)
        found = list(build("application", *own, operators=operators)[1])
    except DeclarationError as error:
        found = list(error.mistakes)
    assert all(mistake.file == name for mistake in found)
    return found, expected


def course(*lines: str, states: str = "open = State(initial=True); closed = State(final=True)") -> str:
    """A sound entity with some lines more."""
    body = textwrap.indent("\n".join(lines), "    ")
    return (
        SOUND.replace("    open = State(initial=True)\n    closed = State(final=True)", f"    {states}")
        + body
    )
