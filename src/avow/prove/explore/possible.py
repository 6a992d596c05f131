"""Which acts there are in a situation: who could do what, with which input, and what may come by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, product
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID

from avow.kernel.command import Key, Record
from avow.kernel.policy import never_may
from avow.model.actor import Actor
from avow.model.effect import DONE
from avow.model.entity import Entity, Parameter, Transition
from avow.model.expression import Argument, Now, Opaque, walk
from avow.model.private import PrivateType
from avow.model.system import System
from avow.model.trigger import OnEvent, OnOutcome
from avow.model.types import ObjectOf, Reference, SubjectType, ValueType
from avow.prove.act import Act, Given, Ref, is_creation
from avow.prove.explore.held import held_by
from avow.prove.explore.inputs import Accepted, Learned, Together, count_of
from avow.prove.explore.kinds import asked_about
from avow.prove.explore.people import people_of, tells_people_apart
from avow.prove.explore.situation import Situation, ref_of
from avow.prove.explore.together import named_together
from avow.prove.explore.turns import Turns, Usual
from avow.prove.explore.values import constants_of, is_tried_whole, lengths_of, values_of
from avow.prove.world import names_in

T = TypeVar("T")

INPUTS_MAX: Final = {False: 40, True: 160}
"""How many different inputs of one command are tried in a situation; and where it is looked at widely."""
SECOND: Final = timedelta(seconds=1)
LATER_MAX: Final = 4
"""How many later times are tried for one command in a situation."""
LATER_ALL: Final = 4
"""How many inputs of one command are tried at every later time; the others are tried at one of them."""
PATIENCE: Final = 400
"""So often a command that makes records is refused, and none of it accepted, before others come first."""
KEY_OF_CALL: Final = UUID(int=0xCA11)


@dataclass(frozen=True, slots=True)
class Scope:
    """What of a system is explored, and how widely.

    entities: the ones whose records there are: one of each, or as many as a record of another one refers to.
    several:  those of which there may be more, `more` of them.
    wide:     more boundary values.
    exactly:  how many there are of each at most, whatever else is said; empty: it isn't said.
    """

    system: System
    entities: tuple[str, ...]
    several: frozenset[str] = frozenset()
    wide: bool = False
    more: int = 1
    exactly: tuple[tuple[str, int], ...] = ()

    def most(self, entity: str) -> int:
        """How many records of an entity there are at most."""
        if self.exactly:
            return dict(self.exactly)[entity]
        return needed_of(self.system)[entity] + (self.more if entity in self.several else 0)

    def __str__(self) -> str:
        if self.exactly:
            return "what there is, and one more of each that may refer to it"
        alone = len(self.entities) == len(self.system.entities)
        each = "each" if alone else f"each of {', '.join(self.entities)}"
        count = _COUNTS[1 + self.more * bool(self.several)]
        if not self.several or self.several == frozenset(self.entities):
            return f"{count} {each}" + (", with more values" if self.wide else "")
        return f"{count} {', '.join(n for n in self.entities if n in self.several)}"


_COUNTS: Final = ("", "one record of", "two records of", "three records of")


def needed_of(system: System) -> Mapping[str, int]:
    """How many records of each entity it takes at least: as many as one of another may refer to at once."""
    return system.derived(_needed_of)


def _needed_of(system: System) -> Mapping[str, int]:
    found = dict.fromkeys(system.entities, 1)
    for entity in system.entities.values():
        named = Counter(f.type.entity for f in entity.fields.values() if isinstance(f.type, Reference))
        found |= {
            name: max(found.get(name, 1), count) for name, count in named.items() if name != entity.name
        }
    return found


class Acts:
    """The acts of a scope. What doesn't depend on the situation is worked out once.

    learned: what was accepted elsewhere, and becomes known here.
    cut: some command had more inputs than were tried in one situation. sampled: which ones had.
    """

    def __init__(self, scope: Scope, learned: Learned | None = None) -> None:
        self.scope, self.system, self.cut = scope, scope.system, False
        self.sampled = set[tuple[str, str]]()
        self._asked: dict[tuple[str, str], _Asked] = {}
        self._accepted = Learned() if learned is None else learned
        self._named_together: dict[tuple[str, str], Together] = {}
        self._usual = Usual()
        self._lengths = lengths_of(scope.system)

    def possible(self, situation: Situation, place: int) -> Turns:
        """Every act that could happen in a situation, refused or not.

        place: the situation's number, by which inputs are drawn where there are too many.
        """
        return Turns(self._each(_Here(situation, seen_in(situation), place)), self._usual)

    def _each(self, at: _Here) -> Iterator[Iterator[Act]]:
        """The acts of each command, call, event and time."""
        situation = at.situation
        for name in self.scope.entities:
            entity, ordinal = self.system.entities[name], situation.next_of(name)
            if situation.count(name) < self.scope.most(name):
                for transition in entity.transitions.values():
                    if transition.creation:
                        yield self._given(at, entity, transition, ordinal)
        own = ((key, r) for key, r in situation.records.items() if key[0] in self.scope.entities)
        for key, record in own:
            entity = self.system.entities[key[0]]
            seen = set[str]()
            for transition in entity.transitions.values():
                if record.state in transition.sources and transition.command not in seen:
                    seen.add(transition.command)
                    yield self._of_record(at, entity, transition, key, record)

    def _of_record(
        self, at: _Here, entity: Entity, transition: Transition, key: Key, record: Record
    ) -> Iterator[Act]:
        situation, ordinal = at.situation, ref_of(key).ordinal
        match transition.trigger:
            case None:
                yield from self._given(at, entity, transition, ordinal, record)
            case OnOutcome(effect, outcome):
                if (key, effect) in situation.waiting:
                    self.cut = self.cut or _looks_at_result(transition)
                    yield from _ended(self.scope, situation, entity, transition, ordinal, outcome)
            case OnEvent() as event:
                yield from self._told(at, entity, transition, ordinal, event, record)
            case _:
                if (key, transition.name) in situation.waiting:
                    yield Act("time", entity.name, transition.command, ordinal)

    def endings(self, situation: Situation, key: Key, record: Record) -> Iterator[Act]:
        """How the calls may end that a record waits for: each that a transition is declared for, once."""
        entity, seen = self.system.entities[key[0]], set[str]()
        for transition in entity.transitions.values():
            trigger = transition.trigger
            if not isinstance(trigger, OnOutcome) or record.state not in transition.sources:
                continue
            if (key, trigger.effect) in situation.waiting and transition.command not in seen:
                seen.add(transition.command)
                ordinal, outcome = ref_of(key).ordinal, trigger.outcome
                yield from islice(_ended(self.scope, situation, entity, transition, ordinal, outcome), 1)

    def _given(
        self, at: _Here, entity: Entity, transition: Transition, ordinal: int, record: Record | None = None
    ) -> Iterator[Act]:
        """The commands of people: each input at once by one of them, then by all, now and later.

        record: what they are given to; None where it is made.
        """
        asked = self._asked_of(entity, transition)
        if not asked.people:
            return
        later = self._later(at.situation) if asked.timed else []
        people = at.told_apart(asked.people)
        word, name = transition.command, entity.name
        inputs, first = list[Mapping[str, Given]](), set[tuple[int, int, float]]()
        for number, given in enumerate(self._inputs(at, entity, word, transition.parameters, record)):
            inputs.append(given)
            place = number % len(people)
            soon = later[number % len(later)] if later and number % 3 == 2 else 0.0  # now and then, later
            first.add((number, place, soon))
            yield Act("command", name, word, ordinal, given, people[place], soon)
        for number, given in enumerate(inputs):
            whole = not later or number < LATER_ALL
            self.cut = self.cut or not whole
            for seconds in (0.0, *later) if whole else (0.0, later[number % len(later)]):
                for place, person in enumerate(people):
                    if (number, place, seconds) not in first:
                        yield Act("command", name, word, ordinal, given, person, seconds)

    def _told(
        self, at: _Here, entity: Entity, transition: Transition, ordinal: int, event: OnEvent, record: Record
    ) -> Iterator[Act]:
        """An event about this record: its data names it, and has boundary values elsewhere."""
        about: Any = Ref(entity.name, ordinal) if event.match is None else record.values.get(event.match)
        if about is None or not isinstance(event.data, ObjectOf):
            return
        members = [m for m in event.data.members if m.name != event.told]
        constants, kept_as = constants_of(self.system), _kept_as(transition)
        each = list[Sequence[Any]]()
        for m in members:
            near = constants.get((entity.name, kept_as.get(m.name, m.name)), ())
            values = values_of(m.type, near, at.situation.now, self.scope.wide)
            held = held_by(self.system, at.situation, record, kept_as.get(m.name, m.name), m.type)
            values = [*dict.fromkeys([*values, *held])]
            each.append([*values, None] if m.optional else values)
        for data in self._drawn(at, entity.name, transition.command, [m.name for m in members], each):
            yield Act("event", entity.name, transition.command, ordinal, {event.told: about, **data})

    def learn(self, act: Act) -> None:
        """Take note of an act that was accepted: its like is tried elsewhere."""
        if act.kind not in ("command", "event"):
            return
        accepted = self._accepted_of(act.entity, act.command)
        accepted.accepted = True
        if len(act.input) > 1:
            accepted.learn(act.input)
            for sibling, names in self._siblings(act):
                self._accepted_of(act.entity, sibling).hear({name: act.input.get(name) for name in names})

    def miss(self, act: Act, code: str) -> bool:
        """Take note of an act that was refused. Whether it makes a record of a kind of which nobody has made
        one yet, and is worth trying on.
        """
        if not is_creation(self.system, act) or code == "input-invalid":
            return False
        accepted = self._accepted_of(act.entity, act.command)
        if accepted.accepted or accepted.refused >= PATIENCE:
            return False
        accepted.miss(act.input, code)
        return True

    def _siblings(self, act: Act) -> list[tuple[str, list[str]]]:
        """The other commands that make records like the one that an act makes, with what they are given."""
        entity = self.system.entities[act.entity]
        makes = [t for t in entity.transitions.values() if t.creation and t.trigger is None]
        if all(t.command != act.command for t in makes):
            return []
        return [(t.command, [p.name for p in t.parameters]) for t in makes if t.command != act.command]

    def _accepted_of(self, entity: str, command: str) -> Accepted:
        return self._accepted.setdefault((entity, command), Accepted())

    def _inputs(
        self, at: _Here, entity: Entity, command: str, parameters: Iterable[Parameter],
        record: Record | None = None,
    ) -> Iterator[Mapping[str, Given]]:  # fmt: skip
        """The inputs of a command: combinations of boundary values, and of what its record holds."""
        parameters = list(parameters)
        names, each = self._arguments(at, entity, parameters)
        if record is not None:
            for parameter, values in zip(parameters, each, strict=True):
                held = held_by(self.system, at.situation, record, parameter.name, parameter.type)
                values[:0] = [one for one in held if one not in values]
        if any(_is_missing(p, values) for p, values in zip(parameters, each, strict=True)):
            yield dict(zip(names, (values[0] for values in each), strict=True))
        elif all(each):
            yield from self._drawn(at, entity.name, command, names, each)

    def _arguments(
        self, at: _Here, entity: Entity, parameters: Iterable[Parameter]
    ) -> tuple[list[str], list[list[Any]]]:
        """The names of some arguments, and the boundary values of each."""
        parameters = list(parameters)
        people = 1 + sum(isinstance(p.type, SubjectType) for p in parameters)
        each = [_values(self.scope, at, entity, p, people) for p in parameters]
        return [p.name for p in parameters], each

    def _drawn(
        self, at: _Here, entity: str, command: str, names: Sequence[str], each: Sequence[Sequence[Any]]
    ) -> Iterator[Mapping[str, Given]]:
        """Every combination of some values, or where those are too many, some of them.

        More of them the first time: where no record is made at first, there is no other time.
        """
        most = INPUTS_MAX[self.scope.wide or not self._accepted_of(entity, command).drawn]
        if count_of(each) <= most:
            for chosen in product(*each):
                yield dict(zip(names, chosen, strict=True))
            return
        self.cut = True
        self.sampled.add((entity, command))
        together = self.together(entity, command, names)
        accepted = self._accepted_of(entity, command)
        for chosen in islice(accepted.draw(names, each, at.place, together), most):
            yield _chosen(names, each, chosen)

    def together(self, entity: str, command: str, names: Sequence[str]) -> Together:
        """The arguments of a command that one condition names, by their places."""
        known = self._named_together.get((entity, command))
        if known is None:
            groups = (
                tuple(at for at, name in enumerate(names) if name in named)
                for named in named_together(self.system)[entity]
            )
            known = [*dict.fromkeys(group for group in groups if len(group) > 1)]
            self._named_together[entity, command] = known
        return known

    def others(self, situation: Situation, entity: str, command: str, seed: int) -> Iterator[Act]:
        """More acts of a command that makes a record, near those that were accepted, without end."""
        at, own = _Here(situation, seen_in(situation), seed), self.system.entities[entity]
        names, each = self._arguments(at, own, own.of_command(command)[0].parameters)
        together, ordinal = self.together(entity, command, names), situation.next_of(entity)
        people = at.told_apart(self._asked_of(own, own.of_command(command)[0]).people)
        near = self._accepted_of(entity, command).near(names, each, seed, together)
        for number, places in enumerate(near):
            given = _chosen(names, each, places)
            yield Act("command", entity, command, ordinal, given, people[number % len(people)])

    def inputs(self, situation: Situation, entity: Entity, command: str) -> Iterator[Mapping[str, Given]]:
        """The inputs of a command in a situation."""
        at = _Here(situation, seen_in(situation), 0)
        yield from self._inputs(at, entity, command, entity.of_command(command)[0].parameters)

    def _asked_of(self, entity: Entity, transition: Transition) -> _Asked:
        asked = self._asked.get((entity.name, transition.command))
        if asked is None:
            asked = self._asked[entity.name, transition.command] = self._ask(entity, transition)
        return asked

    def _ask(self, entity: Entity, transition: Transition) -> _Asked:
        candidates = entity.of_command(transition.command)
        everybody = people_of(self.system)
        people = [p for p in everybody if not all(never_may(t.by, p) for t in candidates)]
        if not any(tells_people_apart(self.system, entity, t) for t in candidates):
            people = people[:1]
        return _Asked(tuple(people), any(_looks_at_time(t) for t in candidates))

    def _later(self, situation: Situation) -> list[float]:
        """The times, in seconds from now, at which, and just after which, it may turn out anew how something
        compares with an instant.
        """
        instants = {
            value
            for record in situation.records.values()
            for value in record.values.values()
            if isinstance(value, datetime)
        }
        turns = sorted(i + sign * d for i in instants for d in self._lengths for sign in (1, -1))
        ahead = dict.fromkeys(turn for turn in turns if turn >= situation.now)
        steps = (turn - situation.now + more for turn in ahead for more in (timedelta(), SECOND))
        return [step.total_seconds() for step in islice(filter(None, steps), LATER_MAX)]


def _chosen(names: Sequence[str], each: Sequence[Sequence[Any]], places: Sequence[int]) -> dict[str, Any]:
    return {name: values[at] for name, values, at in zip(names, each, places, strict=True)}


class _Asked(NamedTuple):
    """A command that people may give: who of them, and whether it may depend on the time."""

    people: tuple[Actor, ...]
    timed: bool


class _Here(NamedTuple):
    """A situation, the people whom it speaks of, and its number among those that were gone on from."""

    situation: Situation
    known: frozenset[str]
    place: int

    def told_apart(self, people: Sequence[Actor], most: int = 1) -> list[Actor]:
        """Those who have appeared, and of the others, all alike, the first few with the same roles."""
        fresh, found = Counter[frozenset[str]](), list[Actor]()
        for person in people:
            if person.subject in self.known:
                found.append(person)
            elif fresh[person.roles] < most:
                found.append(person)
                fresh[person.roles] += 1
        return found


def seen_in(situation: Situation) -> frozenset[str]:
    """The people whom records speak of."""
    found = set[str]()
    for record in situation.records.values():
        found.update([value for value in record.values.values() if isinstance(value, str)])
        for performers in record.performers.values():
            found.update(performers)
    for steps in situation.performers.values():
        for performers in steps.values():
            found.update(performers)
    return frozenset(found)


def _looks_at_time(transition: Transition) -> bool:
    conditions = [transition.by, *([] if transition.when is None else [transition.when])]
    if any(isinstance(node, Now | Opaque) for condition in conditions for node in walk(condition)):
        return True
    return transition.body is not None and bool({"now"} & names_in(transition.body) or transition.uses)


def _looks_at_result(transition: Transition) -> bool:
    """Whether what a call has told may matter, of which not every value is tried."""
    nodes = () if transition.when is None else walk(transition.when)
    return transition.body is not None or any(isinstance(node, Argument) for node in nodes)


def _ended(
    scope: Scope, situation: Situation, entity: Entity, transition: Transition, ordinal: int, outcome: str
) -> Iterator[Act]:
    if outcome != DONE:
        given: Mapping[str, Given] = {"code": outcome, "reason": "the other side said so"}
        yield Act("outcome", entity.name, transition.command, ordinal, given)
        return
    result = next((p.type for p in transition.parameters if p.name == "result"), None)
    results = [None] if result is None else values_of(result, (), situation.now, scope.wide)[:2]
    for value in results:
        told = {"key": KEY_OF_CALL, **({} if result is None else {"result": value})}
        yield Act("outcome", entity.name, transition.command, ordinal, told)


def sampled_in(scope: Scope) -> tuple[str, ...]:
    """The arguments of a scope that something asks about, of which only boundary values are tried."""
    entities = [scope.system.entities[name] for name in scope.entities]
    given = [p for e in entities for t in e.transitions.values() for p in _open_arguments(t)]
    asked = asked_about(scope.system)
    return tuple(dict.fromkeys(name for name, kind in given if name in asked and not is_tried_whole(kind)))


def _open_arguments(transition: Transition) -> Iterator[tuple[str, ValueType]]:
    """What people, or senders, give of a transition, by the names that it is asked about by."""
    match transition.trigger:
        case None:
            yield from ((p.name, p.type) for p in transition.parameters)
        case OnEvent(data=ObjectOf(members=members)):
            kept_as = _kept_as(transition)
            told = transition.trigger.told
            yield from ((kept_as.get(m.name, m.name), m.type) for m in members if m.name != told)
        case _:
            return


def _kept_as(transition: Transition) -> Mapping[str, str]:
    """The fields that the members of an event's data are kept in, by member."""
    return {
        value.path[-1]: field
        for field, value in transition.assigns
        if isinstance(value, Argument) and value.path
    }


