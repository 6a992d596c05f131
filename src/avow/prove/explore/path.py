"""Following a path through the model, and making it shorter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from avow.model.actor import Actor
from avow.model.system import System
from avow.prove.act import Act, Path
from avow.prove.explore.situation import Fault, Happened, Outcome, Situation, happen


def follow(system: System, path: Path) -> list[Outcome]:
    """What comes of each act, one after the other; a refused one changes nothing."""
    situation, found = Situation(), list[Outcome]()
    for act in path:
        outcome = happen(system, situation, act)
        found.append(outcome)
        if isinstance(outcome, Happened):
            situation = outcome.after
    return found


def end_of(system: System, path: Path) -> Situation | None:
    """The situation at the end of a path all of which is accepted; None where it isn't."""
    situation = Situation()
    for act in path:
        outcome = happen(system, situation, act)
        if not isinstance(outcome, Happened):
            return None
        situation = outcome.after
    return situation


def faults_at_end(system: System, path: Path) -> bool:
    """Whether the last act of a path runs into a mistake of the declaration, and the others don't."""
    before = end_of(system, path[:-1])
    return before is not None and isinstance(happen(system, before, path[-1]), Fault)


def shorter(path: Path, does: Callable[[Path], bool], keep_last: bool = False) -> Path:
    """The path without whatever isn't needed for it to do the same: acts, then roles of people.

    keep_last: its last act is what it is about, and stays.
    """
    return with_fewer_roles(without_needless(path, does, keep_last), does)


def without_needless(path: Path, does: Callable[[Path], bool], keep_last: bool = False) -> Path:
    """The path without acts that aren't needed for it to do the same."""
    at = len(path) - 1 - keep_last
    while at >= 0:
        candidate = path[:at] + path[at + 1 :]
        if does(candidate):
            path = candidate
            at = min(at, len(path) - keep_last)
        at -= 1
    return path


def with_fewer_roles(path: Path, does: Callable[[Path], bool]) -> Path:
    """The path with no more roles for each person, as whom they come, than they need for it."""
    places = dict[Actor, set[int]]()
    for at, act in enumerate(path):
        if act.actor is not None:
            places.setdefault(act.actor, set()).add(at)
    for actor, own in places.items():
        for role in sorted(actor.roles):
            candidate = tuple(_without(role, act) if at in own else act for at, act in enumerate(path))
            if does(candidate):
                path = candidate
    return path


def _without(role: str, act: Act) -> Act:
    actor = act.actor
    return act if actor is None else replace(act, actor=replace(actor, roles=actor.roles - {role}))
