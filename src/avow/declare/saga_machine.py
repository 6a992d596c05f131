"""What a saga stands for: a state for each set of calls that may be under way, and transitions between them.

Of each stage (one step, or several at once) and each set of its calls that is still open there are two
states: one that goes forward, and one that withdraws, in which what has begun is waited for and nothing else
is begun. For each step that is undone there is one more. The key under which a step was done is kept in a
field: so whether it has to be undone is never guessed, and the undoing is told which call it undoes.
"""

from __future__ import annotations

import typing
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, TypeAlias

from avow.declare import surface as word
from avow.declare.effect import EffectWord, OutcomeWord
from avow.declare.expression import Condition, Formula, Policy, node_of
from avow.declare.rewriting import all_of, assigned, otherwise
from avow.model import expression as ast
from avow.model.expression import Expression
from avow.model.place import Place

CANCEL = "cancel"
"""The command that gives a saga up."""
CANCELLED = "cancelled"
"""The reason of a saga that was given up."""
EXPIRED = "expired"
"""The reason of a saga whose time was over."""


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """A step that is known to make sense. undo: None where nothing is to be undone."""

    effect: EffectWord
    undo: EffectWord | None
    when: Condition | None
    sets: Mapping[Any, Any]
    place: Place
    reveals: tuple[Any, ...] = ()

    @property
    def name(self) -> str:
        return self.effect.name


Stage: TypeAlias = tuple[Task, ...]
"""Steps that are under way at once."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A saga as it was declared. pivot: the stage after which there is no way back; None: there always is."""

    stages: tuple[Stage, ...]
    pivot: int | None
    start: word.State
    done: word.State
    failed: word.State
    cancel: Condition | None
    until: Any
    reason: Any

    @property
    def may_stop(self) -> bool:
        """Whether it may be given up though nothing has failed."""
        return self.cancel is not None or self.until is not None

    @property
    def last_open(self) -> int:
        """The last stage that may fail."""
        return len(self.stages) - 1 if self.pivot is None else self.pivot


def undone_by(plan: Plan) -> dict[str, Task]:
    """The steps that may have to be undone, by name."""
    found = dict[str, Task]()
    for index, stage in enumerate(plan.stages[: plan.last_open + 1]):
        late = plan.may_stop and index != plan.pivot
        if index < plan.last_open or len(stage) > 1 or late:
            found |= {task.name: task for task in stage if task.undo is not None}
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Edge:
    """One way from one state to another: by an outcome, by a time, or else by a cancel."""

    name: str
    source: word.State
    target: word.State
    on: OutcomeWord | None
    when: Expression | None
    sets: Mapping[Any, Any]
    place: Place
    at: Any = None

    @property
    def asked(self) -> bool:
        return self.on is None and self.at is None


@dataclass(frozen=True, slots=True)
class Way:
    """Where a saga goes on. skipped: the steps that are left out on the way."""

    target: word.State
    when: tuple[Expression, ...] = ()
    skipped: tuple[Task, ...] = ()


