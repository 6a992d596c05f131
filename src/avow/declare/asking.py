"""What can be wrong with what people are asked: approvals that outlive their content, and odd due times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from avow.declare.machine import at, reached_from
from avow.declare.naming import UNKNOWN_NAME
from avow.declare.typing import UNKNOWN, Reader
from avow.errors import Mistake
from avow.model import expression as ast
from avow.model.article import with_article
from avow.model.entity import Entity, Transition
from avow.model.expression import paths, walk


def people_mistakes(entity: Entity, entities: Mapping[str, Entity]) -> Iterator[Mistake]:
    """Every due time that can't come, every idle void, every approval that outlives what was approved."""
    for t in entity.transitions.values():
        yield from _due(entity, entities, t)
        for step in t.voids:
            if step not in entity.tracked and step != UNKNOWN_NAME:
                detail = f"{entity.name}.{t.name} voids {step}, which nothing counts"
                mend = "Drop it, or ask for it: approvals=, votes(), performed()."
                yield at(t.place, "voids-nothing", detail, mend)
    yield from _surviving(entity)


def _due(entity: Entity, entities: Mapping[str, Entity], t: Transition) -> Iterator[Mistake]:
    if t.task is None or t.task.due_at is None:
        return
    where, reader = f"{entity.name}.{t.name}", Reader(entity, entities)
    kind = reader.type_of(t.task.due_at)
    for fault in reader.faults:
        yield at(t.place, fault.code, f"{where}: due: {fault.detail}", fault.mend)
    if kind not in ("instant", UNKNOWN):
        mend = "Use a length of time, a datetime field, or one with a length of time added."
        yield at(t.place, "time-unreadable", f"{where}: due= is {with_article(kind)}", mend)
    if any(len(path) > 1 and UNKNOWN_NAME not in path for path in paths(t.task.due_at)):
        detail = f"{where}: due= depends on another record, whose change nobody would notice here"
        yield at(t.place, "time-remote", detail, "Copy the time into a field of this entity.")


def _surviving(entity: Entity) -> Iterator[Mistake]:
    """Whatever changes a record on its way back to where approvals are counted says what becomes of them."""
    for step in sorted({node.transition for t in entity.transitions.values() for node in _counted(t)}):
        counting = {s for t in entity.transitions.values() if t.step == step for s in t.sources}
        for t in entity.transitions.values():
            changes = bool(t.sets or t.assigns or t.body is not None) and not t.creation
            if not changes or t.step == step or step in t.voids or not _after(entity, t, step):
                continue
            if counting & reached_from(entity, t.target, step):
                detail = (
                    f"{entity.name}.{t.name} changes what was approved, and what {step} has counted stays"
                )
                mend = f"Write voids={step}, on a line below {step}; or let it change nothing."
                yield at(t.place, "approval-survives", detail, mend, warning=True)


def _after(entity: Entity, t: Transition, step: str) -> bool:
    """Whether it can happen once something has been counted."""
    counted = {target.target for target in entity.transitions.values() if target.step == step}
    return any(source in reached_from(entity, state, step) for state in counted for source in t.sources)


def _counted(t: Transition) -> Iterator[ast.Votes]:
    return (node for node in walk(t.when or ast.Everybody()) if isinstance(node, ast.Votes))
