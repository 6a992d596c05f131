"""What people type: a subject, a tenant, a role, a key, none that no credential could carry; and numbers."""

from __future__ import annotations

from typing import Any, Final

import click

SUBJECT_CHARACTERS_MAX: Final = 255
TENANT_CHARACTERS_MAX: Final = 100
REASON_CHARACTERS_MAX: Final = 1_000


class Word(click.ParamType[str]):
    """A text of so many printable characters at most. Bytes that aren't UTF-8 are none."""

    name = "text"

    def __init__(self, characters_max: int, characters_min: int = 1) -> None:
        self._characters_max, self._characters_min = characters_max, characters_min

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        least, most = self._characters_min, self._characters_max
        if not least <= len(text) <= most or not text.isprintable():
            self.fail(f"must be {least} to {most} printable characters", param, ctx)
        return text


SUBJECT: Final = Word(SUBJECT_CHARACTERS_MAX)
TENANT: Final = Word(TENANT_CHARACTERS_MAX)
REASON: Final = Word(REASON_CHARACTERS_MAX)
REMARK: Final = Word(REASON_CHARACTERS_MAX, 0)
"""A reason, or what shows it, that needn't be given."""
NUMBER: Final = click.IntRange(0, 2**53 - 1)
"""Of something that is counted in the database; one that its columns can't hold is refused here."""