class Machine:
    """The states of one saga, made at once, and the transitions between them, made when types are known."""

    def __init__(self, plan: Plan, place: Place) -> None:
        self.plan, self.place = plan, place
        self._undone = undone_by(plan)
        self.keys = {f"{name}_key": task for name, task in self._undone.items()}
        self.states: dict[str, word.State] = {}
        self._terms: dict[str, word.FieldTerm] = {}
        self._optional: set[str] = set()
        plan.start.invoke = tuple(task.effect for task in plan.stages[0])
        plan.start.reveals = _revealed(plan.stages[0])
        for index, stage in enumerate(plan.stages):
            for open_ in _subsets(stage):
                if index or len(open_) < len(stage):
                    self._state("", open_, owed=self._owed(index))
                whole = len(open_) == len(stage)
                if not self._owed(index) and (plan.may_stop or not whole):
                    self._state("cancel_", open_, withdraw=True)
        for task in self._undone.values():
            self._state("undo_", (task,), owed=True)

    def _owed(self, index: int) -> bool:
        return index > self.plan.last_open

    def _state(self, prefix: str, open_: Stage, **how: Any) -> None:
        effects = [task.undo if prefix == "undo_" else task.effect for task in open_]
        invoke = [effect for effect in effects if effect is not None]
        state = word.State(invoke=invoke, reveals=_revealed(open_), **how)
        state.name, state.place = prefix + "_and_".join(task.name for task in open_), open_[0].place
        self.states[state.name] = state

    def words(self, annotations: Mapping[str, Any]) -> dict[str, Any]:
        """Every word by name. annotations: of the entity's own fields."""
        self._terms = {task.name: _key(name, task.place) for name, task in self.keys.items()}
        for name, task in self._undone.items():
            self.states[f"undo_{name}"].undoes = self._terms[task.name]
        terms = {term.avow_word.name: term for term in self._terms.values()}
        self._optional = {name for name, hint in annotations.items() if _may_be_none(hint)}
        return {**terms, **self.states, **self._transitions()}

    def _transitions(self) -> dict[str, word.Transition]:
        """Every edge under its name; several ways of one outcome are told apart by where they lead."""
        edges = list(self._edges())
        alike, found = Counter(edge.name for edge in edges), dict[str, word.Transition]()
        for edge in edges:
            name = edge.name if alike[edge.name] == 1 else f"{edge.name}_to_{edge.target.name}"
            found[name] = made = word.Transition(
                (edge.source,), edge.target, self.plan.cancel if edge.asked else None, on=edge.on, at=edge.at,
                when=None if edge.when is None else Policy(edge.when), sets=edge.sets,
                command=CANCEL if edge.asked else None,
            )  # fmt: skip
            made.name, made.place = name, edge.place
        return found

    def _edges(self) -> Iterator[Edge]:
        for index, stage in enumerate(self.plan.stages):
            for open_ in _subsets(stage):
                yield from self._forward(index, open_)
                if (state := self._withdrawing(open_)) is not None:
                    yield from self._late(index, open_, state)
        for index, stage in enumerate(self.plan.stages):
            for place, task in enumerate(stage):
                if task.undo is not None and task.name in self._undone:
                    ways = self._back(index, stage[:place], sure=False)
                    sets = {self._terms[task.name]: None}
                    state = self.states[f"undo_{task.name}"]
                    yield from self._all(f"undo_{task.name}_done", state, ways, task.undo.done, sets, task)

    def _at(self, index: int, open_: Stage) -> word.State:
        """The state in which these calls of a stage are under way."""
        if index == 0 and len(open_) == len(self.plan.stages[0]):
            return self.plan.start
        return self.states["_and_".join(task.name for task in open_)]

    def _withdrawing(self, open_: Stage) -> word.State | None:
        return self.states.get("cancel_" + "_and_".join(task.name for task in open_))

    def _forward(self, index: int, open_: Stage) -> Iterator[Edge]:
        """What happens while nothing has gone wrong."""
        state = self._at(index, open_)
        for task in open_:
            rest, others = _without(open_, task), self._others(index, task)
            ways = [Way(self._at(index, rest))] if rest else list(self._onward(index + 1))
            yield from self._all(f"{task.name}_done", state, ways, task.effect.done, self._made(task), task)
            if self._owed(index):
                continue
            sets = {**self._unmade(task), **self._because(ast.Argument("code"))}
            waiting = self._withdrawing(rest)
            ways = [Way(waiting)] if waiting is not None else list(self._back(index, others, sure=True))
            yield from self._all(f"{task.name}_failed", state, ways, task.effect.failed, sets, task)
        withdrawing = self._withdrawing(open_)
        if withdrawing is not None:
            yield from self._given_up(index, state, withdrawing)

    def _given_up(self, index: int, state: word.State, withdrawing: word.State) -> Iterator[Edge]:
        """What happens when somebody gives it up, or its time is over."""
        plan = self.plan
        stops = [(plan.cancel, None, CANCELLED), (plan.until, plan.until, EXPIRED)]
        for given, at, why in stops:
            if given is not None:
                # Until the pivot has failed nobody knows whether it comes to that.
                sets = self._because(ast.Const(why)) if index != plan.pivot else {}
                yield Edge(f"{state.name}_{why}", state, withdrawing, None, None, sets, self.place, at)

    def _late(self, index: int, open_: Stage, state: word.State) -> Iterator[Edge]:
        """What happens after something has gone wrong, while calls are still under way."""
        for task in open_:
            rest, others = _without(open_, task), self._others(index, task)
            waiting = self._withdrawing(rest)
            if waiting is not None:
                done = failed = [Way(waiting)]
            else:
                failed = list(self._back(index, others, sure=False))
                done = list(self._back(index, self.plan.stages[index], sure=False, just=task))
                done = list(self._onward(index + 1)) if index == self.plan.pivot else done
            yield from self._all(
                f"{task.name}_done_late", state, done, task.effect.done, self._made(task), task
            )
            sets = self._unmade(task)
            sets |= self._because(ast.Argument("code")) if index == self.plan.pivot else {}
            yield from self._all(f"{task.name}_not_done", state, failed, task.effect.failed, sets, task)

    def _all(
        self, name: str, source: word.State, ways: Iterable[Way], on: OutcomeWord, sets: Mapping[Any, Any],
        task: Task,
    ) -> Iterator[Edge]:  # fmt: skip
        """An edge for each of the ways that an outcome may lead."""
        values = {term.avow_node: node_of(value) for term, value in sets.items()}
        for way in ways:
            when = assigned(all_of(way.when), values) if way.when else None
            skipped = {self._terms[t.name]: None for t in way.skipped if t.name in self._terms}
            yield Edge(name, source, way.target, on, when, {**sets, **skipped}, task.place)

    def _onward(self, index: int) -> Iterator[Way]:
        """Where a saga goes on with a stage: with those of its steps that are needed, if any is."""
        if index == len(self.plan.stages):
            yield Way(self.plan.done)
            return
        stage = self.plan.stages[index]
        for chosen in _subsets(stage):
            left_out = tuple(task for task in stage if task not in chosen)
            if all(task.when is not None for task in left_out):
                yield Way(self._at(index, chosen), self._choice(chosen, left_out), left_out)
        if all(task.when is not None for task in stage):
            when = self._choice((), stage)
            for way in self._onward(index + 1):
                yield replace(way, when=when + way.when, skipped=stage + way.skipped)

    def _choice(self, chosen: Stage, left_out: Stage) -> tuple[Expression, ...]:
        needed = [node_of(task.when) for task in chosen if task.when is not None]
        return (*needed, *(otherwise(node_of(task.when), self._may_miss) for task in left_out))

    def _may_miss(self, node: Expression) -> bool:
        if not isinstance(node, ast.FieldOf):
            return True
        name = getattr(getattr(node.path[0], "word", None), "name", None)
        return len(node.path) > 1 or name in self._optional

    def _others(self, index: int, task: Task) -> Stage:
        return _without(self.plan.stages[index], task)

    def _back(self, index: int, own: Stage, sure: bool, just: Task | None = None) -> Iterator[Way]:
        """Where a saga goes back: to the undoing of what was done last, or to its end.

        own: steps of this stage that may have been done; sure: those without `when` have been.
        just: one of them, that was done just now.
        """
        made = [(task, task is just or (sure and task.when is None)) for task in reversed(own)]
        earlier = (task for stage in reversed(self.plan.stages[:index]) for task in reversed(stage))
        made += [(task, task.when is None) for task in earlier]
        when = tuple[Expression, ...]()
        for task, certain in made:
            if task.name not in self._undone:
                continue
            if certain:
                yield Way(self.states[f"undo_{task.name}"], when)
                return
            key = ast.Missing(self._terms[task.name].avow_node)
            yield Way(self.states[f"undo_{task.name}"], (*when, ast.Not(key)))
            when = (*when, key)
        yield Way(self.plan.failed, when)

    def _made(self, task: Task) -> dict[Any, Any]:
        key = {self._terms[task.name]: task.effect.key} if task.name in self._terms else {}
        return {**task.sets, **key}

    def _unmade(self, task: Task) -> dict[Any, Any]:
        """Nothing is left over of an earlier run."""
        return {self._terms[task.name]: None} if task.name in self._terms else {}

    def _because(self, node: Expression) -> dict[Any, Any]:
        return {} if self.plan.reason is None else {self.plan.reason: Formula(node)}


def _subsets(stage: Stage) -> Iterator[Stage]:
    """Every set of calls that may be open, the largest first."""
    for size in range(len(stage), 0, -1):
        yield from combinations(stage, size)


def _without(stage: Stage, task: Task) -> Stage:
    return tuple(other for other in stage if other is not task)


def _key(name: str, place: Place) -> word.FieldTerm:
    """A field for the key under which a step was done."""
    made = word.FieldWord(place, word.Bounds(), word.UNSET, None, reference=False)
    made.name = name
    return word.FieldTerm(made)


def _may_be_none(hint: Any) -> bool:
    return type(None) in typing.get_args(hint) or isinstance(hint, str)


def _revealed(open_: Stage) -> tuple[Any, ...]:
    """The private fields that the calls of these steps are told, each once."""
    return tuple({id(field): field for task in open_ for field in task.reveals}.values())
