"""Coverage: what the model phase knows about a system, for those who drive the real one along it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from avow.prove.act import Act, Path

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
    ends:        to records that have ended, with each of the others that they may refer to, or without.
    """

    states: Mapping[InState, Path] = field(default_factory=dict[InState, Path])
    transitions: Mapping[Taken, Path] = field(default_factory=dict[Taken, Path])
    refused: Mapping[InState, tuple[Refused, ...]] = field(default_factory=dict[InState, tuple[Refused, ...]])
    missed: tuple[tuple[str, str], ...] = ()
    ends: tuple[Path, ...] = ()
