"""Publications: which transitions of an entity the outside is told of, and what it is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from avow.model.node import Expression
from avow.model.notation import describe
from avow.model.place import Place


@dataclass(frozen=True, slots=True)
class Publication:
    """Some transitions of one entity that others may be told of.

    fields:    what is told beside the record's id, version and state.
    by:        who may subscribe; over the actor alone.
    retried_s: for how long a delivery is tried, in seconds, before a person has to look at it.
    """

    name: str
    transitions: tuple[str, ...]
    fields: tuple[str, ...]
    by: Expression
    retried_s: float
    place: Place = field(default=Place(), compare=False)

    def describe(self) -> dict[str, Any]:
        """As canonical plain data, for the fingerprint."""
        return {
            "transitions": list(self.transitions),
            "fields": list(self.fields),
            "by": describe(self.by),
            "retried_ms": round(self.retried_s * 1_000),
        }
