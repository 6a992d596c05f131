"""What people type: a subject, a tenant, a role, a key, none that no credential could carry; and numbers."""

from __future__ import annotations

from typing import Any, Final

import click

SUBJECT_CHARACTERS_MAX: Final = 255
TENANT_CHARACTERS_MAX: Final = 100


class Word(click.ParamType[str]):
    """A name of so many printable characters at most. Bytes that aren't UTF-8 are none."""

    name = "text"

    def __init__(self, characters_max: int) -> None:
        self._characters_max = characters_max

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if not 1 <= len(text) <= self._characters_max or not text.isprintable():
            self.fail(f"must be 1 to {self._characters_max} printable characters", param, ctx)
        return text


SUBJECT: Final = Word(SUBJECT_CHARACTERS_MAX)
TENANT: Final = Word(TENANT_CHARACTERS_MAX)
NUMBER: Final = click.IntRange(0, 2**53 - 1)
"""Of something that is counted in the database; one that its columns can't hold is refused here."""
