"""What can't end, as findings: what a search suspects is looked at again, and told with the shortest path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from avow.kernel.command import Key
from avow.model.system import System
from avow.prove.act import Path
from avow.prove.explore.ends import cannot_end, near, reasons, stuck, suspects
from avow.prove.explore.path import end_of, shorter
from avow.prove.explore.search import Found
from avow.prove.explore.situation import Fault, Happened, Situation, happen, ref_of
from avow.prove.finding import Finding, Line
from avow.prove.phase import Budget
from avow.prove.reach import but_sampled
from avow.prove.schedule import Schedule
from avow.prove.story import line_of

NAME: Final = "model"
REASONS_MAX: Final = 3
"""How many refusals are told of a record that can't end."""


def never_ending(system: System, searches: list[Found], budget: Budget) -> Iterator[Finding]:
    """The first record in each state that can't end any more."""
    seen = set[tuple[str, str]]()
    for look in (stuck, suspects):
        for found in searches:
            for one in look(found):
                at = one.key[0], one.state
                if at in seen or budget.spent:
                    continue
                never, tried = cannot_end(system, found.nodes[one.node].situation, one.key)
                budget.advance(tried)
                if never:
                    seen.add(at)
                    yield _of_stuck(system, found.path_to(one.node), one.key, one.state)


def stuck_at(system: System, path: Path, end: Situation) -> Finding | None:
    """What can't end any more after a path, the first such record."""
    for key, record in end.records.items():
        states = system.entities[key[0]].states
        has_end = any(state.final for state in states.values())
        if has_end and not states[record.state].final and cannot_end(system, end, key)[0]:
            return _of_stuck(system, path, key, record.state)
    return None


def _of_stuck(system: System, path: Path, key: Key, state: str) -> Finding:
    def is_stuck(candidate: Path) -> bool:
        end = end_of(system, candidate)
        there = end is not None and key in end.records and end.records[key].state == state
        return end is not None and there and cannot_end(system, end, key)[0]

    path = shorter(path, is_stuck)
    entity, end = system.entities[key[0]], end_of(system, path)
    finals = " or ".join(one.name for one in entity.states.values() if one.final)
    said = [] if end is None else reasons(system, end, key)
    sampled = "" if end is None else but_sampled(near(system, end, key))
    refused = f" Refused are {'; '.join(said[:REASONS_MAX])}." if said else ""
    return Finding(
        phase=NAME,
        promise=f"{entity.name}.{state} can end",
        sentence=f"{ref_of(key)} can't end: from {state}, nothing that was tried leads to {finals} any more.",
        place=entity.states[state].place,
        schedule=Schedule(path),
        story=story_of(system, path),
        why="Every act was tried from there on, with what there is and one more of each that may refer to "
        f"it, and none led on{sampled}.{refused}",
    )


def story_of(system: System, path: Path) -> tuple[Line, ...]:
    """What people and other sides do along a path, and what comes of each act."""
    last = len(path) - 1
    return tuple(
        line_of(system, act, _answer(system, path[: at + 1]), matters=at >= last - 1)
        for at, act in enumerate(path)
    )


def _answer(system: System, path: Path) -> str:
    """What became of the record of a path's last act."""
    before = end_of(system, path[:-1])
    outcome = None if before is None else happen(system, before, path[-1])
    match outcome:
        case Happened(after):
            key: Key = next(key for key in after.records if ref_of(key) == path[-1].ref)
            return after.records[key].state
        case Fault():
            return "internal error"
        case _:
            return ""
