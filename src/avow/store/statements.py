"""The SQL files beside this module: named statements with @{placeholders}.

Below its name a statement has its purpose in a comment, which isn't sent to the server.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from string import Template

OPENING_LENGTH_MIN = 16
"""How much of a statement has to stand before its first placeholder, for it to be known by that."""

_NAME = re.compile(r"^-- name: (\w+)\n(?:-- .*\n)*", re.MULTILINE)


class Statement(Template):
    """A statement with placeholders; `$` belongs to SQL."""

    delimiter = "@"


@cache
def whole(file: str) -> Statement:
    """The text of one SQL file."""
    return Statement((files("avow.store") / "sql" / file).read_text("utf-8"))


@cache
def named(file: str) -> dict[str, Statement]:
    """The named statements of one SQL file."""
    parts = _NAME.split(whole(file).template)
    return {name: Statement(text.strip("\n")) for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def text(file: str, name: str) -> str:
    """A named statement without placeholders."""
    return named(file)[name].template


@cache
def name_of(sql: str) -> str:
    """The name that a statement has in its file; empty where it stands in none."""
    return next((name for name, opening in _openings() if sql.startswith(opening)), "")


@cache
def _openings() -> list[tuple[str, str]]:
    """What every named statement begins with, up to its first placeholder; the longest first."""
    folder = files("avow.store") / "sql"
    found = [
        (name, statement.template.partition("@{")[0])
        for file in sorted(path.name for path in folder.iterdir() if path.name.endswith(".sql"))
        for name, statement in named(file).items()
    ]
    return sorted(
        ((name, text) for name, text in found if len(text) > OPENING_LENGTH_MIN), key=lambda one: -len(one[1])
    )


def quote(identifier: str) -> str:
    """An identifier, quoted."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A string constant, quoted; without a dollar in it, which could end the body of a function around it."""
    if "$" not in text:
        return "'" + text.replace("'", "''") + "'"
    escaped = text.replace("\\", "\\\\").replace("'", "''").replace("$", r"\x24")
    return f"E'{escaped}'"
