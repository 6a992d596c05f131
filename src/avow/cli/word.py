"""What people type: a subject, a tenant, a role, a key, none that no credential could carry; numbers, ids
and instants.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import click

from avow.errors import UsageError
from avow.model.actor import TENANT_CHARACTERS_MAX
from avow.model.article import with_article
from avow.model.types import SUBJECT_LENGTH_MAX, DateTimeType, Misfit, UuidType

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


SUBJECT: Final = Word(SUBJECT_LENGTH_MAX)
TENANT: Final = Word(TENANT_CHARACTERS_MAX)
REASON: Final = Word(REASON_CHARACTERS_MAX)
REMARK: Final = Word(REASON_CHARACTERS_MAX, 0)
"""A reason, or what shows it, that needn't be given."""
NUMBER: Final = click.IntRange(0, 2**53 - 1)
"""Of something that is counted in the database; one that its columns can't hold is refused here."""


def instant_of(text: str | None, option: str) -> datetime | None:
    """The instant that an option names; None where it isn't given. Raises UsageError."""
    return None if text is None else parse_instant(text, option)


def parse_instant(text: str, what: str) -> datetime:
    """The instant that somebody has written. Raises UsageError, which says what was to be one."""
    try:
        return DateTimeType().parse(text, "")
    except Misfit:
        raise UsageError(f"{what} isn't an instant", "Write it as 2026-11-21T09:30:00Z.") from None


def parse_id(text: str, what: str, mend: str) -> UUID:
    """The id of something that somebody has written. Raises UsageError, which says of what, and the mend."""
    try:
        return UuidType().parse(text, "")
    except Misfit:
        raise UsageError(f"that isn't the id of {with_article(what)}", mend) from None
