"""The search through the situations of a scope.

It goes on from what is least known: from situations with a record in a state that it has gone on from least
often, the nearest first. So it comes deep soon, and in the end has been everywhere.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, NamedTuple, TypeAlias

from avow.kernel.command import Key, Rejection
from avow.kernel.draft import Pool, RecordScope
from avow.model.expression import Meaning, meaning
from avow.model.promise import Sometimes
from avow.model.system import System
from avow.model.trigger import OnTime
from avow.model.types import Reference
from avow.prove.act import Act, Path, transitions_of
from avow.prove.coverage import InState, Refused, Taken
from avow.prove.explore.called import Called, called_in, can_be_done
from avow.prove.explore.compose import Seed, chained
from avow.prove.explore.contradictions import Wrong, contradictions
from avow.prove.explore.frontier import Frontier
from avow.prove.explore.inputs import Learned
from avow.prove.explore.kinds import Kind, Look, kind_of_record, look_of
from avow.prove.explore.left import Left, left_behind
from avow.prove.explore.makers import Makers
from avow.prove.explore.possible import Acts, Scope
from avow.prove.explore.shape import Shape, Shapes
from avow.prove.explore.situation import Fault, Happened, Outcome, Refusal, Situation, happen, ref_of
from avow.prove.explore.turns import Turns
from avow.prove.promises import Broken, broken_promises
from avow.prove.world import NOBODY, names_in

PORTION: Final = 32
"""How many acts are tried in a situation before it is another one's turn."""
DUE: Final = 4
"""In so many new situations times come that are due, for each situation that is gone on from."""
FLOWING: Final = 2
"""So many acts, for each situation that is gone on from, let calls end of records that look new."""
RARELY: Final = 8
"""How many, where all that is left is likely to come to what is known."""


class Node(NamedTuple):
    """A situation that was reached. before: from which one, by which act; None: the empty beginning."""

    situation: Situation
    order: tuple[Key, ...]
    before: tuple[int, Act] | None
    depth: int


class Edge(NamedTuple):
    """An act leads to a node, whose order of records is that of the situation that was really reached."""

    to: int
    order: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class _Sown:
    """Where an act of composed paths has led, None where it was refused; and those that have followed it."""

    at: int | None
    then: dict[Act, _Sown] = field(default_factory=dict["Act", "_Sown"])


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong after a path.

    broken: a promise that doesn't hold; fault: a mistake inside the body of the last act; refused: why the
    last act is refused, which is how a call has ended, so that it can't be. wrong: what it contradicts.
    """

    path: Path
    broken: Broken | None = None
    fault: str = ""
    refused: str = ""
    wrong: Wrong | None = None


RefusalIn: TypeAlias = tuple[str, str, str, str]
"""The entity, its state (empty: a creation), the command, and the code of a refusal."""


@dataclass(slots=True)
class Found:
    """Everything that a search has come across.

    tried: how many acts. closed: every act in every situation of the scope was tried, with every input.
    counted, aside: the quotas that have weighed something, and by which node something they don't count.
    states, kinds, taken: the node, or the node and act, by which each was first reached.
    called: for each look of a record that waits for a call, how many numbers differ at most, and where.
    rounds: records that have come by themselves to where they were; barred: whose time has come and was
            refused; still: that nothing has moved in a node; the first ones, by entity and state.
    left:   records that one which has ended leaves behind, the first ones.
    """

    scope: Scope
    nodes: list[Node] = field(default_factory=list[Node])
    edges: dict[int, list[Edge]] = field(default_factory=dict[int, list[Edge]])
    expanded: int = 0
    tried: int = 0
    accepted: int = 0
    closed: bool = False
    states: dict[InState, int] = field(default_factory=dict[InState, int])
    kinds: dict[Kind, int] = field(default_factory=dict[Kind, int])
    called: dict[Called, tuple[int, int]] = field(default_factory=dict[Called, tuple[int, int]])
    taken: dict[Taken, Path] = field(default_factory=dict[Taken, Path])
    refused: dict[RefusalIn, Refused] = field(default_factory=dict[RefusalIn, Refused])
    goals: dict[str, int] = field(default_factory=dict[str, int])
    counted: set[str] = field(default_factory=set[str])
    aside: dict[str, int] = field(default_factory=dict[str, int])
    troubles: dict[str, Trouble] = field(default_factory=dict[str, Trouble])
    rounds: dict[InState, tuple[int, Key]] = field(default_factory=dict[InState, tuple[int, Key]])
    barred: dict[InState, tuple[int, Key]] = field(default_factory=dict[InState, tuple[int, Key]])
    still: dict[InState, list[tuple[int, Key]]] = field(default_factory=dict[InState, list[tuple[int, Key]]])
    left: dict[Left, tuple[int, Key]] = field(default_factory=dict[Left, tuple[int, Key]])

    def path_to(self, node: int) -> Path:
        """The acts that lead to a node."""
        acts = list[Act]()
        while (before := self.nodes[node].before) is not None:
            node = before[0]
            acts.append(before[1])
        return tuple(reversed(acts))


Going: TypeAlias = Callable[[int], bool]
"""Told how many acts were tried since it was last asked; whether to go on."""


def search(scope: Scope, going: Going, beginning: Situation | None = None) -> Found:
    """Try every act in every situation, the nearest first, until all are done or it isn't to go on."""
    under_way = Search(scope, beginning=beginning)
    for tried in under_way.steps:
        if not going(tried):
            break
    return under_way.found


