"""Which acts there are in a situation: who could do what, with which input, and what may come by itself."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, product
from typing import Any, Final, NamedTuple, TypeGuard
from uuid import UUID

from avow.kernel.command import Key, Record
from avow.kernel.policy import never_may
from avow.model.actor import Actor
from avow.model.effect import DONE
from avow.model.entity import Entity, Parameter, Transition
from avow.model.expression import Argument, Expression, FieldOf, Now, Opaque, walk
from avow.model.private import PrivateType
from avow.model.system import System
from avow.model.trigger import OnEvent, OnOutcome
from avow.model.types import ObjectOf, Reference, SubjectType
from avow.prove.act import Act, Given, Ref
from avow.prove.explore.people import people_of, tells_people_apart
from avow.prove.explore.situation import Situation, ref_of
from avow.prove.explore.values import conditions_of, constants_of, lengths_of, values_of
from avow.prove.world import names_in

INPUTS_MAX: Final = {False: 40, True: 160}
"""How many different inputs of one command are tried in a situation; and where it is looked at widely."""
LATER_MAX: Final = 3
"""How many later times are tried for one command in a situation."""
LATER_ALL: Final = 4
"""How many inputs of one command are tried at every later time; the others are tried at one of them."""
DRAWS_MAX: Final = 1_000
"""How often another combination of values is drawn before it counts as having met all there are."""
KEY_OF_CALL: Final = UUID(int=0xCA11)


@dataclass(frozen=True, slots=True)
class Scope:
    """What of a system is explored, and how widely.

    entities: the ones whose records there are. several: those of which there may be two, of the others one.
    wide:     more boundary values.
    """

    system: System
    entities: tuple[str, ...]
    several: frozenset[str] = frozenset()
    wide: bool = False

    def most(self, entity: str) -> int:
        """How many records of an entity there are at most."""
        return 2 if entity in self.several else 1

    def __str__(self) -> str:
        alone = len(self.entities) == len(self.system.entities)
        each = "each" if alone else f"each of {', '.join(self.entities)}"
        if not self.several:
            return f"one record of {each}"
        if self.several == frozenset(self.entities):
            return f"two records of {each}" + (", with more values" if self.wide else "")
        return f"two records of {', '.join(n for n in self.entities if n in self.several)}"


class Acts:
    """The acts of a scope. What doesn't depend on the situation is worked out once.

    cut: some command had more inputs than were tried in one situation.
    """

    def __init__(self, scope: Scope) -> None:
        self.scope, self.system, self.cut = scope, scope.system, False
        self._asked: dict[tuple[str, str], _Asked] = {}
        self._lengths = lengths_of(scope.system)

    def possible(self, situation: Situation, place: int) -> Iterator[Act]:
        """Every act that could happen in a situation, refused or not.

        place: the situation's number, by which inputs are drawn where there are too many.
        """
        at = _Here(situation, seen_in(situation), place)
        for name in self.scope.entities:
            entity, count = self.system.entities[name], situation.count(name)
            if count < self.scope.most(name):
                for transition in entity.transitions.values():
                    if transition.creation:
                        yield from self._given(at, entity, transition, count + 1)
        for key, record in situation.records.items():
            entity = self.system.entities[key[0]]
            seen = set[str]()
            for transition in entity.transitions.values():
                if record.state in transition.sources and transition.command not in seen:
                    seen.add(transition.command)
                    yield from self._of_record(at, entity, transition, key, record)

    def _of_record(
        self, at: _Here, entity: Entity, transition: Transition, key: Key, record: Record
    ) -> Iterator[Act]:
        situation, ordinal = at.situation, ref_of(key).ordinal
        match transition.trigger:
            case None:
                yield from self._given(at, entity, transition, ordinal)
            case OnOutcome(effect, outcome):
                if (key, effect) in situation.waiting:
                    yield from _ended(self.scope, situation, entity, transition, ordinal, effect, outcome)
            case OnEvent() as event:
                yield from _told(self.scope, situation, entity, transition, ordinal, event, record)
            case _:
                if (key, transition.name) in situation.waiting:
                    yield Act("time", entity.name, transition.command, ordinal)

    def _given(self, at: _Here, entity: Entity, transition: Transition, ordinal: int) -> Iterator[Act]:
        """The commands that people could give: each of them, with each input, now and later."""
        asked = self._asked.get((entity.name, transition.command))
        if asked is None:
            asked = self._ask(entity, transition)
            self._asked[entity.name, transition.command] = asked
        if not asked.people:
            return
        later = self._later(at.situation) if asked.timed else []
        people = at.told_apart(asked.people)
        word, name = transition.command, entity.name
        for number, given in enumerate(self._inputs(at, entity, transition.parameters)):
            whole = not later or number < LATER_ALL
            self.cut = self.cut or not whole
            for seconds in (0.0, *later) if whole else (0.0, later[number % len(later)]):
                for person in people:
                    yield Act("command", name, word, ordinal, given, person, seconds)

    def _inputs(
        self, at: _Here, entity: Entity, parameters: Iterable[Parameter]
    ) -> Iterator[Mapping[str, Given]]:
        """The inputs of a command: every combination of boundary values, or where those are too many, some.

        Those are the plainest ones, all that differ from one of them in one value, and others each time.
        """
        parameters = list(parameters)
        names = [p.name for p in parameters]
        people = 1 + sum(isinstance(p.type, SubjectType) for p in parameters)
        each = [_values(self.scope, at, entity, p, people) for p in parameters]
        if any(not values for values in each):
            return
        most = INPUTS_MAX[self.scope.wide]
        if count_of(each) <= most:
            for chosen in product(*each):
                yield dict(zip(names, chosen, strict=True))
            return
        self.cut = True
        for chosen in islice(_different(_some(each, at.place)), most):
            values = [values[place] for values, place in zip(each, chosen, strict=True)]
            yield dict(zip(names, values, strict=True))

    def inputs(self, situation: Situation, entity: Entity, command: str) -> Iterator[Mapping[str, Given]]:
        """The inputs of a command in a situation."""
        at = _Here(situation, seen_in(situation), 0)
        yield from self._inputs(at, entity, entity.of_command(command)[0].parameters)

    def _ask(self, entity: Entity, transition: Transition) -> _Asked:
        candidates = entity.of_command(transition.command)
        everybody = people_of(self.system)
        people = [p for p in everybody if not all(never_may(t.by, p) for t in candidates)]
        if not any(tells_people_apart(self.system, entity, t) for t in candidates):
            people = people[:1]
        return _Asked(tuple(people), any(_looks_at_time(t) for t in candidates))

    def _later(self, situation: Situation) -> list[float]:
        """The times, in seconds from now, just after which a comparison with an instant may turn out anew."""
        instants = {
            value
            for record in situation.records.values()
            for value in record.values.values()
            if isinstance(value, datetime)
        }
        turns = sorted(i + sign * d for i in instants for d in self._lengths for sign in (1, -1))
        ahead = dict.fromkeys(turn for turn in turns if turn >= situation.now)
        second = timedelta(seconds=1)
        return [(turn - situation.now + second).total_seconds() for turn in islice(ahead, LATER_MAX)]


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


def _ended(
    scope: Scope, situation: Situation, entity: Entity, transition: Transition, ordinal: int, effect: str,
    outcome: str,
) -> Iterator[Act]:  # fmt: skip
    if outcome != DONE:
        given: Mapping[str, Given] = {"code": outcome, "reason": "the other side said so"}
        yield Act("outcome", entity.name, transition.command, ordinal, given)
        return
    result = next((p.type for p in transition.parameters if p.name == "result"), None)
    results = [None] if result is None else values_of(result, (), situation.now, scope.wide)[:2]
    for value in results:
        told = {"key": KEY_OF_CALL, **({} if result is None else {"result": value})}
        yield Act("outcome", entity.name, transition.command, ordinal, told)


def _told(
    scope: Scope, situation: Situation, entity: Entity, transition: Transition, ordinal: int,
    event: OnEvent, record: Record,
) -> Iterator[Act]:  # fmt: skip
    """An event about this record: its data names it, and has boundary values elsewhere."""
    about: Any = Ref(entity.name, ordinal) if event.match is None else record.values.get(event.match)
    if about is None or not isinstance(event.data, ObjectOf):
        return
    members = [m for m in event.data.members if m.name != event.told]
    constants = constants_of(scope.system)
    each = [
        values_of(m.type, constants.get((entity.name, m.name), ()), situation.now, scope.wide)
        + ([None] if m.optional else [])
        for m in members
    ]
    for chosen in islice(product(*each), INPUTS_MAX[scope.wide]):
        data = dict(zip((m.name for m in members), chosen, strict=True))
        yield Act("event", entity.name, transition.command, ordinal, {event.told: about, **data})


def _different(chosen: Iterable[tuple[int, ...]]) -> Iterator[tuple[int, ...]]:
    seen = set[tuple[int, ...]]()
    for one in chosen:
        if one not in seen:
            seen.add(one)
            yield one


def count_of(each: Iterable[Sequence[Any]]) -> int:
    """How many combinations there are."""
    count = 1
    for values in each:
        count *= len(values)
    return count


def _some(each: Sequence[Sequence[Any]], seed: int) -> Iterator[tuple[int, ...]]:
    """Places of combinations: those with the first and with the last value of each, then all that differ from
    the latter in one, then as many as are asked for that are drawn, others in each situation.
    """
    first, last = tuple(0 for _ in each), tuple(len(values) - 1 for values in each)
    yield last
    yield first
    for at, values in enumerate(each):
        for place in range(len(values)):
            yield (*last[:at], place, *last[at + 1 :])
    chance = random.Random(seed)  # a choice, not a secret
    for _ in range(DRAWS_MAX):
        yield tuple(chance.randrange(len(values)) for values in each)


def _values(scope: Scope, at: _Here, entity: Entity, parameter: Parameter, people: int = 1) -> list[Any]:
    """The boundary values of one argument; None last, where it may be left out.

    people: who acts and those whom the arguments of the command name, who may all be different ones.
    """
    match parameter.type:
        case Reference(target):
            found: list[Any] = [ref_of(key) for key in at.situation.records if key[0] == target]
        case SubjectType():
            found = [p.subject for p in at.told_apart(people_of(scope.system), people)]
        case kind:
            constants = constants_of(scope.system).get((entity.name, parameter.name), ())
            several = scope.wide or is_compared(entity, parameter.name)
            found = values_of(kind, constants, at.situation.now, several)
            if isinstance(kind, PrivateType) and found and not is_looked_at(entity, parameter.name):
                return found[:1]
    return [*found, None] if parameter.optional or not found else found


def is_looked_at(entity: Entity, name: str) -> bool:
    """Whether it may matter whether there is a private value: nobody can tell more of one than that."""
    nodes = (node for condition in conditions_of(entity) for node in walk(condition))
    asked = {node.name if isinstance(node, Argument) else node.path[0] for node in nodes if _names(node)}
    bodies = [t.body for t in entity.transitions.values() if t.body is not None]
    return name in asked or is_compared(entity, name) or any(name in names_in(body) for body in bodies)


def _names(node: Expression) -> TypeGuard[Argument | FieldOf]:
    return isinstance(node, Argument | FieldOf)


def is_compared(entity: Entity, field: str) -> bool:
    """Whether a rule compares a field between records, so that it matters whether two have the same."""
    compared = {name for rule in (*entity.uniques, *entity.exclusions) for name in rule.fields}
    return field in compared
