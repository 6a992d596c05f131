"""How far the model phase has come: what it has tried, how much of all there is, and what it left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from avow.model.system import System
from avow.prove.explore.possible import Scope, sampled_in
from avow.prove.explore.search import Found, goals_of
from avow.prove.finding import ALL, EXHAUSTED, Finding, Tally, sampled
from avow.prove.phase import Bench, Budget
from avow.prove.unpromised import unpromised

ALONE_S_MAX: Final = 2.0
"""How long it takes at most to look for guards that nothing promises."""
ALONE_MAX: Final = 6
SAMPLED_MAX: Final = 4
"""How many arguments are named of which only some values were tried."""


def tallies(system: System, searches: list[Found], findings: list[Finding]) -> Iterator[Tally]:
    """The rows of the table: acts in situations, and goals."""
    tried = sum(found.tried for found in searches)
    broke = sum(1 for finding in findings if finding.schedule.acts)
    whole = [found for found in searches if found.closed]
    if searches and len(whole) == len(searches) and not any(sampled_in(found.scope) for found in searches):
        reach = EXHAUSTED
    else:
        nodes = sum(len(found.nodes) for found in searches)
        reach = sampled(f"{len(whole)} of {len(searches)} worlds to their end, {nodes:,} situations")
    yield Tally("any act in any situation of the model", tried, tried - broke, broke, reach)
    yield from _goal_tally(system, searches, findings)


def but_sampled(scope: Scope) -> str:
    """What wasn't tried where every act was: other values than those at the boundaries."""
    names = sampled_in(scope)
    more = f" and {len(names) - SAMPLED_MAX} more" if len(names) > SAMPLED_MAX else ""
    return f"; of {', '.join(names[:SAMPLED_MAX])}{more} only values at the boundaries" if names else ""


def _goal_tally(system: System, searches: list[Found], findings: list[Finding]) -> Iterator[Tally]:
    goals = [name for name, _ in goals_of(system)]
    if goals:
        reached = len({name for found in searches for name in found.goals})
        never = sum(1 for finding in findings if not finding.schedule.acts)
        reach = ALL if reached + never == len(goals) else sampled("the rest wasn't met")
        yield Tally("goals that can be reached", reached + never, reached, never, reach)


def not_tried(bench: Bench, searches: list[Found]) -> Iterator[str]:
    """What was left out, one sentence each."""
    system = bench.system
    open_ = [str(found.scope) for found in searches if not found.closed]
    if open_:
        more = f", and {len(open_) - 1} more" if len(open_) > 1 else ""
        yield f"all of the model with {open_[0]}{more}: there was too much of it"
    reached = {name for found in searches for name in found.goals}
    for name, (goal, _) in goals_of(system):
        near = [found for found in searches if name.split(".")[0] in found.scope.entities]
        if name not in reached and not any(found.closed for found in near):
            yield f"whether {name} can be reached: nothing came to it ({goal.place})"
    missed = [".".join(one) for one in bench.coverage.missed]
    if missed:
        yield f"{len(missed)} states and transitions that nothing reached: {', '.join(missed[:8])}" + (
            ", ..." if len(missed) > 8 else ""
        )
    yield "more than three records of an entity, and inputs between the boundary values"
    yield "claims and delegations of tasks, and what a body makes of a record's version"


def alone(bench: Bench) -> Iterator[str]:
    """The guards of which no promise would tell that they are gone."""
    until = Budget(ALONE_S_MAX)
    guards = unpromised(bench.system, bench.coverage, lambda: not until.spent)
    if guards:
        more = f"; and {len(guards) - ALONE_MAX} more" if len(guards) > ALONE_MAX else ""
        yield (
            "whether the guards say what is meant, where no promise says it in other words. One that is "
            f"dropped or widened goes unnoticed: {'; '.join(guards[:ALONE_MAX])}{more}"
        )
