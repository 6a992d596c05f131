"""What contradicts itself whatever an owner promises: it is seen in one act, and needs no `always`.

What somebody agreed to is what counts. What comes by itself can happen: a time that is refused because
another record has ended waits for a person who can do nothing. A numbered word of a sender isn't overwritten
by an older one. What a call has told, and a later call needs, is kept whenever it comes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias

from avow.kernel.command import Step
from avow.model.effect import DONE
from avow.model.entity import Entity, Transition
from avow.model.expression import All, AnyOf, Argument, FieldOf, Not, Performed, Votes, walk
from avow.model.node import Expression
from avow.model.place import Place
from avow.model.system import System
from avow.model.trigger import OnEvent, OnOutcome, OnTime
from avow.prove.act import Act, transitions_of
from avow.prove.explore.situation import Happened, Outcome, Refusal, ref_of
from avow.prove.world import names_in

NUMBERS: Final = frozenset({"revision", "version", "sequence", "sequence_number", "seq"})
"""What senders call the number that says which of two words about the same is the newer one."""


class Wrong(NamedTuple):
    """What contradicts itself. promise: its name; sentence: what is wrong; why: what says so."""

    promise: str
    sentence: str
    place: Place
    why: str


def contradictions(system: System, act: Act, outcome: Outcome) -> Iterator[Wrong]:
    """What is wrong with what came of one act."""
    if isinstance(outcome, Happened):
        for step in outcome.steps:
            if step.before is not None:
                yield from _outlived(system, step)
                yield from _overwritten(system, step)
                yield from _dropped(system, step)
    elif isinstance(outcome, Refusal) and act.kind == "time":
        yield from _barred(system, act, outcome)


def _outlived(system: System, step: Step) -> Iterator[Wrong]:
    """Votes that go on counting although what was agreed to is something else by now."""
    entity, taken, before = system.entities[step.after.entity], step.transition, step.before
    if before is None or entity.states[step.after.state].final:
        return
    for voted, shown in system.derived(_agreed_to)[entity.name].items():
        kept = {*before.performers.get(voted, ())} & {*step.after.performers.get(voted, ())}
        changed = [name for name in shown if name in step.changes]
        if kept and changed and taken.step != voted:
            what = ", ".join(changed)
            yield Wrong(
                f"{entity.name}.{taken.name} keeps {voted}",
                f"{taken.name} changes {what} of {ref_of(step.after.key)}, and {voted} by "
                f"{' and '.join(sorted(kept))} still counts: they agreed to something else.",
                taken.place,
                f"{entity.name}.{taken.name} has no voids={voted}.",
            )


def _agreed_to(system: System) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """For each entity the steps whose performers count for something, and what they are shown."""
    return {name: _agreed_to_of(entity) for name, entity in system.entities.items()}


def _agreed_to_of(entity: Entity) -> Mapping[str, tuple[str, ...]]:
    asked = {set_ for t in entity.transitions.values() if t.creation for set_ in t.sets}
    found = dict[str, tuple[str, ...]]()
    for t in entity.transitions.values():
        for condition in (t.by, t.when):
            for voted in () if condition is None else _counted(condition, False):
                own = [o for o in entity.transitions.values() if o.step == voted]
                shown = {name for o in own if o.task is not None for name in o.task.shows}
                looked_at = {name for o in own if o.when is not None for name in _own_fields(o.when)}
                found[voted] = tuple(sorted((shown | looked_at) & asked))
    return found


def _own_fields(condition: Expression) -> Iterator[str]:
    return (node.path[0] for node in walk(condition) if isinstance(node, FieldOf) and len(node.path) == 1)


def _counted(condition: Expression, denied: bool) -> Iterator[str]:
    """The steps of which it is asked that somebody has performed them."""
    match condition:
        case Performed(step) if not denied:
            yield step
        case Not(part):
            yield from _counted(part, not denied)
        case All(parts) | AnyOf(parts):
            for part in parts:
                yield from _counted(part, denied)
        case _:
            yield from (node.transition for node in walk(condition) if isinstance(node, Votes))


def _overwritten(system: System, step: Step) -> Iterator[Wrong]:
    """A word of a sender that takes the place of a newer one, by the number that both have."""
    taken, before = step.transition, step.before
    if before is None or not isinstance(taken.trigger, OnEvent):
        return
    for field, member in numbered(taken):
        old, new = before.values.get(field), step.after.values.get(field)
        if type(old) is int and type(new) is int and new < old:
            yield Wrong(
                f"{before.entity}.{taken.name} takes newer words only",
                f"{ref_of(before.key)} takes {member} {new} of {taken.command} after {member} {old}: "
                "what was said before takes the place of what was said later.",
                taken.place,
                f"Nothing in {before.entity}.{taken.name} asks that {member} is above {field}.",
            )


def numbered(taken: Transition) -> Iterator[tuple[str, str]]:
    """The fields that keep the number of a sender's word, and what the sender calls it."""
    for field, value in taken.assigns:
        if isinstance(value, Argument) and value.path and value.path[-1] in NUMBERS:
            yield field, value.path[-1]


