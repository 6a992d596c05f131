"""The words for what must stay true: invariants, uniqueness, exclusion, quotas."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from avow.declare.expression import Condition, several
from avow.declare.given import text
from avow.declare.surface import Named, State


class Invariant(Named):
    """A condition that is never false at a commit."""

    def __init__(self, condition: Condition, message: str) -> None:
        super().__init__()
        self.condition, self.message = condition, text(message, "message")


def invariant(condition: Condition, message: str = "") -> Invariant:
    """Declare a condition over the fields of one record; it becomes a CHECK. `message` is for people."""
    return Invariant(condition, message)


class Unique(Named):
    """No two records with the same values."""

    def __init__(self, fields: tuple[Any, ...], among: Iterable[State], message: str) -> None:
        super().__init__()
        self.fields, self.among, self.message = fields, several(among), text(message, "message")


def unique(*fields: Any, among: Iterable[State] = (), message: str = "") -> Unique:
    """Declare that no two records of a tenant (`among`: in these states) share the values of `fields`."""
    return Unique(fields, among, message)


class Exclusion(Named):
    """No two records that overlap in time or space."""

    def __init__(
        self, fields: tuple[Any, ...], span: tuple[Any, Any], among: Iterable[State], message: str
    ) -> None:
        super().__init__()
        self.fields, self.span = fields, several(span)
        self.among, self.message = several(among), text(message, "message")


def exclude(
    *fields: Any, overlapping: tuple[Any, Any], among: Iterable[State] = (), message: str = ""
) -> Exclusion:
    """Declare that records with equal `fields` never overlap: `exclude(room, overlapping=(start, end))`.

    The span includes its start and not its end; both are dates, instants or integers.
    """
    return Exclusion(fields, overlapping, among, message)


class Quota(Named):
    """A limit over all records that refer to one other record."""

    def __init__(self, per: Any, among: Iterable[State], limit: Any, weight: Any, message: str) -> None:
        super().__init__()
        self.per, self.among, self.limit, self.weight = per, several(among), limit, weight
        self.message = text(message, "message")


def quota(per: Any, *, among: Iterable[State], limit: Any, weight: Any = None, message: str = "") -> Quota:
    """Declare that the records `among` these states that refer to one record stay within its limit.

    `quota(course, among=[approved], limit=course.seats)`: their number, or the sum of the integer
    field `weight`. The record they refer to is locked whenever one of them enters or changes.
    """
    return Quota(per, among, limit, weight, message)
