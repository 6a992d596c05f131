"""What a body asks other records for, as far as its source shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from avow.declare import surface as word
from avow.declare.body import Reading
from avow.declare.notes import Notes
from avow.model import types as kinds
from avow.model.entity import Field


def called_elsewhere(
    notes: Notes, reading: Reading, name: str, fields: Mapping[str, Field]
) -> Iterator[tuple[int, str, str, str]]:
    """What can be seen to go wrong: line, code, detail, mend.

    Another record may lack what it is asked for, and no record is made inside a body.
    """
    for line, reference, attribute in dict.fromkeys(reading.used):
        other = _referred(notes, fields, reference)
        if other is not None and not hasattr(other, attribute):
            detail = f"`{name}` uses `{reference}.{attribute}`, which isn't declared there"
            yield line, "field-unknown", detail, "Name a field, a transition or a method of that entity."
        elif _is_creation(getattr(other, "avow_words", {}).get(attribute)):
            yield line, *_creation(name, f"{reference}.{attribute}")
    for line, attribute in dict.fromkeys(reading.named):
        if _is_creation(notes.words.get(attribute)):
            yield line, *_creation(name, attribute)


def _creation(name: str, called: str) -> tuple[str, str, str]:
    detail = f"`{name}` calls for `{called}`: a body makes no records"
    return "creation-called", detail, "Let the caller create it before."


def _referred(notes: Notes, fields: Mapping[str, Field], reference: str) -> Any:
    """The class that a reference leads to; None where it is no reference, or leads nowhere."""
    kind = fields[reference].type if reference in fields else None
    return notes.namespace.get(kind.entity) if isinstance(kind, kinds.Reference) else None


def _is_creation(given: Any) -> bool:
    transition = given.word if isinstance(given, word.Command) else given  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    return isinstance(transition, word.Transition) and transition.creation
