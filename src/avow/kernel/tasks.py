"""What people are asked to do: which tasks begin and end with one transition, and what may be done with one.

Also with the task of a call, a time or an event that is stuck, which begins and ends with that.

A task belongs to the state that its record stands in, as a deadline does. It ends when the state is left,
whoever left it. Where its step is performed and the record stays, as with an approval that isn't the last
one, it goes on, and nobody has it alone any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from avow.kernel.command import NOBODY_ASKED, Acted, Asking, Begun, Moved, OpenTask, Record, Rejection
from avow.kernel.draft import Pool, RecordScope
from avow.kernel.plan import Asked, TransitionPlan
from avow.kernel.policy import certainly_may, could, is_four_eyes, may, unmet
from avow.model.actor import Actor
from avow.model.expression import evaluate, render, walk
from avow.model.system import System
from avow.model.task import Task
from avow.model.values import Subject

CLAIM: Final = "claim"
RELEASE: Final = "release"
DELEGATE: Final = "delegate"
FOLLOW_UP: Final = "follow-up"
"""What can be done with a task other than doing it: these four."""
OF_OPERATORS: Final = ""
"""The role of tasks in the inbox of the operators, as it is kept: no role can have this name."""
OPERATORS: Final = "operators"
"""What that inbox is called where people see it."""


def tasks_of(pool: Pool, plan: TransitionPlan, before: Record | None, after: Record) -> Mapping[str, Asking]:
    """What becomes of the tasks of a record with one transition, by step."""
    states, own = pool.plans[after.entity].states, plan.declared.step
    known = None if before is None else before.tasks.get(own)
    acts = 0 if known is None else known.acts
    if before is not None and before.state == after.state:
        moved = _moved(pool, states[after.state].tasks, before, after)
        asked = any(asked.step == own for asked in states[after.state].tasks)
        return {**moved, own: Acted(acts, ends=False)} if asked else moved
    found: dict[str, Asking] = {}
    for asked in () if before is None else states[before.state].tasks:
        found[asked.step] = Acted(acts, ends=True) if asked.step == own else None
    for asked in states[after.state].tasks:
        found[asked.step] = _begun(pool, asked, after)
    return found or NOBODY_ASKED


def left_of(
    tasks: Mapping[str, OpenTask], asking: Mapping[str, Asking], now: datetime
) -> Mapping[str, OpenTask]:
    """The tasks as later steps of the same command find them."""
    if not asking:
        return tasks
    left = dict(tasks)
    for step, what in asking.items():
        task = left.pop(step, None)
        match what:
            case Begun(role, due, _, _, claim_ms):
                left[step] = OpenTask(_UNNAMED, step, role, due, now, "", claim_ms, 0)
            case Acted(acts, False) if task is not None:
                left[step] = task._replace(acts=acts + 1, holder=None, held_until=None)
            case Moved(due) if task is not None:
                left[step] = task._replace(acts=task.acts + 1, due=due)
            case _:
                pass
    return left


_UNNAMED: Final = UUID(int=0)
"""The id of a task that isn't kept yet."""


def _begun(pool: Pool, asked: Asked, record: Record) -> Begun:
    return _begin(asked.task, _due(pool, asked, record), pool.now)


def begun_of_stuck(task: Task, since: datetime) -> Begun:
    """Whom a call asks that is stuck. since: when its last attempt was begun."""
    return _begin(task, None if task.due is None else task.due.due(since), since)


def _begin(task: Task, due: datetime | None, since: datetime) -> Begun:
    remind = tuple(sorted(delay.due(since) for delay in task.remind))
    return Begun(task.role, due, task.escalate, remind, task.claim_ms)


def _moved(pool: Pool, tasks: tuple[Asked, ...], before: Record, after: Record) -> Mapping[str, Asking]:
    found: dict[str, Asking] = {}
    for asked in tasks:
        if asked.due_at is not None and _due(pool, asked, before) != (due := _due(pool, asked, after)):
            found[asked.step] = Moved(due)
    return found or NOBODY_ASKED


def _due(pool: Pool, asked: Asked, record: Record) -> datetime | None:
    if asked.task.due is not None:
        return asked.task.due.due(pool.now)
    due: Any = None if asked.due_at is None else asked.due_at(RecordScope(pool, record))
    return due if isinstance(due, datetime) else None


