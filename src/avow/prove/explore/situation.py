"""A situation: records, what they wait for, the time; and what one act makes of it, by the pure kernel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, TypeAlias
from uuid import UUID

from avow.kernel.command import Command, Decision, Key, Record, Rejection, Step, Wait
from avow.kernel.decide import decide
from avow.model.actor import Actor
from avow.model.draft import BodyFault
from avow.model.entity import Transition
from avow.model.system import System
from avow.model.values import Subject
from avow.prove.act import TENANT, Act, Ref, bound_input, transitions_of
from avow.prove.private import concealed
from avow.prove.promises import asked_steps, broken_together

START: Final = datetime(2026, 1, 5, 12, tzinfo=UTC)
"""When every exploration begins: a Monday at noon."""
BY_ITSELF: Final = Actor(Subject("avow"), TENANT)
"""Who acts where something happens by itself."""
_COMMAND: Final = UUID(int=1)


def id_of(system: System, ref: Ref) -> UUID:
    """The id that a record has in the model."""
    return UUID(int=(tuple(system.entities).index(ref.entity) + 1) << 64 | ref.ordinal)


def ref_of(key: Key) -> Ref:
    """Which record has a key of the model."""
    return Ref(key[0], key[1].int & 0xFFFF_FFFF)


Waiting: TypeAlias = Mapping[tuple[Key, str], Wait]
"""The calls and times that are waited for, by record and by the name of the effect or transition."""


@dataclass(slots=True, eq=False)
class Situation:
    """All there is at one moment.

    performers: who has performed which of the steps that promises ask about.
    """

    records: Mapping[Key, Record] = field(default_factory=dict[Key, Record])
    waiting: Waiting = field(default_factory=dict[tuple[Key, str], Wait])
    performers: Mapping[Key, Mapping[str, frozenset[str]]] = field(
        default_factory=dict[Key, Mapping[str, frozenset[str]]]
    )
    now: datetime = START

    def count(self, entity: str) -> int:
        """How many records of an entity there are."""
        return sum(key[0] == entity for key in self.records)

    def next_of(self, entity: str) -> int:
        """The ordinal of a record that is made next. A path may have left out what made an earlier one."""
        return 1 + max((ref_of(key).ordinal for key in self.records if key[0] == entity), default=0)


class Happened(NamedTuple):
    """An act was accepted. steps: its transitions, in order; after: the situation that it leads to."""

    after: Situation
    steps: tuple[Step, ...]

    @property
    def transitions(self) -> tuple[tuple[str, Transition], ...]:
        """What was taken, with the entity of each."""
        return tuple((step.after.entity, step.transition) for step in self.steps)


class Refusal(NamedTuple):
    """An act was refused, and nothing changed."""

    rejection: Rejection


class Fault(NamedTuple):
    """An act ran into a mistake of the declaration's own."""

    fault: BodyFault


Outcome: TypeAlias = Happened | Refusal | Fault


def happen(system: System, situation: Situation, act: Act) -> Outcome:
    """Let an act happen in a situation, which stays as it is."""
    now = time_of(situation, act, system)
    internal = act.actor is None
    key = (act.entity, id_of(system, act.ref))
    command = Command(
        act.entity,
        act.command,
        key[1],
        concealed(bound_input(system, act, lambda ref: id_of(system, ref))),
        BY_ITSELF if act.actor is None else act.actor,
        _COMMAND,
        _version(system, situation, act, key),
        internal,
    )
    try:
        decided = decide(system, situation.records, command, now)
    except BodyFault as fault:
        return Fault(fault)
    if isinstance(decided, Rejection):
        return Refusal(decided)
    records = {**situation.records, **decided.final}
    rules = broken_together(system, records, now, {key[0] for key in decided.final})
    first = next(iter(rules), None)
    if first is not None:
        return Refusal(Rejection(first.code, first.sentence, {"rule": first.promise}))
    return Happened(_after(system, situation, records, decided, now, command.actor), decided.steps)


def time_of(situation: Situation, act: Act, system: System) -> datetime:
    """When an act happens: later by what it says, and a time that comes not before it is due."""
    now = situation.now + timedelta(seconds=act.later_s)
    if act.kind == "time":
        key = (act.entity, id_of(system, act.ref))
        waits = (situation.waiting.get((key, t.name)) for t in transitions_of(system, act))
        return max([now, *(wait.due for wait in waits if wait is not None)])
    return now


def _version(system: System, situation: Situation, act: Act, key: Key) -> int | None:
    """The version that its caller has seen, where a command asks for it."""
    transitions = system.entities[act.entity].of_command(act.command)
    record = situation.records.get(key)
    return record.version if record is not None and any(t.precondition for t in transitions) else None


def _after(
    system: System,
    before: Situation,
    records: Mapping[Key, Record],
    decision: Decision,
    now: datetime,
    actor: Actor,
) -> Situation:
    waiting = dict(before.waiting)
    for step in decision.steps:
        for name, wait in step.waits.items():
            waiting.pop((step.after.key, name), None)
            if wait is not None:
                waiting[step.after.key, name] = wait
    return Situation(records, waiting, _performed(system, before, decision.steps, actor), now)


def _performed(
    system: System, before: Situation, steps: Iterable[Step], actor: Actor
) -> Mapping[Key, Mapping[str, frozenset[str]]]:
    asked = asked_steps(system)
    found = before.performers
    for step in steps:
        name = step.transition.step
        if name in asked and actor.authenticated:
            known = found.get(step.after.key, {})
            found = {
                **found,
                step.after.key: {**known, name: known.get(name, frozenset()) | {str(actor.subject)}},
            }
    return found
