"""The model phase: every situation that small numbers of people and records can come to, in the pure kernel.

What is true of the kernel here is true of the server, which asks the same kernel; that it does is for the
phases on a real database.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from avow.model.entity import Entity
from avow.model.system import System
from avow.model.types import Reference
from avow.prove.act import Path
from avow.prove.coverage import Coverage, Refused, Taken
from avow.prove.endings import never_ending, story_of, stuck_at
from avow.prove.explore.called import Called, called_in
from avow.prove.explore.compose import Alone, Seed, alone_of, composed, in_part, ways_of
from avow.prove.explore.contradictions import Wrong, contradictions
from avow.prove.explore.inputs import Learned
from avow.prove.explore.kinds import Kind, kind_of_record
from avow.prove.explore.path import end_of, faults_at_end, shorter, without_needless
from avow.prove.explore.possible import Scope
from avow.prove.explore.refusals import refused_in
from avow.prove.explore.search import Found, Search, Trouble, components, goals_of, why_refused
from avow.prove.explore.situation import Fault, Happened, Refusal, Situation, happen, ref_of
from avow.prove.finding import Finding, PhaseReport
from avow.prove.patience import interrupted_at_once
from avow.prove.phase import Bench, Budget
from avow.prove.promises import Broken, broken_promises
from avow.prove.reach import alone, but_sampled, not_tried, tallies
from avow.prove.schedule import Schedule
from avow.prove.story import permitted_by

NAME: Final = "model"
ALONE: Final = 0.3
"""The share of worlds with one record of each: with what is found there, the others begin."""
SEARCHING: Final = 0.9
"""The share of all searches; with the rest it is looked at whether what they have come to can end."""
CALLS_MAX: Final = 40
"""How many looks of records that wait for a call are kept, of each entity by turns the nearest ones."""
TURN: Final = 500
"""How many acts a search tries before it is another one's turn."""


class Model:
    """Explores the pure model, and leaves its paths to the other phases."""

    name, share, quick = NAME, 3.0, True

    async def run(self, bench: Bench, budget: Budget) -> PhaseReport:
        """Search one scope after the other, the smallest first, as far as the budget goes."""
        with interrupted_at_once():
            searches = searched(bench, budget)
            bench.coverage = coverage_of(bench.system, searches)
            bench.unfit += list(_never_made(bench.system, searches, bench.coverage))
            findings = findings_of(bench.system, searches, budget)
            return PhaseReport(
                tuple(tallies(bench.system, searches, findings)),
                tuple(findings),
                (*not_tried(bench, searches), *alone(bench)),
            )

    async def replay(self, bench: Bench, schedule: Schedule) -> Finding | None:
        """Follow a path again: what breaks at its end."""
        system, path = bench.system, schedule.acts
        end = end_of(system, path)
        for wrong in _wrongs_at_end(system, path):
            return _of_wrong(system, path, wrong)
        if end is not None:
            for broken in broken_promises(system, end.records, end.performers, end.now):
                return _of_broken(system, path, broken)
            return stuck_at(system, path, end)
        if path and (refused := _refused_at_end(system, path)):
            return _of_refused(system, path, refused)
        if path and faults_at_end(system, path):
            before = end_of(system, path[:-1]) or Situation()
            outcome = happen(system, before, path[-1])
            return _of_fault(system, path, str(outcome.fault)) if isinstance(outcome, Fault) else None
        return None


def searched(bench: Bench, budget: Budget) -> list[Found]:
    """What each search has come to. Some of the budget is left, for `findings_of`."""
    with budget.only(SEARCHING):
        return _searches(bench, budget)


def findings_of(system: System, searches: list[Found], budget: Budget) -> list[Finding]:
    """What breaks in what the searches have come to, and what can't end there."""
    return [*_findings(system, searches), *never_ending(system, searches, budget)]


def _never_made(system: System, searches: list[Found], coverage: Coverage) -> Iterator[str]:
    """The entities of which there was no record, with what whoever tried to make one was told."""
    made = {entity for entity, _ in coverage.states}
    for name in (name for name in system.entities if name not in made):
        told = sorted(
            {
                f"{c} is refused with {code}"
                for f in searches
                for e, s, c, code in f.refused
                if (e, s) == (name, "")
            }
        )
        why = f" ({', '.join(told)})" if told else ""
        yield f"no {name} could be made{why}: nothing of it was tried"


def scopes_of(system: System) -> Iterator[Scope]:
    """What is searched, from small to large: entities that have to do with each other, together."""
    groups = components(system)
    for group in groups:
        yield Scope(system, group)
    for group in groups:
        if len(group) > 1:
            for entity in group:
                yield Scope(system, group, frozenset({entity}))
    for group in groups:
        yield Scope(system, group, frozenset(group))
    for group in groups:
        for entity in (name for name in group if _belongs(system.entities[name])):
            yield Scope(system, group, frozenset({entity}), more=2)
    for group in groups:
        yield Scope(system, group, frozenset(group), wide=True)