class Search:
    """One search under way. steps: goes on with it; after each step so many more acts were tried.

    seeds: paths to try beside what the search comes to by itself, each of them until one is accepted to its
    end. learned: what other searches know.
    """

    def __init__(
        self, scope: Scope, seeds: Iterable[Sequence[Path]] = (), beginning: Situation | None = None,
        learned: Learned | None = None,
    ) -> None:  # fmt: skip
        self.scope, self.system = scope, scope.system
        self.found, self.frontier = Found(scope), Frontier(scope.system, scope.entities)
        self.acts, self.shapes = Acts(scope, learned), Shapes(scope.system)
        self.makers = Makers(self.acts)
        self.known: dict[Hashable, int] = {}
        self.goals = {
            name: goal for name, goal in goals_of(self.system) if name.split(".")[0] in scope.entities
        }
        self.ended = False
        self._left: dict[int, Turns] = {}
        self._moved: dict[int, set[Key]] = {}
        self._sown: dict[Act, _Sown] = {}
        self._chains = deque[Seed]()
        self._due = list[int]()
        self._calling, self._ended = list[tuple[int, Key]](), set[Look]()
        self.steps = self._run(beginning or Situation(), iter(seeds))

    def _run(self, beginning: Situation, seeds: Iterator[Sequence[Path]]) -> Iterator[int]:
        self._enter(self.shapes.shape_of(beginning), beginning, None, 0)
        while (at := self.frontier.take()) is not None:
            yield (tried := self._expand(at) + self._let_come() + self._let_end() + self._make())
            while tried > 0 and (seed := self._next(seeds)) is not None:
                yield (sown := self._sow(seed))
                tried -= 1 + sown
        self.ended, self.found.closed = True, not self.acts.cut

    def _expand(self, at: int) -> int:
        """Try some acts in a situation that weren't tried there yet; how many."""
        situation, tried = self.found.nodes[at].situation, 0
        left = self._left.pop(at, None) or self.acts.possible(situation, at)
        was_tired = left.tired
        for act in islice(left, RARELY if was_tired else PORTION):
            self._try(at, act, left)
            tried += 1
            if left.tired and not was_tired:
                break
        if left.tired and not was_tired:
            self._note_still(at)
        if left.over:
            self.found.expanded += 1
            self.frontier.done(at)
        else:
            self._left[at] = left
            self.frontier.again(at, situation, was_tired or left.tired)
        return tried

    def _let_come(self) -> int:
        """Let times come that are due in new situations: nothing else happens there first; how many acts."""
        tried = 0
        for at in self._due[:DUE]:
            situation = self.found.nodes[at].situation
            for (key, name), wait in situation.waiting.items():
                if not wait.destination and wait.due <= situation.now:
                    command = self.system.entities[key[0]].transitions[name].command
                    self._try(at, Act("time", key[0], command, ref_of(key).ordinal), Turns((), {}))
                    tried += 1
        del self._due[:DUE]
        return tried

    def _let_end(self) -> int:
        """Let calls end, well and badly, of records that look like none before: so each way that records may
        go is followed to its end, whatever else there is to do; how many acts.
        """
        tried = 0
        while self._calling and tried < FLOWING:
            at, key = self._calling.pop()
            record = self.found.nodes[at].situation.records[key]
            for act in self.acts.endings(self.found.nodes[at].situation, key, record):
                self._try(at, act, Turns((), {}))
                tried += 1
        return tried

    def _make(self) -> int:
        """Make something with other values than before, where there are too many of them; how many acts."""
        act = self.makers.take()
        if act is None:
            return 0
        self._try(*act, Turns((), {}))
        return 1

    def _note_calling(self, situation: Situation, at: int) -> None:
        for key, _ in situation.waiting:
            look = look_of(self.system, situation.records[key])
            if self.system.entities[key[0]].states[look[0][1]].invoke and look not in self._ended:
                self._ended.add(look)
                self._calling.append((at, key))

    def _note_still(self, at: int) -> None:
        """Take note of what nothing has moved here, now that nothing else is likely to."""
        moved = self._moved.pop(at, set[Key]())
        for key, record in self.found.nodes[at].situation.records.items():
            if key not in moved and not self.system.entities[key[0]].states[record.state].final:
                self.found.still.setdefault((key[0], record.state), []).append((at, key))

    def _note_round(self, at: int, act: Act, known: int) -> None:
        """Take note of a record that goes round: from a node by itself, and by itself back to it."""
        walked = self.found.nodes[at], act
        if at == known:
            return  # it stays where it is
        while comes_by_itself(self.system, walked[1]) and walked[1].ref == act.ref:
            if at == known:
                key = next(k for k in walked[0].situation.records if ref_of(k) == act.ref)
                state = walked[0].situation.records[key].state
                self.found.rounds.setdefault((act.entity, state), (at, key))
                return
            if walked[0].before is None:
                return
            at, before = walked[0].before
            walked = self.found.nodes[at], before

    def _next(self, seeds: Iterator[Sequence[Path]]) -> Sequence[Path] | None:
        return self._chains.popleft() if self._chains else next(seeds, None)

    def _sow(self, paths: Iterable[Path]) -> int:
        """Follow paths from the beginning until one is accepted to its end; how many acts were tried."""
        tried = 0
        for path in paths:
            now, ended = self._sow_one(path)
            tried += now
            if ended:
                break
        return tried

    def _sow_one(self, path: Path) -> tuple[int, bool]:
        """Follow a path up to what is refused; how many acts were tried that weren't on an earlier one, and
        whether nothing was refused.
        """
        at, tried, sown = 0, 0, self._sown
        for act in path:
            known = sown.get(act)
            if known is None:
                tried += 1
                known = sown[act] = _Sown(self._follow(at, act))
            if known.at is None:
                return tried, False
            at, sown = known.at, known.then
        return tried, True

    def _follow(self, at: int, act: Act) -> int | None:
        """The node for exactly what an act leads to; None where it is refused."""
        self.found.tried += 1
        outcome = happen(self.system, self.found.nodes[at].situation, act)
        self._look_for_wrongs(at, act, outcome)
        if not isinstance(outcome, Happened):
            return None
        return self._same(at, act, outcome.after, self._accept(at, act, outcome))

    def _same(self, before: int, act: Act, situation: Situation, at: int) -> int:
        """A node for exactly this situation, where the known one is the same but for names."""
        found = self.found
        if found.nodes[at].situation.records == situation.records:
            return at
        order = self.shapes.shape_of(situation).order
        found.nodes.append(Node(situation, order, (before, act), found.nodes[before].depth + 1))
        found.edges[len(found.nodes) - 1] = [Edge(at, order)]
        return len(found.nodes) - 1

    def _try(self, at: int, act: Act, turns: Turns) -> None:
        """Try one act, and tell what has come of it: equal for what is alike."""
        self.found.tried += 1
        outcome = happen(self.system, self.found.nodes[at].situation, act)
        self._look_for_wrongs(at, act, outcome)
        match outcome:
            case Happened():
                turns.told(self.frontier.class_of(self._accept(at, act, outcome)), refused=False)
            case Refusal(rejection):
                self._refuse(at, act, rejection)
                rule = rejection.extra.get("rule", "")
                if self.acts.miss(act, rejection.code):
                    turns.told(object(), refused=False)
                else:
                    turns.told((rejection.code, rule, rejection.detail), refused=True)
            case Fault(fault):
                self._blame(at, act, str(fault))
                turns.told(str(fault), refused=True)

    def _look_for_wrongs(self, at: int, act: Act, outcome: Outcome) -> None:
        for wrong in contradictions(self.system, act, outcome):
            if self._is_nearer(wrong.promise, self.found.nodes[at].depth + 1):
                self.found.troubles[wrong.promise] = Trouble((*self.found.path_to(at), act), wrong=wrong)

    def _is_nearer(self, name: str, depth: int) -> bool:
        """Whether a trouble comes after fewer acts than where it was seen before, if it was."""
        known = self.found.troubles.get(name)
        return known is None or depth < len(known.path)

    def _accept(self, at: int, act: Act, happened: Happened) -> int:
        found, node = self.found, self.found.nodes[at]
        found.accepted += 1
        self.acts.learn(act)
        self.makers.learn(act, at, node.situation)
        path: Path | None = None
        for entity, transition in happened.transitions:
            if (entity, transition.name) not in found.taken:
                path = path or (*found.path_to(at), act)
                found.taken[entity, transition.name] = path
                self.frontier.aims.reached((entity, transition.name))
                if entity in self.scope.several:
                    self._chains.extend(chained(self.system, (entity, transition.name), path))
        self._moved.setdefault(at, set()).update(
            [s.after.key for s in happened.steps if s.before is None or s.before.state != s.after.state]
        )
        shape = self.shapes.shape_of(happened.after)
        known = self.known.get(shape.key)
        if known is None:
            known = self._enter(shape, happened.after, (at, act), node.depth + 1)
            for left, key in left_behind(self.system, happened):
                found.left.setdefault(left, (known, key))
        else:
            self._note_round(at, act, known)
        found.edges.setdefault(at, []).append(Edge(known, shape.order))
        return known

    def _enter(self, shape: Shape, situation: Situation, before: tuple[int, Act] | None, depth: int) -> int:
        """A situation that wasn't known: look at all that is to be true of it."""
        found = self.found
        at = self.known[shape.key] = len(found.nodes)
        found.nodes.append(Node(situation, shape.order, before, depth))
        self.frontier.put(at, situation)
        if any(wait.due <= situation.now for wait in situation.waiting.values()):
            self._due.append(at)
        self._note_calling(situation, at)
        for key, record in situation.records.items():
            found.states.setdefault((key[0], record.state), at)
            found.kinds.setdefault(kind_of_record(self.system, record), at)
        if before is None or before[1].kind != "outcome":  # what comes of a call comes of it again
            self._note_called(situation, at)
        for broken in broken_promises(self.system, situation.records, situation.performers, situation.now):
            if self._is_nearer(broken.promise, depth):
                found.troubles[broken.promise] = Trouble(found.path_to(at), broken)
        self._look_for_goals(situation, at)
        self._note_weighed(situation, at)
        return at

    def _note_called(self, situation: Situation, at: int) -> None:
        called = self.found.called
        for look, different in called_in(self.system, situation):
            better = look not in called or different > called[look][0]
            if better and all(map(can_be_done, self.found.path_to(at))):
                called[look] = different, at

    def _note_weighed(self, situation: Situation, at: int) -> None:
        for record in situation.records.values():
            for quota in self.system.entities[record.entity].quotas:
                name = f"{record.entity}.{quota.name}"
                if quota.weight is None or name in self.found.counted or not record.values[quota.weight]:
                    continue
                if record.state in quota.states:
                    self.found.counted.add(name)
                else:
                    self.found.aside.setdefault(name, at)

    def _look_for_goals(self, situation: Situation, at: int) -> None:
        if not self.goals:
            return
        pool = Pool(self.system, NOBODY, situation.now, dict(situation.records), {})
        for name, (_, holds) in list(self.goals.items()):
            entity = name.split(".")[0]
            records = (r for r in situation.records.values() if r.entity == entity)
            if any(holds(RecordScope(pool, record)) is True for record in records):
                self.found.goals[name] = at
                self.frontier.aims.reached((entity, name.split(".")[1]))
                del self.goals[name]

    def _refuse(self, at: int, act: Act, rejection: Rejection) -> None:
        found, situation = self.found, self.found.nodes[at].situation
        state = next((r.state for k, r in situation.records.items() if _is_about(k, act)), "")
        key = (act.entity, state, act.command, rejection.code)
        if key not in found.refused:
            found.refused[key] = Refused(act, rejection.code, found.path_to(at))
        if comes_by_itself(self.system, act) and rejection.code != "guard-failed":
            record = next(k for k in situation.records if _is_about(k, act))
            found.barred.setdefault((act.entity, state), (at, record))
        if act.kind == "outcome":
            name = f"{act.entity}.{act.command} is recorded"
            if name not in found.troubles:
                found.troubles[name] = Trouble((*found.path_to(at), act), refused=why_refused(rejection))

    def _blame(self, at: int, act: Act, fault: str) -> None:
        name = f"{act.entity}.{act.command}: {fault}"
        if name not in self.found.troubles:
            self.found.troubles[name] = Trouble((*self.found.path_to(at), act), fault=fault)


