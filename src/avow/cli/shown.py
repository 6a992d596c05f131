"""What the log holds, for people: a value, a time or an actor in one short line."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any, Final

from avow.cli import output

WIDTH: Final = 80
VALUE_CHARACTERS_MAX: Final = 60
"""How much of a value is printed; --json gives all of it."""


def shown(value: Any) -> str:
    """A value of an entry in one short line."""
    match value:
        case {"hidden": True}:
            return "(hidden)"
        case {"private": str()}:
            return "(private)"
        case {"sha256": str() as digest}:
            return f"(gone; SHA-256 {digest[:12]})"
        case {"amount": str() as amount, "currency": str() as currency}:
            return f"{amount} {currency}"
        case None:
            return "-"
        case bool():
            return "true" if value else "false"
        case list():
            text = ", ".join(map(shown, value)) or "[]"  # pyright: ignore[reportUnknownArgumentType]
        case str():
            text = repr(value) if not value or value != value.strip() or not value.isprintable() else value
        case _:
            text = str(value)
    return text if len(text) <= VALUE_CHARACTERS_MAX else f"{text[: VALUE_CHARACTERS_MAX - 3]}..."


def moment(at: str) -> str:
    """An instant for people: to the millisecond, in UTC."""
    return f"{at[:10]} {at[11:23]}Z"


def who(actor: Any) -> str:
    """An actor for people: subject and roles."""
    if actor.get("hidden"):
        return "(hidden)"
    roles = ", ".join(actor["roles"])
    return f"{actor['subject']} ({roles})" if roles else str(actor["subject"])


def changed(name: str, change: Mapping[str, Any]) -> str:
    """What an entry made of one field."""
    if change.get("hidden"):
        return f"{name} (hidden)"
    if "old" in change:
        return f"{name} {shown(change['old'])} -> {shown(change['new'])}"
    return f"{name} -> {shown(change['new'])}"


def wrapped(text: str, first: str, others: str) -> list[str]:
    """Words from a database in lines of at most WIDTH characters, each with what stands before it."""
    return textwrap.wrap(
        output.plain(text), WIDTH, initial_indent=first, subsequent_indent=others, break_on_hyphens=False
    )