class Standing(NamedTuple):
    """How somebody stands to a task.

    steps:   the transitions that the task is about, in the state that its record is in.
    may:     they are permitted to do it. barred: what another person is needed for, in the words of the
             declaration; empty where that isn't it.
    """

    steps: tuple[TransitionPlan, ...]
    may: bool
    barred: str


def standing(pool: Pool, record: Record, step: str) -> Standing | None:
    """How the pool's actor stands to a task; None where it is none of their business.

    That is where the policy doesn't permit them, for another reason than that it takes a second person.
    """
    plans = pool.plans[record.entity].transitions.values()
    steps = tuple(p for p in plans if p.declared.step == step and record.state in p.declared.sources)
    if any(may(pool, record, plan) for plan in steps):
        return Standing(steps, True, "")
    for plan in steps:
        clause = unmet(pool, record, plan.declared.by)
        if is_four_eyes(clause):
            return Standing(steps, False, render(clause))
    return None


def refusal_of_act(pool: Pool, record: Record, task: OpenTask, word: str, to: str | None) -> Rejection | None:
    """Why the actor may not do this with a task; None: they may.

    Whoever does something with a task could do it themselves. One who is to do it in their place must not
    be barred from it; which roles that one has is seen when they do it.
    """
    stands = standing(pool, record, task.step)
    if stands is None:
        return Rejection("not-found", recorded=False)
    where = f"{record.entity}.{task.step}"
    if word != RELEASE and not stands.may:
        detail = f"{where} needs a second person: {stands.barred}."
        return Rejection("four-eyes", detail, {"rule": f"{where}: {stands.barred}"})
    refused = _held(pool.actor, pool.now, task, where, word, to)
    return refused if refused is not None or to is None else _barred(pool, record, stands, where, to)


def operates(system: System, actor: Actor) -> bool:
    """Whether the actor may see to everything that is stuck in their tenant."""
    return system.operators is not None and certainly_may(system.operators, actor)


def inboxes_of(system: System, actor: Actor) -> frozenset[str]:
    """In whose inboxes an actor looks: those of their roles, and that of the operators if they are one."""
    own = actor.roles - {OF_OPERATORS}
    return own | {OF_OPERATORS} if operates(system, actor) else own


def owes(system: System, actor: Actor, role: str | None) -> bool:
    """Whether the actor may see to what is stuck and stands in the inbox of a role; None: in no inbox."""
    return operates(system, actor) or (role is not None and role != OF_OPERATORS and role in actor.roles)


def refusal_of_owed(
    system: System, actor: Actor, now: datetime, task: OpenTask, where: str, word: str, to: str | None
) -> Rejection | None:
    """Why the actor may not do this with the task of what is stuck; None: they may."""
    if not owes(system, actor, task.role):
        return Rejection("not-found", recorded=False)
    return _held(actor, now, task, where, word, to)


def _held(
    actor: Actor, now: datetime, task: OpenTask, where: str, word: str, to: str | None
) -> Rejection | None:
    """Refused is what somebody else holds, a release by who doesn't, and delegating to oneself."""
    own, holder = str(actor.subject), task.held_at(now)
    if word == RELEASE:
        return None if holder == own else Rejection("task-not-held", f"You don't hold {where}.")
    if holder is not None and holder != own:
        return Rejection("task-claimed", f"Somebody else has claimed {where}.", {"rule": where})
    if to != own:
        return None
    error = {"pointer": "#/to", "code": "yourself", "detail": "must be somebody else"}
    return Rejection("input-invalid", "Nobody delegates to themselves.", {"errors": [error]})


def _barred(pool: Pool, record: Record, stands: Standing, where: str, to: str) -> Rejection | None:
    """What a delegation stands against: whoever it is may not do it, whatever their roles are."""
    them = Pool(pool.system, Actor(Subject(to), pool.actor.tenant), pool.now, pool.records, pool.loaded)
    scope = RecordScope(them, record)
    if any(could(plan.declared.by, scope) is not False for plan in stands.steps):
        return None
    clauses = [part for plan in stands.steps for part in walk(plan.declared.by) if is_four_eyes(part)]
    bars = next((clause for clause in clauses if evaluate(clause, scope) is False), None)
    if bars is None:
        return Rejection("forbidden", f"Whom you name may never do {where}.", {"rule": where})
    detail = f"{where} needs a second person: {render(bars)}."
    return Rejection("four-eyes", detail, {"rule": f"{where}: {render(bars)}"})