def _belongs(entity: Entity) -> bool:
    """Whether records of an entity belong to others, or may get in each other's way."""
    rules = (*entity.uniques, *entity.exclusions, *entity.quotas)
    return bool(rules) or any(isinstance(field.type, Reference) for field in entity.fields.values())


def _searches(bench: Bench, budget: Budget) -> list[Found]:
    """A search of each scope, in turns: at first of those with one record of each, then of all."""
    scopes = sorted(scopes_of(bench.system), key=lambda scope: not _touched(bench, scope))
    learned = Learned()
    alone = [Search(scope, learned=learned) for scope in scopes if not scope.several]
    with budget.only(ALONE):
        _take_turns(alone, budget)
    paths, taken = dict[Kind, Path](), dict[Taken, Path]()
    for one in alone:
        taken |= one.found.taken
        for kind, at in one.found.kinds.items():
            paths[kind] = one.found.path_to(at)
    known, ways = alone_of(bench.system, paths), ways_of(bench.system, taken)
    several = [
        Search(scope, _seeds(scope, known, ways), learned=learned) for scope in scopes if scope.several
    ]
    _take_turns([*alone, *several], budget)
    return [one.found for one in (*alone, *several)]


def _seeds(scope: Scope, known: Mapping[Kind, Alone], ways: Mapping[Taken, Alone]) -> Iterator[Seed]:
    """Paths that lead more than one record of the same entity to where one alone has come.

    In a wide scope first what leads one there, with more of everything.
    """
    if scope.wide:
        yield from in_part({at: way for at, way in ways.items() if at[0] in scope.entities})
    for entity in sorted(scope.several, key=[*scope.entities].index):
        yield from composed(scope.system, entity, known, ways, 1 + scope.more)


def _take_turns(searches: Iterable[Search], budget: Budget) -> None:
    """Go on with each search for a while, again and again, until all are done or the time is over."""
    left = [one for one in searches if not one.ended]
    while left and not budget.spent:
        for one in left:
            until = one.found.tried + TURN
            for tried in one.steps:
                budget.advance(tried)
                if one.found.tried >= until or budget.spent:
                    break
        left = [one for one in left if not one.ended]


def _touched(bench: Bench, scope: Scope) -> bool:
    """Whether a scope has anything of what a change has moved."""
    names = None if bench.touched is None else {name.split(".")[0] for name in bench.touched}
    return names is None or bool(names & {*scope.entities})


def coverage_of(system: System, searches: Iterable[Found]) -> Coverage:
    """The paths that searches have found, without what isn't needed, and what is refused where."""
    states, taken = dict[tuple[str, str], Path](), dict[tuple[str, str], Path]()
    refused = dict[tuple[str, str], dict[tuple[str, str], Refused]]()
    for one in searches:
        for at, node in one.states.items():
            path = one.path_to(node)
            if at not in states or len(path) < len(states[at]):
                states[at] = path
        for at, path in one.taken.items():
            if at not in taken or len(path) < len(taken[at]):
                taken[at] = path
        for (entity, state, command, code), refusal in one.refused.items():
            refused.setdefault((entity, state), {}).setdefault((command, code), refusal)
    states = {at: _shortest_to_state(system, at, path) for at, path in states.items()}
    taken = {at: _shortest_that_takes(system, at, path) for at, path in taken.items()}
    for at, path in states.items():
        for refusal in refused_in(system, at, path):
            refused.setdefault(at, {}).setdefault((refusal.act.command, refusal.code), refusal)
    found = Coverage(states, taken, {at: tuple(all_.values()) for at, all_ in refused.items()})
    return replace(
        found, missed=tuple(_missed(system, found)), ends=tuple(_ends(system, searches)),
        calls=tuple(_calls(system, searches)),
    )  # fmt: skip


def _ends(system: System, searches: Iterable[Found]) -> Iterator[Path]:
    """The shortest paths to records of each kind that have ended."""
    paths = dict[Kind, Path]()
    for found in searches:
        for kind, at in found.kinds.items():
            entity, state, _ = kind
            if system.entities[entity].states[state].final:
                path = found.path_to(at)
                paths[kind] = min(path, paths.get(kind, path), key=len)
    for kind, path in paths.items():
        yield without_needless(path, lambda candidate, kind=kind: _is_there(system, candidate, kind))