def _values(scope: Scope, at: _Here, entity: Entity, parameter: Parameter, people: int = 1) -> list[Any]:
    """The boundary values of one argument; None last, where it may be left out.

    people: who acts and those whom the arguments of the command name, who may all be different ones.
    """
    match parameter.type:
        case Reference(target):
            found: list[Any] = [ref_of(key) for key in at.situation.records if key[0] == target]
        case SubjectType():
            found = [*dict.fromkeys(p.subject for p in at.told_apart(people_of(scope.system), people))]
        case kind:
            constants = constants_of(scope.system).get((entity.name, parameter.name), ())
            several = scope.wide or is_compared(entity, parameter.name)
            found = values_of(kind, constants, at.situation.now, several)
            told_apart = isinstance(kind, PrivateType) or not scope.wide
            if found and told_apart and parameter.name not in asked_about(scope.system):
                return found[:1]
    return [*found, None] if parameter.optional or not found else found


def _is_missing(parameter: Parameter, values: Sequence[Any]) -> bool:
    """Whether a record has to be named of which there is none: it is refused, whatever else is given."""
    return isinstance(parameter.type, Reference) and not parameter.optional and [*values] == [None]


def is_compared(entity: Entity, field: str) -> bool:
    """Whether a rule compares a field between records, so that it matters whether two have the same."""
    compared = {name for rule in (*entity.uniques, *entity.exclusions) for name in rule.fields}
    return field in compared
