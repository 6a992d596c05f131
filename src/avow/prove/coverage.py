"""Coverage: what the model phase knows about a system, for those who drive the real one along it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from avow.model.system import System
from avow.prove.act import Act, Path, act_from, act_json

InState: TypeAlias = tuple[str, str]
"""An entity's name and one of its states."""
Taken: TypeAlias = tuple[str, str]
"""An entity's name and one of its transitions."""


@dataclass(frozen=True, slots=True)
class Refused:
    """One act that is refused after a path, and with which code.

    path: None: the one that Coverage has to that state.
    """

    act: Act
    code: str
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class Coverage:
    """Paths through the model, each as short as any that was found.

    states:      to each reachable state of each entity.
    transitions: one that takes each transition with its last act.
    refused:     for each state what is refused there: every command from which it isn't declared, and every
                 refusal by policy, guard or invariant that was met there.
    missed:      states and transitions that nothing reached.
    calls:       to records that wait for a call, by which of the fields that it names are there.
    ends:        to records that have ended, with each of the others that they may refer to, or without.
    """

    states: Mapping[InState, Path] = field(default_factory=dict[InState, Path])
    transitions: Mapping[Taken, Path] = field(default_factory=dict[Taken, Path])
    refused: Mapping[InState, tuple[Refused, ...]] = field(default_factory=dict[InState, tuple[Refused, ...]])
    missed: tuple[tuple[str, str], ...] = ()
    ends: tuple[Path, ...] = ()
    calls: tuple[Path, ...] = ()


def coverage_json(system: System, coverage: Coverage) -> dict[str, Any]:
    """A coverage as JSON, for another process."""

    def path(acts: Path) -> list[Any]:
        return [act_json(system, act) for act in acts]

    def refused(one: Refused) -> list[Any]:
        return [act_json(system, one.act), one.code, None if one.path is None else path(one.path)]

    return {
        "states": [[*at, path(acts)] for at, acts in coverage.states.items()],
        "transitions": [[*at, path(acts)] for at, acts in coverage.transitions.items()],
        "refused": [[*at, [refused(one) for one in all_]] for at, all_ in coverage.refused.items()],
        "missed": [list(one) for one in coverage.missed],
        "ends": [path(acts) for acts in coverage.ends],
        "calls": [path(acts) for acts in coverage.calls],
    }


def coverage_from(system: System, raw: Mapping[str, Any]) -> Coverage:
    """The coverage that some JSON says."""

    def path(acts: list[Any]) -> Path:
        return tuple(act_from(system, act) for act in acts)

    def refused(act: Any, code: str, acts: list[Any] | None) -> Refused:
        return Refused(act_from(system, act), code, None if acts is None else path(acts))

    return Coverage(
        {(entity, state): path(acts) for entity, state, acts in raw["states"]},
        {(entity, name): path(acts) for entity, name, acts in raw["transitions"]},
        {(entity, state): tuple(refused(*one) for one in all_) for entity, state, all_ in raw["refused"]},
        tuple((entity, name) for entity, name in raw["missed"]),
        tuple(path(acts) for acts in raw["ends"]),
        tuple(path(acts) for acts in raw["calls"]),
    )
