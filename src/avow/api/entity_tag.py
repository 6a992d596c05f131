"""Entity tags and the two conditions made of them (RFC 9110, sections 8.8.3, 13.1.1 and 13.1.2).

A tag names a record and its version. It must never be derived from content: a hash of private text
can be guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from uuid import UUID

TAGS_MAX: Final = 64
VERSION_MAX: Final = 2**63 - 1

_TAG: Final = re.compile(rb'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_GAP: Final = re.compile(rb"[ \t]*(?:,[ \t]*)*")
_OURS: Final = re.compile(r'"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(0|[1-9][0-9]{0,18})"', re.ASCII)


def etag(entity_id: UUID | str, version: int) -> str:
    """The strong tag of one version of a record: `"<id>.<version>"`, quotes included."""
    return f'"{entity_id}.{version}"'


def etag_line(entity_id: UUID, version: int) -> tuple[bytes, bytes]:
    """The header with a record's tag; a UUID and a number hold nothing that a header may not."""
    return b"etag", f'"{entity_id}.{version}"'.encode("ascii")


def read_etag(text: str) -> tuple[UUID, int] | None:
    """The id and version in a tag that `etag` wrote; None for any other text."""
    found = _OURS.fullmatch(text)
    if found is None or int(found[2]) > VERSION_MAX:
        return None
    return UUID(found[1]), int(found[2])


@dataclass(frozen=True, slots=True)
class Condition:
    """One If-Match or If-None-Match header.

    any:    it was `*`: every existing record matches.
    strong: the strong tags, quotes included. weak: those that were sent as `W/`.
    """

    any: bool = False
    strong: frozenset[str] = frozenset()
    weak: frozenset[str] = frozenset()

    def matches_strong(self, current: str | None) -> bool:
        """Strong comparison, for If-Match; `current` is the record's tag, None when there is no record."""
        return current is not None and (self.any or current in self.strong)

    def matches_weak(self, current: str | None) -> bool:
        """Weak comparison, for If-None-Match; `current` is the record's tag, None when there is no record."""
        return current is not None and (self.any or current in self.strong or current in self.weak)


def read_condition(value: bytes) -> Condition:
    """Read a list of entity tags or `*`; raises ValueError with a fixed sentence if it is neither."""
    value = value.strip(b" \t")
    if value == b"*":
        return Condition(any=True)
    strong: set[str] = set()
    weak: set[str] = set()
    at = _end_of_gap(value, 0)
    while at < len(value):
        found = _TAG.match(value, at)
        if found is None:
            raise ValueError("an entity tag in double quotes, or * alone, is expected")
        (weak if found[1] else strong).add(found[2].decode("latin-1"))
        if len(strong) + len(weak) > TAGS_MAX:
            raise ValueError(f"more than {TAGS_MAX} entity tags")
        at = _end_of_gap(value, found.end())
        if at < len(value) and b"," not in value[found.end() : at]:
            raise ValueError("a comma between entity tags is expected")
    if not strong and not weak:
        raise ValueError("the list of entity tags is empty")
    return Condition(strong=frozenset(strong), weak=frozenset(weak))


def _end_of_gap(value: bytes, at: int) -> int:
    found = _GAP.match(value, at)
    return found.end() if found else at