def _dropped(system: System, step: Step) -> Iterator[Wrong]:
    """What a call has told is lost, though it is kept elsewhere, for a call that may still be made."""
    taken, record = step.transition, step.after
    for sibling, field, effect in system.derived(_kept_elsewhere)[record.entity].get(taken.name, ()):
        if record.values[field] is None:
            call = str(taken.trigger).partition(".")[0]
            yield Wrong(
                f"{record.entity}.{taken.name} keeps what {call} tells",
                f"{taken.name} drops what {call} has told of {ref_of(record.key)}: {sibling} keeps it in "
                f"{field}, which {effect} needs, and {field} is empty now.",
                taken.place,
                f"{record.entity}.{taken.name} sets no {field}.",
            )


_Kept: TypeAlias = Mapping[str, tuple[tuple[str, str, str], ...]]
"""By transition: another one that takes in the same, the field in which that keeps it, and who needs it."""


def _kept_elsewhere(system: System) -> Mapping[str, _Kept]:
    return {name: _kept_of(entity) for name, entity in system.entities.items()}


def _kept_of(entity: Entity) -> _Kept:
    ended = [t for t in entity.transitions.values() if _is_done(t)]
    found = dict[str, tuple[tuple[str, str, str], ...]]()
    for taken in (t for t in ended if not any(_results(t)) and not _body_takes_result(t)):
        kept = [(o.name, field) for o in ended if o.trigger == taken.trigger for field in _results(o)]
        later = [e for s in _from(entity, taken.target) for e in entity.states[s].invoke]
        found[taken.name] = tuple(
            (sibling, field, effect)
            for sibling, field in kept
            for effect in dict.fromkeys(later)
            if entity.fields[field].optional and field in names_in(entity.effects[effect].function)
        )[:1]
    return found


def _is_done(transition: Transition) -> bool:
    return isinstance(transition.trigger, OnOutcome) and transition.trigger.outcome == DONE


def _results(transition: Transition) -> Iterator[str]:
    """The fields in which a transition keeps something of what a call has told."""
    for field, value in transition.assigns:
        if any(isinstance(node, Argument) for node in walk(value)):
            yield field


def _body_takes_result(transition: Transition) -> bool:
    return transition.body is not None and (transition.takes is None or "result" in transition.takes)


def _from(entity: Entity, state: str) -> list[str]:
    """A state and those to which something leads from there."""
    found = [state]
    for at in found:
        found += {t.target for t in entity.transitions.values() if at in t.sources} - {*found}
    return found


def _barred(system: System, act: Act, refusal: Refusal) -> Iterator[Wrong]:
    """A time that can never be acted on: what it does to another record is out of the question for good."""
    rejection, taken = refusal.rejection, transitions_of(system, act)[0]
    entity, _, word = str(rejection.extra.get("rule", "")).partition(".")
    state = rejection.extra.get("current_state")
    again = isinstance(taken.trigger, OnTime) and taken.trigger.again
    if rejection.code != "state-conflict" or again or entity not in system.entities:
        return
    known = system.entities[entity].states.get(str(state))
    if known is not None and known.final and entity != act.entity:
        yield Wrong(
            f"{act.entity}.{taken.name} can happen",
            f"The time for {taken.name} of {act.ref} comes, and it can't happen: its {entity} is {state}, "
            f"where {word} isn't possible any more.",
            taken.place,
            f"It waits for a person, who can't let it happen either: {state} is final.",
        )
