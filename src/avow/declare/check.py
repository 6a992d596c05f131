"""What can be wrong with a declaration as a whole: its machines, its policies, its invariants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from avow.declare.overlap import can_both_hold
from avow.declare.typing import Untypable, condition_fault, type_of
from avow.errors import Mistake
from avow.model import expression as ast
from avow.model import types as kinds
from avow.model.entity import Entity, Exclusion, Place, Quota, Transition
from avow.model.expression import Expression, opaque, render, walk
from avow.model.system import System


def check_system(system: System, broken: bool = False) -> list[Mistake]:
    """Every mistake and warning of a built system, in no order.

    broken: parts of it could not be built; then only the machines are checked, so that one mistake
    isn't reported as many.
    """
    found = list[Mistake]()
    plurals = dict[str, Entity]()
    for entity in system.entities.values():
        found.extend(_machine(entity))
        if broken:
            continue
        for rule in (_overlaps, _policies, _conditions, _invariants, _spans, _quotas, _fields):
            found.extend(rule(entity, system))
        if other := plurals.get(entity.plural):
            found.append(_at(entity.place, "declared-twice", f"{entity.name} and {other.name} are both called {entity.plural}", 'Write class NAME(Entity, plural="...").'))
        plurals[entity.plural] = entity
    return found


def _at(place: Place, code: str, detail: str, mend: str, warning: bool = False) -> Mistake:
    return Mistake(place.file, place.line, code, detail, mend, warning)


def _machine(entity: Entity) -> Iterator[Mistake]:
    """States and transitions as a graph: where it starts, what is reached, where it ends."""
    transitions = entity.transitions.values()
    starts = [t for t in transitions if t.creation]
    if not entity.states:
        yield _at(entity.place, "no-states", f"{entity.name} has no states", "Declare at least NAME = State(initial=True).")
        return
    if not starts:
        yield _at(entity.place, "no-start", f"no {entity.name} can ever come into being", "Declare start = create(STATE, by=...).")
    for t in starts:
        if t.target in entity.states and not entity.states[t.target].initial:
            yield _at(t.place, "start-not-initial", f"{entity.name}.{t.name} starts in {t.target}, which isn't initial", f"Write {t.target} = State(initial=True), or start elsewhere.")
    reached = _closure({t.target for t in starts}, [(s, t.target) for t in transitions for s in t.sources])
    finals = {s.name for s in entity.states.values() if s.final}
    ending = _closure(finals, [(t.target, s) for t in transitions for s in t.sources])
    for state in entity.states.values():
        leaving = [t for t in transitions if state.name in t.sources]
        name = f"{entity.name}.{state.name}"
        if starts and state.name not in reached:
            yield _at(state.place, "state-unreachable", f"{name} is never entered", "Add a transition to it, or delete it.")
        elif state.final and leaving:
            yield _at(state.place, "final-left", f"{name} is final, but {leaving[0].name} leaves it", "Drop final=True, or the transition.")
        elif not state.final and not any(t.target != state.name for t in leaving):
            yield _at(state.place, "state-trap", f"nothing leads out of {name}", "Add a transition from it, or write State(final=True).")
        elif not state.final and state.name not in ending:
            yield _at(state.place, "state-without-end", f"from {name} no final state can be reached", "Add the missing transition, or a final state.")


def _closure(seeds: set[str], edges: list[tuple[str, str]]) -> set[str]:
    reached, fresh = set(seeds), set(seeds)
    while fresh:
        fresh = {end for start, end in edges if start in fresh} - reached
        reached |= fresh
    return reached


def _overlaps(entity: Entity, _: System) -> Iterator[Mistake]:
    """Two transitions of one command from one state need guards that exclude each other."""
    transitions = list(entity.transitions.values())
    for index, one in enumerate(transitions):
        for other in transitions[index + 1 :]:
            if one.command != other.command:
                continue
            shared = set(one.sources) & set(other.sources)
            both = one.creation and other.creation
            if one.creation is not other.creation:
                yield _at(other.place, "command-mixed", f"`{one.command}` both creates and moves a {entity.name}", "Give one of them its own command.")
            elif (shared or both) and can_both_hold(one.when, other.when):
                where = f"in {', '.join(sorted(shared))}" if shared else "at the start"
                yield _at(other.place, "transitions-overlap", f"{entity.name}.{one.name} and {entity.name}.{other.name} could both fire {where} on `{one.command}`", "Give them guards (when=) of which never both are true, over the same comparison.")
            if [p.name for p in one.parameters] != [p.name for p in other.parameters]:
                yield _at(other.place, "command-mixed", f"{entity.name}.{one.name} and {entity.name}.{other.name} share a command but not its arguments", "Give both the same arguments.")


def _policies(entity: Entity, _: System) -> Iterator[Mistake]:
    for place, what, policy in _policies_of(entity):
        for node in walk(policy):
            if isinstance(node, ast.Opaque):
                yield _at(place, "policy-opaque", f"{what}: free Python can't decide who may", "Lists are filtered by the same policy in SQL: write it as an expression, or use opaque() in when=.")
            if isinstance(node, ast.Argument):
                yield _at(place, "policy-argument", f"{what}: who may can't depend on an argument of the command", "Move that part into when=.")
    for t in entity.transitions.values():
        if opaque(t.when):
            yield _at(t.place, "guard-opaque", f"{entity.name}.{t.name} has a guard in free Python; no tool can see into it", "Write it as an expression where you can.", warning=True)


def _policies_of(entity: Entity) -> Iterator[tuple[Place, str, Expression]]:
    yield entity.place, f"{entity.name}: read", entity.read
    for field in entity.fields.values():
        if field.read is not None:
            yield field.place, f"{entity.name}.{field.name}: read", field.read
    for t in entity.transitions.values():
        yield t.place, f"{entity.name}.{t.name}: by", t.by


def _conditions(entity: Entity, system: System) -> Iterator[Mistake]:
    """Every condition names fields, states and transitions that exist, and compares like with like."""
    stated = list(_policies_of(entity))
    stated += [(t.place, f"{entity.name}.{t.name}: when", t.when) for t in entity.transitions.values() if t.when]
    for place, what, condition in stated:
        command = next((t for t in entity.transitions.values() if t.place == place), None)
        if fault := condition_fault(condition, entity, system, command):
            yield _at(place, fault.code, f"{what}: {fault.detail}", fault.mend)
    for field in entity.fields.values():
        if field.read is not None and any(len(path) > 1 for path in ast.paths(field.read)):
            yield _at(field.place, "field-read-remote", f"{entity.name}.{field.name}: who may read a field can't depend on another record", "Use the fields of the same record and the actor.")
        if isinstance(field.default, ast.Const | ast.ActorSubject | ast.Now | None):
            if isinstance(field.default, ast.ActorSubject) and not isinstance(field.type, kinds.SubjectType):
                yield _at(field.place, "default-unfit", f"{entity.name}.{field.name} starts with the actor, but isn't a Subject", "Write its type as Subject.")
            if isinstance(field.default, ast.Now) and not isinstance(field.type, kinds.DateTimeType):
                yield _at(field.place, "default-unfit", f"{entity.name}.{field.name} starts with now, but isn't a datetime", "Write its type as datetime.")
        else:
            yield _at(field.place, "default-unfit", f"{entity.name}.{field.name}: a default is a constant, actor or now", "Compute the value in the body of the creation.")


_INVARIANT_MEND = "An invariant is over fields of one record; over several records write unique(), exclude() or quota()."


def _invariants(entity: Entity, system: System) -> Iterator[Mistake]:
    """An invariant becomes a CHECK, so it may only read the record itself."""
    for invariant in entity.invariants:
        what = f"{entity.name}.{invariant.name}"
        if reason := _not_compilable(invariant.condition, entity):
            yield _at(invariant.place, "invariant-not-compilable", f"{what} can't be held by the database: {reason}", _INVARIANT_MEND)
        elif fault := condition_fault(invariant.condition, entity, system, None):
            yield _at(invariant.place, fault.code, f"{what}: {fault.detail}", fault.mend)


def _not_compilable(condition: Expression, entity: Entity) -> str | None:
    for node in walk(condition):
        match node:
            case ast.Opaque(name):
                return f"{name}() is free Python"
            case ast.Now():
                return "time passes without a commit"
            case ast.HasRole() | ast.Performed() | ast.ActorSubject() | ast.Authenticated() | ast.Internal():
                return f"`{render(node)}` depends on who acts"
            case ast.Argument():
                return f"`{render(node)}` exists only while a command runs"
            case ast.FieldOf(path) | ast.InState(_, path) if path and _crosses(path, entity):
                return f"`{'.'.join(path)}` is in another record"
            case _:
                continue
    return None


def _crosses(path: ast.Path, entity: Entity) -> bool:
    field = entity.fields.get(path[0])
    return field is not None and isinstance(field.type, kinds.Reference) and len(path) > 1


def _spans(entity: Entity, _: System) -> Iterator[Mistake]:
    """Unique and exclusion rules name fields that an index can compare."""
    for rule in (*entity.uniques, *entity.exclusions):
        spans = (rule.start, rule.end) if isinstance(rule, Exclusion) else ()
        if not rule.fields and not spans:
            yield _at(rule.place, "unique-empty", f"{entity.name}.{rule.name} names no field", "Name at least one field.")
        for name in (*rule.fields, *spans):
            kind = entity.fields[name].type if name in entity.fields else None
            if isinstance(kind, kinds.ListOf | kinds.ObjectOf):
                yield _at(rule.place, "unique-compound", f"{entity.name}.{rule.name}: `{name}` is a list or an object", "Use fields of plain values.")
            if isinstance(kind, kinds.Text) and kind.max_length > 500 and name in rule.fields:
                yield _at(rule.place, "unique-too-long", f"{entity.name}.{rule.name}: `{name}` may be too long for an index", "Write max_length=500 or less.")
    for rule in entity.exclusions:
        ends = [entity.fields[name].type for name in (rule.start, rule.end) if name in entity.fields]
        ordered = (kinds.DateTimeType, kinds.DateType, kinds.Integer)
        if len(ends) != 2 or type(ends[0]) is not type(ends[1]) or not isinstance(ends[0], ordered):
            yield _at(rule.place, "exclusion-span", f"{entity.name}.{rule.name}: the span needs two fields of one type", "Use two datetimes, two dates or two integers.")


def _quotas(entity: Entity, system: System) -> Iterator[Mistake]:
    for quota in entity.quotas:
        if fault := _quota_fault(quota, entity, system):
            yield _at(quota.place, "invariant-not-compilable", f"{entity.name}.{quota.name} can't be held: {fault}", "Write quota(REFERENCE, among=[STATES], limit=REFERENCE.FIELD).")


def _quota_fault(quota: Quota, entity: Entity, system: System) -> str | None:
    field = entity.fields.get(quota.anchor)
    if field is None or not isinstance(field.type, kinds.Reference):
        return "there is no reference to lock"
    if not quota.states:
        return "it counts in no state"
    weight = entity.fields[quota.weight].type if quota.weight in entity.fields else None
    if quota.weight is not None and not isinstance(weight, kinds.Integer):
        return "only an integer field can be summed"
    anchor = system.entities.get(field.type.entity)
    if anchor is None:
        return f"{field.type.entity} isn't part of the system"
    if reason := _not_compilable(quota.limit, anchor):
        return reason
    try:
        return None if type_of(quota.limit, anchor, system, None) == "integer" else "its limit isn't an integer"
    except Untypable as untypable:
        return untypable.detail


def _fields(entity: Entity, system: System) -> Iterator[Mistake]:
    """References lead somewhere, and every needed field gets a value at the start."""
    for field in entity.fields.values():
        if isinstance(field.type, kinds.Reference) and field.type.entity not in system.entities:
            yield _at(field.place, "reference-unknown", f"{entity.name}.{field.name} refers to {field.type.entity}, which isn't part of the system", f"Pass {field.type.entity} to system() too.")
    for start in (t for t in entity.transitions.values() if t.creation):
        yield from _unset_fields(entity, start)
    for t in entity.transitions.values():
        for name in t.uses:
            if not isinstance(entity.fields[name].type, kinds.Reference):
                yield _at(t.place, "uses-not-reference", f"{entity.name}.{t.name}: `{name}` isn't a reference", "uses= names fields declared with ref().")
        twice = [p.name for p in t.parameters]
        for name in {n for n in twice if twice.count(n) > 1}:
            yield _at(t.place, "declared-twice", f"{entity.name}.{t.name} takes `{name}` twice", "Drop it from sets=, or from the arguments of the body.")


def _unset_fields(entity: Entity, start: Transition) -> Iterable[Mistake]:
    given = set(start.sets)
    for field in entity.fields.values():
        if field.optional or field.default is not None or field.name in given or start.body is not None:
            continue
        yield _at(start.place, "field-unset", f"{entity.name}.{start.name} leaves `{field.name}` without a value", f"Add it to sets=[...], give it a default, or write {field.name}: ... | None.")
