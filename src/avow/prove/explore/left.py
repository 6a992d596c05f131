"""Records that another one leaves behind: it has come to its end, and they still refer to it.

What they need of it, it doesn't do any more. So they are suspected of not being able to end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from avow.kernel.command import Key
from avow.model.system import System
from avow.model.types import Reference
from avow.prove.explore.situation import Happened

Left: TypeAlias = tuple[str, str, str, str]
"""The entity and the state of a record, and those of the other one that has ended."""


def left_behind(system: System, happened: Happened) -> Iterator[tuple[Left, Key]]:
    """The records that an act has left behind, with what tells them from others."""
    ended = {
        step.after.id: step.after
        for step in happened.steps
        if step.before is not None and system.entities[step.after.entity].states[step.after.state].final
    }
    for key, record in happened.after.records.items() if ended else ():
        entity = system.entities[key[0]]
        if entity.states[record.state].final:
            continue
        for field in entity.fields.values():
            other = ended.get(record.values[field.name]) if isinstance(field.type, Reference) else None
            if other is not None:
                yield (record.entity, record.state, other.entity, other.state), key