def comes_by_itself(system: System, act: Act) -> bool:
    """Whether nobody has to do anything for it: how a call has ended, or a time, but not again and again."""
    triggers = [t.trigger for t in transitions_of(system, act)]
    return act.kind == "outcome" or any(isinstance(t, OnTime) and not t.again for t in triggers)


def why_refused(rejection: Rejection) -> str:
    """Why something is refused, in the words of the declaration where it has any."""
    return rejection.detail or rejection.code


def _is_about(key: Key, act: Act) -> bool:
    return key[0] == act.entity and key[1].int & 0xFFFF_FFFF == act.record


def goals_of(system: System) -> Iterator[tuple[str, tuple[Sometimes, Meaning]]]:
    """Every goal of a system with its condition as the function that it means, by name."""
    for entity in system.entities.values():
        for goal in entity.goals:
            yield f"{entity.name}.{goal.name}", (goal, meaning(goal.condition))


def components(system: System) -> list[tuple[str, ...]]:
    """The entities of a system in groups that have nothing to do with each other, in declared order."""
    return [tuple(n for n in system.entities if n in group) for group in _grouped(system)]


def _grouped(system: System) -> list[set[str]]:
    groups = [{name} for name in system.entities]
    for joined in _joined(system):
        touched = [group for group in groups if group & joined]
        groups = [group for group in groups if not group & joined]
        groups.append(set[str]().union(*touched))
    order = list(system.entities)
    return sorted(groups, key=lambda group: min(map(order.index, group)))


def _joined(system: System) -> Iterator[set[str]]:
    """Sets of entities that a reference or a promise joins."""
    for name, entity in system.entities.items():
        types = [f.type for f in entity.fields.values()]
        types += [p.type for t in entity.transitions.values() for p in t.parameters]
        yield {name, *(kind.entity for kind in types if isinstance(kind, Reference))}
    for promise in system.promises:
        spoken = names_in(promise.holds) & system.entities.keys()
        if spoken:
            yield set(spoken)
