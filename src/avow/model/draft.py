"""What a handle of a record needs from the kernel while a transition's body runs."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from avow.model.actor import Actor
from avow.model.types import Value


class Draft(Protocol):
    """A record under change. The handle that bodies see forwards every access to it."""

    @property
    def entity_name(self) -> str: ...
    @property
    def id(self) -> UUID: ...
    @property
    def state(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def now(self) -> datetime: ...
    @property
    def actor(self) -> Actor: ...

    def get(self, name: str) -> Value:
        """The value of a field; for a reference the handle of its record."""
        ...

    def set(self, name: str, value: Value) -> None:
        """Assign a field; the value is checked against the field's type at once."""
        ...

    def call(self, transition: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Perform another transition on this record, inside the same command."""
        ...


class Refusal(Exception):
    """A body refuses the command in its owner's words; nothing is written."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class BodyFault(Exception):
    """A body broke the rules of bodies: it is the declaration's own bug, never the caller's."""
