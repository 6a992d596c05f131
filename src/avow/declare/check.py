"""What can be wrong with a declaration as a whole: its machines, its policies, its invariants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from avow.declare.asking import people_mistakes
from avow.declare.hearing import hearing_mistakes
from avow.declare.machine import at, machine_mistakes, unstartable
from avow.declare.naming import UNKNOWN_NAME
from avow.declare.overlap import can_both_hold
from avow.declare.private import private_mistakes
from avow.declare.promise import promise_mistakes
from avow.declare.publishing import publishing_mistakes
from avow.declare.purity import impure, uncalled
from avow.declare.rules import rule_mistakes
from avow.declare.typing import Reader, Unbuilt, condition_faults, fits
from avow.declare.waiting import waiting_mistakes
from avow.errors import Mistake
from avow.model import expression as ast
from avow.model import types as kinds
from avow.model.article import with_article
from avow.model.entity import Entity, Transition
from avow.model.expression import Expression, opaque, walk
from avow.model.place import Place

FIELDS_MAX = 300
"""A page of PostgreSQL holds a row of so many values, however long they are."""


def check_entities(
    entities: Mapping[str, Entity],
    unsure: set[str],
    written: Mapping[str, Sequence[Transition]] | None = None,
) -> list[Mistake]:
    """Every mistake and warning of the built entities, in no order.

    written: the transitions as their owner wrote them, where some were made of a saga's steps.
    unsure: entities with a transition or state that couldn't be read; what that would do to the
    machine as a whole isn't guessed, so that one mistake isn't reported as many.
    """
    found = list[Mistake]()
    plurals = dict[str, Entity]()
    for entity in entities.values():
        own = tuple(entity.transitions.values()) if written is None else written[entity.name]
        if entity.name not in unsure:
            found.extend(machine_mistakes(entity))
            found.extend(people_mistakes(entity, entities))
            found.extend(hearing_mistakes(entity, entities))
            found.extend(waiting_mistakes(entity, entities, own))
        found.extend(publishing_mistakes(entity))
        found.extend(private_mistakes(entity))
        faulty = set[str]()
        found.extend(_conditions(entity, entities, own, faulty))
        found.extend(_assigned(entity, entities, own))
        found.extend(_overlaps(entity, faulty))
        found.extend(_policies(entity, own))
        found.extend(impure(entity, own))
        found.extend(rule_mistakes(entity, entities))
        found.extend(promise_mistakes(entity, entities))
        found.extend(_fields(entity, entities))
        if other := plurals.get(entity.plural):
            detail = f"{entity.name} and {other.name} are both called {entity.plural}"
            found.append(
                at(entity.place, "declared-twice", detail, 'Write class NAME(Entity, plural="...").')
            )
        plurals[entity.plural] = entity
    found.extend(unstartable(entities))
    if not unsure:
        found.extend(uncalled(entities))
    return found


def _conditions(
    entity: Entity, entities: Mapping[str, Entity], written: Sequence[Transition], faulty: set[str]
) -> Iterator[Mistake]:
    """Every condition names fields, states and transitions that exist, and compares like with like."""
    for place, what, condition, transition in _stated(entity, written):
        for fault in condition_faults(condition, entity, entities, transition):
            if transition is not None:
                faulty.add(transition.name)
            yield at(place, fault.code, f"{what}: {fault.detail}", fault.mend)
    for field in entity.fields.values():
        if field.read is not None and any(len(path) > 1 for path in ast.paths(field.read)):
            detail = f"{entity.name}.{field.name}: who may read a field can't depend on another record"
            mend = "Use the fields of the same record and the actor."
            yield at(field.place, "field-read-remote", detail, mend)


def _stated(
    entity: Entity, written: Sequence[Transition]
) -> Iterator[tuple[Place, str, Expression, Transition | None]]:
    for place, what, policy in _policies_of(entity, written):
        yield place, what, policy, None
    for t in written:
        if t.when is not None and not t.counts:
            yield t.place, f"{entity.name}.{t.name}: when", t.when, t


def _assigned(
    entity: Entity, entities: Mapping[str, Entity], written: Sequence[Transition]
) -> Iterator[Mistake]:
    """What sets= gives to a field is a value of its type."""
    for t in written:
        for name, value in t.assigns:
            if value == ast.Const(None) and name in entity.fields and entity.fields[name].optional:
                continue  # the field is emptied
            reader, where = Reader(entity, entities, t), f"{entity.name}.{t.name}: sets"
            kind, wanted = reader.type_of(value), reader.type_of(ast.FieldOf((name,)))
            for fault in reader.faults:
                yield at(t.place, fault.code, f"{where}: {fault.detail}", fault.mend)
            if not fits(kind, wanted):
                detail = f"{where}: `{name}` is {with_article(wanted)}, and would get {with_article(kind)}"
                yield at(t.place, "comparison-mixed", detail, "Give it a value of its own type.")


def _policies_of(entity: Entity, written: Sequence[Transition]) -> Iterator[tuple[Place, str, Expression]]:
    yield entity.place, f"{entity.name}: read", entity.read
    for field in entity.fields.values():
        if field.read is not None:
            yield field.place, f"{entity.name}.{field.name}: read", field.read
    for t in written:
        if not t.counts:  # else it is that of its step
            yield t.place, f"{entity.name}.{t.name}: by", t.by


def _policies(entity: Entity, written: Sequence[Transition]) -> Iterator[Mistake]:
    for place, what, policy in _policies_of(entity, written):
        nodes = list(walk(policy))
        if any(isinstance(node, ast.Opaque) for node in nodes):
            mend = (
                "Lists are filtered by the same policy in SQL: write an expression, or use opaque() in when=."
            )
            yield at(place, "policy-opaque", f"{what}: free Python can't decide who may", mend)
        if any(isinstance(node, ast.Argument) for node in nodes):
            detail = f"{what}: who may can't depend on an argument of the command"
            yield at(place, "policy-argument", detail, "Move that part into when=.")
    for t in written:
        if opaque(t.when) and not t.counts:
            detail = f"{entity.name}.{t.name} has a guard in free Python; no tool can see into it"
            yield at(
                t.place, "guard-opaque", detail, "Write it as an expression where you can.", warning=True
            )


def _overlaps(entity: Entity, faulty: set[str]) -> Iterator[Mistake]:
    """Two transitions of one command from one state need conditions that exclude each other."""
    transitions = list(entity.transitions.values())
    for index, one in enumerate(transitions):
        for other in transitions[index + 1 :]:
            if one.command == other.command and one.step != other.step:
                yield from _shared_command(entity, one, other, faulty)


def _shared_command(
    entity: Entity, one: Transition, other: Transition, faulty: set[str]
) -> Iterator[Mistake]:
    if one.creation is not other.creation:
        detail = f"`{one.command}` both creates and moves {with_article(entity.name)}"
        yield at(other.place, "command-mixed", detail, "Give one of them its own command.")
        return
    if one.parameters != other.parameters:
        detail = (
            f"{entity.name}.{one.name} and {entity.name}.{other.name} share a command but not its arguments"
        )
        yield at(other.place, "command-mixed", detail, "Give both the same arguments.")
    shared = sorted(set(one.sources) & set(other.sources) - {UNKNOWN_NAME})
    if shared and not faulty & {one.name, other.name} and can_both_hold(_fires(one), _fires(other)):
        names = f"{entity.name}.{one.name} and {entity.name}.{other.name}"
        detail = f"{names} could both fire in {', '.join(shared)} on `{one.command}`"
        mend = "Give them guards (when=) of which never both are true, over the same comparison."
        yield at(other.place, "transitions-overlap", detail, mend)


def _fires(transition: Transition) -> Expression:
    """When a transition fires, as far as actor and record decide it."""
    return ast.All((transition.by, *([transition.when] if transition.when is not None else [])))


def _fields(entity: Entity, entities: Mapping[str, Entity]) -> Iterator[Mistake]:
    """References lead somewhere, and every needed field gets a value at the start."""
    if len(entity.fields) > FIELDS_MAX:
        detail = f"{entity.name} has {len(entity.fields)} fields; a row of more than {FIELDS_MAX} may not fit"
        mend = "Put some of them into a value object, or into an entity of their own."
        yield at(entity.place, "fields-too-many", detail, mend)
    for field in entity.fields.values():
        if isinstance(field.type, kinds.Reference) and field.type.entity not in entities:
            target = field.type.entity
            detail = f"{entity.name}.{field.name} refers to {target}, which isn't part of the system"
            yield at(field.place, "reference-unknown", detail, f"Pass {target} to system() too.")
    for t in entity.transitions.values():
        if t.creation and t.body is None:
            yield from _unset_fields(entity, t)
        for parameter in (p for p in t.parameters if p.name not in t.sets):
            if isinstance(parameter.type, kinds.Reference) and parameter.type.entity not in entities:
                target = parameter.type.entity
                detail = f"{entity.name}.{t.name}({parameter.name}) refers to {target}, which isn't there"
                yield at(t.place, "reference-unknown", detail, f"Pass {target} to system() too.")
        for name in t.uses:
            if not isinstance(entity.fields[name].type, kinds.Reference | Unbuilt):
                detail = f"{entity.name}.{t.name}: `{name}` isn't a reference"
                yield at(t.place, "uses-not-reference", detail, "uses= names fields declared with ref().")
        names = [p.name for p in t.parameters]
        for name in sorted({n for n in names if names.count(n) > 1}):
            mend = "Drop it from sets=, or from the arguments of the body."
            yield at(t.place, "declared-twice", f"{entity.name}.{t.name} takes `{name}` twice", mend)


def _unset_fields(entity: Entity, start: Transition) -> Iterable[Mistake]:
    for field in entity.fields.values():
        if not field.optional and field.default is None and field.name not in start.sets:
            detail = f"{entity.name}.{start.name} leaves `{field.name}` without a value"
            mend = f"Add it to sets=[...], give it a default, or write {field.name}: ... | None."
            yield at(start.place, "field-unset", detail, mend)
