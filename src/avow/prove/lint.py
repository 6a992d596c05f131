"""The lint phase: what the declaration itself tells, without trying anything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from avow.declare.check import check_entities
from avow.model.entity import Entity
from avow.model.system import System
from avow.prove.finding import ALL, Finding, PhaseReport, Tally
from avow.prove.phase import Bench, Budget
from avow.prove.schedule import Schedule

NAME: Final = "lint"
NO_PROMISES: Final = "promises of your own: nothing is declared with `always`"
NO_GOALS: Final = "goals of your own: nothing is declared with `sometimes`"


class Lint:
    """Reads the declaration. Mistakes would have stopped it from being loaded; what is left are warnings."""

    name, share, quick = NAME, 0.0, True

    async def run(self, bench: Bench, budget: Budget) -> PhaseReport:
        """Every warning of the declaration, and what nothing can look into."""
        entities = bench.system.entities
        found = sorted(check_entities(entities, set()))
        words = sum(len(e.transitions) + len(e.states) + len(e.fields) for e in entities.values())
        budget.advance(words, 0)
        warnings = (f"{m.code}: {m.detail} ({m.file}:{m.line})" for m in found)
        tally = Tally("words of the declaration, read", words, words, 0, ALL)
        return PhaseReport((tally,), (), (*warnings, *_unseen(bench.system)))

    async def replay(self, bench: Bench, schedule: Schedule) -> Finding | None:
        """There is nothing to do again."""
        return None


def _unseen(system: System) -> Iterator[str]:
    """What nothing here would notice."""
    entities = system.entities.values()
    for entity in entities:
        yield from _left_to_people(entity)
    if not system.promises and not any(entity.promises for entity in entities):
        yield NO_PROMISES
    if not any(entity.goals for entity in entities):
        yield NO_GOALS


def _left_to_people(entity: Entity) -> Iterator[str]:
    """Calls whose unclear outcome a person has to settle: nothing is declared for it, and nobody can ask."""
    told = {str(t.trigger) for t in entity.transitions.values()}
    for effect in entity.effects.values():
        if effect.lookup is None and f"{effect.name}.unknown" not in told and not effect.keyed:
            what = f"an unclear outcome of {entity.name}'s {effect.name}"
            yield f"{what}: it can't be looked up, and waits for a person ({effect.place})"
