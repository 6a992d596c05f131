"""Who may operate what happens by itself, read from `system(..., operators=..., pausers=...)`; and whether
anybody is asked for what gets stuck.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from avow.declare.expression import Condition, Symbolic, node_of
from avow.declare.machine import at
from avow.declare.publishing import OF_THE_ACTOR
from avow.errors import Mistake
from avow.model.entity import Entity
from avow.model.expression import Expression, walk
from avow.model.place import Place
from avow.model.trigger import OnEvent, OnTime


def read_operating(
    name: str, given: Condition | None, place: Place, mistakes: list[Mistake]
) -> Expression | None:
    """A policy that looks at nothing but who asks; what is anything else is reported."""
    if given is None:
        return None
    node = node_of(given) if isinstance(given, Symbolic) else None
    if node is not None and all(isinstance(part, OF_THE_ACTOR) for part in walk(node)):
        return node
    detail, mend = f"`{name}` asks for more than who it is", f'Write {name}=role("operator").'
    mistakes.append(Mistake(place.file, place.line, "operators-unreadable", detail, mend))
    return None


def unasked(entities: Iterable[Entity], operators: Expression | None) -> Iterator[Mistake]:
    """The first thing that may get stuck and then asks nobody: a call without a task, where there are no
    operators; or a time, an event or a delivery, which only they are asked for.
    """
    if operators is not None:
        return
    for place, what in sorted(found for entity in entities for found in _sticking(entity)):
        detail = f"nobody is asked where {what} gets stuck, or anything else"
        mend = 'Write system(..., operators=role("operator")); or, of a call, @effect(task=task(ROLE)).'
        yield at(place, "stuck-unasked", detail, mend, warning=True)
        return


def _sticking(entity: Entity) -> Iterator[tuple[Place, str]]:
    """What may get stuck and asks nobody of its own, with where it is declared."""
    asking = {effect.name for effect in entity.effects.values() if effect.task is not None}
    for effect in entity.effects.values():
        if effect.name not in asking:
            yield effect.place, f"{entity.name}.{effect.name}"
    for t in entity.transitions.values():
        if isinstance(t.trigger, OnTime | OnEvent):
            yield t.place, f"{entity.name}.{t.name}"
    for published in entity.publications:
        yield published.place, f"a delivery of {entity.name}"
