"""The records that were written last, so that the next command on one needs no load.

They are those that this process wrote, and those that it found when it began (`recalling.py`).

It must never be what a promise rests on. What is remembered may have been overtaken by another process:
a decision on it counts only because `avow.commit` finds the record at the same version, under lock.
"""

from __future__ import annotations

from avow.kernel.command import Key, Record
from avow.model import types as kinds
from avow.model.entity import Entity
from avow.model.system import System

RECORDS_MAX = 16_384
"""How many records are remembered; beyond that the one written longest ago is forgotten."""
TEXT_LENGTH_MAX = 1_000
"""How many characters a record's texts may have together: whoever may have more isn't remembered."""
PERFORMERS_MAX = 8
"""How many performers of steps are remembered with a record."""


class Memory:
    """Records by tenant and key, each at the version that this process committed, or found at its start."""

    def __init__(self, system: System) -> None:
        # What people do with a task leaves the version of its record alone, so nothing would show it.
        self._kept = frozenset(e.name for e in system.entities.values() if _is_narrow(e) and not e.asks)
        self._held: dict[tuple[str, Key], Record] = {}

    def find(self, tenant: str, key: Key) -> Record | None:
        """The record as it was last committed here, if that is remembered."""
        return self._held.get((tenant, key))

    def keep(self, tenant: str, record: Record) -> None:
        """Remember a record that was just committed."""
        place = tenant, (record.entity, record.id)
        self._held.pop(place, None)  # so that the oldest stands first
        if self._fits(record):
            self._held[place] = record
            if len(self._held) > RECORDS_MAX:
                del self._held[next(iter(self._held))]

    def recall(self, tenant: str, record: Record) -> None:
        """Remember a record that others wrote, unless it is remembered already, or all places are taken."""
        if len(self._held) < RECORDS_MAX and self._fits(record):
            self._held.setdefault((tenant, record.key), record)

    def forget(self, tenant: str, key: Key) -> None:
        """Forget a record that has been overtaken."""
        self._held.pop((tenant, key), None)

    def _fits(self, record: Record) -> bool:
        performers = record.performers
        many = bool(performers) and sum(map(len, performers.values())) > PERFORMERS_MAX
        return record.entity in self._kept and not many


def _is_narrow(entity: Entity) -> bool:
    """Whether all its values have a bound, and a low one."""
    types = [field.type for field in entity.fields.values()]
    if any(isinstance(kind, kinds.ListOf | kinds.ObjectOf) for kind in types):
        return False
    lengths = (kind.max_length for kind in types if isinstance(kind, kinds.Text))
    return sum(lengths) <= TEXT_LENGTH_MAX