def _calls(system: System, searches: Iterable[Found]) -> Iterator[Path]:
    """Paths to records of each look that wait for a call: of these those whose numbers differ most."""
    most = dict[Called, tuple[int, Path]]()
    for found in searches:
        for look, (different, at) in found.called.items():
            path, (known, shortest) = found.path_to(at), most.get(look, (-1, ()))
            if different > known or (different == known and len(path) < len(shortest)):
                most[look] = different, path
    for look in _by_turns(sorted(most, key=lambda look: len(most[look][1])))[:CALLS_MAX]:
        different, path = most[look]
        yield without_needless(path, partial(_asks_so, system, look, different))


def _by_turns(looks: Iterable[Called]) -> list[Called]:
    """One look of each entity, then another one of each."""
    counts, places = Counter[str](), dict[Called, int]()
    for look in looks:
        places[look] = counts[look[0]]
        counts[look[0]] += 1
    return sorted(places, key=lambda look: places[look])


def _asks_so(system: System, look: Called, different: int, path: Path) -> bool:
    end = end_of(system, path)
    return end is not None and (look, different) in called_in(system, end)


def _is_there(system: System, path: Path, kind: Kind) -> bool:
    end = end_of(system, path)
    return end is not None and any(kind_of_record(system, r) == kind for r in end.records.values())


def _shortest_to_state(system: System, at: tuple[str, str], path: Path) -> Path:
    def there(candidate: Path) -> bool:
        end = end_of(system, candidate)
        return end is not None and any(
            key[0] == at[0] and record.state == at[1] for key, record in end.records.items()
        )

    return shorter(path, there)


def _shortest_that_takes(system: System, at: tuple[str, str], path: Path) -> Path:
    def takes(candidate: Path) -> bool:
        before = end_of(system, candidate[:-1]) if candidate else None
        outcome = None if before is None else happen(system, before, candidate[-1])
        return isinstance(outcome, Happened) and any(
            (entity, transition.name) == at for entity, transition in outcome.transitions
        )

    return shorter(path, takes, keep_last=True)


def _missed(system: System, found: Coverage) -> Iterator[tuple[str, str]]:
    for entity in system.entities.values():
        yield from ((entity.name, s) for s in entity.states if (entity.name, s) not in found.states)
        yield from ((entity.name, t) for t in entity.transitions if (entity.name, t) not in found.transitions)


def _findings(system: System, searches: list[Found]) -> Iterator[Finding]:
    for trouble in _troubles(searches):
        yield _of_trouble(system, trouble)
    yield from _unreached(system, searches)
    yield from _idle(system, searches)


def _troubles(searches: list[Found]) -> list[Trouble]:
    """Whatever is wrong, each once, after the shortest path that any search has to it."""
    shortest = dict[str, Trouble]()
    for found in searches:
        for name, trouble in found.troubles.items():
            if name not in shortest or len(trouble.path) < len(shortest[name].path):
                shortest[name] = trouble
    return list(shortest.values())


def _of_trouble(system: System, trouble: Trouble) -> Finding:
    if trouble.refused:

        def refuses(path: Path) -> bool:
            return bool(path) and _refused_at_end(system, path) == trouble.refused

        return _of_refused(system, shorter(trouble.path, refuses, keep_last=True), trouble.refused)
    if trouble.wrong is not None:
        name = trouble.wrong.promise

        def contradicts(path: Path) -> bool:
            return any(wrong.promise == name for wrong in _wrongs_at_end(system, path))

        path = shorter(trouble.path, contradicts, keep_last=True)
        return _of_wrong(system, path, next(w for w in _wrongs_at_end(system, path) if w.promise == name))
    if trouble.broken is None:

        def faults(path: Path) -> bool:
            return bool(path) and faults_at_end(system, path)

        return _of_fault(system, shorter(trouble.path, faults, keep_last=True), trouble.fault)
    promise = trouble.broken.promise

    def breaks(path: Path) -> bool:
        return _breaking(system, path, promise) is not None

    path = shorter(trouble.path, breaks)
    return _of_broken(system, path, _breaking(system, path, promise) or trouble.broken)


def _breaking(system: System, path: Path, promise: str) -> Broken | None:
    end = end_of(system, path)
    if end is None:
        return None
    broken = broken_promises(system, end.records, end.performers, end.now)
    return next((one for one in broken if one.promise == promise), None)


def _of_broken(system: System, path: Path, broken: Broken) -> Finding:
    story = story_of(system, path)
    end = end_of(system, path)
    last = f"The last step was allowed by {permitted_by(system, path[-1])}." if path else ""
    about = "" if end is None else _values(end, broken)
    return Finding(
        phase=NAME,
        promise=broken.promise,
        sentence=broken.sentence,
        place=broken.place,
        schedule=Schedule(path),
        story=story,
        why=" ".join(part for part in (about, last) if part),
    )


