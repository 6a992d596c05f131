"""What is refused in a state: every command that isn't declared from it, and whoever isn't permitted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from avow.kernel.command import Key
from avow.model.entity import Entity
from avow.model.system import System
from avow.prove.act import Act, Given, Path
from avow.prove.coverage import InState, Refused
from avow.prove.explore.path import end_of
from avow.prove.explore.people import outsiders, people_of
from avow.prove.explore.possible import Acts, Scope
from avow.prove.explore.situation import Refusal, Situation, happen, ref_of


def refused_in(system: System, at: InState, path: Path) -> Iterator[Refused]:
    """Each command that is refused at the end of a path which leads to a state, once for each code."""
    situation = end_of(system, path)
    if situation is None:
        return
    key = next((k for k, r in situation.records.items() if (k[0], r.state) == at), None)
    if key is None:
        return
    entity = system.entities[at[0]]
    for command in dict.fromkeys(t.command for t in entity.transitions.values() if t.trigger is None):
        if not entity.of_command(command)[0].creation:
            yield from _refusals(system, situation, entity, command, key, path)


def _refusals(
    system: System, situation: Situation, entity: Entity, command: str, key: Key, path: Path
) -> Iterator[Refused]:
    seen = set[str]()
    given = _plain_input(system, situation, entity, command)
    if given is None:
        return
    for person in (*people_of(system), *outsiders(system)):
        act = Act("command", entity.name, command, ref_of(key).ordinal, given, person)
        outcome = happen(system, situation, act)
        if isinstance(outcome, Refusal) and outcome.rejection.code not in seen:
            seen.add(outcome.rejection.code)
            yield Refused(act, outcome.rejection.code, path)


def _plain_input(
    system: System, situation: Situation, entity: Entity, command: str
) -> Mapping[str, Given] | None:
    """Some input of a command that fits its types; None where none can be made."""
    acts = Acts(Scope(system, tuple(system.entities)))
    return next(iter(acts.inputs(situation, entity, command)), None)