def _values(end: Situation, broken: Broken) -> str:
    """What the records that break it hold."""
    said = list[str]()
    for key in broken.records:
        record = end.records[key]
        fields = {name: value for name, value in record.values.items() if name in broken.rule}
        told = ", ".join(f"{name} = {_of_model(value)}" for name, value in fields.items())
        said.append(f"{ref_of(key)} is {record.state}{f', with {told}' if told else ''}")
    rule = f"`{broken.rule}` is false: " if broken.rule else ""
    return f"{rule}{'; '.join(said)}." if said else ""


def _of_model(value: object) -> str:
    return "nothing" if value is None else str(value)


def _of_fault(system: System, path: Path, fault: str) -> Finding:
    act = path[-1]
    transition = system.entities[act.entity].of_command(act.command)[0]
    return Finding(
        phase=NAME,
        promise=f"{act.entity}.{transition.name} runs",
        sentence=f"{act.entity}.{transition.name} ends in a mistake of the declaration's own: {fault}",
        place=transition.place,
        schedule=Schedule(path),
        story=story_of(system, path),
        why=f"Its caller would be answered with 500. The step is {permitted_by(system, act)}.",
    )


def _refused_at_end(system: System, path: Path) -> str:
    """Why the last act of a path is refused, if it is how a call has ended that is under way."""
    before, act = end_of(system, path[:-1]), path[-1]
    if act.kind != "outcome" or before is None:
        return ""
    effect = act.command.partition(".")[0]
    if not any(ref_of(key) == act.ref and name == effect for key, name in before.waiting):
        return ""
    outcome = happen(system, before, act)
    return why_refused(outcome.rejection) if isinstance(outcome, Refusal) else ""


def _wrongs_at_end(system: System, path: Path) -> list[Wrong]:
    """What the last act of a path contradicts."""
    before = end_of(system, path[:-1]) if path else None
    if before is None:
        return []
    return list(contradictions(system, path[-1], happen(system, before, path[-1])))


def _of_wrong(system: System, path: Path, wrong: Wrong) -> Finding:
    story = story_of(system, path)
    return Finding(NAME, wrong.promise, wrong.sentence, wrong.place, Schedule(path), story, wrong.why)


def _of_refused(system: System, path: Path, refused: str) -> Finding:
    act = path[-1]
    return Finding(
        phase=NAME,
        promise=f"{act.entity}.{act.command} is recorded",
        sentence=f"{act.ref} can't take in how its call has ended: {refused}",
        place=system.entities[act.entity].of_command(act.command)[0].place,
        schedule=Schedule(path),
        story=story_of(system, path),
        why="What was done outside is done: the call waits for a person, who can't have it recorded either.",
    )


def _unreached(system: System, searches: list[Found]) -> Iterator[Finding]:
    """Goals that nothing reached although everything was tried, once with several records at least."""
    for name, (goal, _) in goals_of(system):
        near = [found for found in searches if name.split(".")[0] in found.scope.entities]
        whole = [found for found in near if found.closed and _made(found, name)]
        if whole and not any(name in found.goals for found in near):
            yield Finding(
                phase=NAME,
                promise=name,
                sentence=goal.message,
                place=goal.place,
                schedule=Schedule(),
                story=(),
                why=f"Nothing came to it: every act was tried, with {whole[-1].scope}, and none led there"
                f"{but_sampled(whole[-1].scope)}.",
            )


def _idle(system: System, searches: list[Found]) -> Iterator[Finding]:
    """Quotas that limit nothing: what they are to weigh is never where they count it."""
    reached = {at for found in searches for at in found.states}
    counted = {name for found in searches for name in found.counted}
    for entity in system.entities.values():
        for quota in entity.quotas:
            name = f"{entity.name}.{quota.name}"
            aside = next((found for found in searches if name in found.aside), None)
            if aside is None or name in counted or {(entity.name, s) for s in quota.states} - reached:
                continue
            weighs = partial(_weighs, system, quota.weight or "", entity.name)
            path = shorter(aside.path_to(aside.aside[name]), lambda one, weighs=weighs: weighs(one) != "")
            where = " or ".join(quota.states)
            yield Finding(
                phase=NAME,
                promise=f"{name} counts",
                sentence=f"{name} limits nothing: no {entity.name} with {quota.weight} is ever {where}.",
                place=quota.place,
                schedule=Schedule(path),
                story=story_of(system, path),
                why=f"One is {weighs(path)}, which among= leaves out.",
            )


def _weighs(system: System, weight: str, entity: str, path: Path) -> str:
    """The state of a record that weighs something, after a path; empty where there is none."""
    end = end_of(system, path)
    own = () if end is None else (r for r in end.records.values() if r.entity == entity and r.values[weight])
    return next((record.state for record in own), "")


def _made(found: Found, goal: str) -> bool:
    """Whether there was any record of the goal's entity; where there was none, nothing is known of it."""
    return any(entity == goal.split(".")[0] for entity, _ in found.states)
