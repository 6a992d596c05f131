"""Tasks and approvals read from their words: who is asked, until when, and how many have to agree."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from avow.declare import surface as word
from avow.declare.effect import EffectWord
from avow.declare.expression import Symbolic, node_of
from avow.declare.notes import Notes
from avow.declare.people import CLAIM, TaskWord
from avow.declare.trigger import read_delay
from avow.model import expression as ast
from avow.model.entity import Transition
from avow.model.place import Place
from avow.model.task import Task
from avow.model.trigger import Delay, Trigger

CLAIM_MAX = timedelta(days=31)
VOTE = ".vote"
"""What the name of an approval that isn't the last one ends with."""


def read_task(notes: Notes, name: str, w: word.Transition, trigger: Trigger | None) -> Task | None:
    """The task of a transition, if it has one. What makes no sense is reported."""
    given = w.task
    if given is None:
        return None
    if trigger is not None or w.creation:
        mend = f"Write {name} = transition(..., by=..., task=task(...)), or drop task=."
        notes.note(w.place, "task-without-command", f"nobody is asked to {name}: it isn't a command", mend)
        return None
    if not isinstance(given, TaskWord):  # pyright: ignore[reportUnnecessaryIsInstance]
        _no_task(notes, w.place, name)
        return None
    due, due_at = _due(notes, name, w)
    return Task(
        role=_able(notes, name, w, given.role) or "?",
        due=due,
        due_at=due_at,
        remind=tuple(read_delay(notes, name, given.place, delay) for delay in given.remind),
        escalate=None if given.escalate is None else _able(notes, name, w, given.escalate),
        claim_ms=_claim_ms(notes, name, given),
        shows=notes.field_names(given.shows, given.place),
        place=given.place,
    )


def read_task_of_effect(notes: Notes, w: EffectWord) -> Task | None:
    """Whom a call asks once it is stuck, if it says so. What makes no sense is reported."""
    given, name = w.rest["task"], w.name
    if given is None:
        return None
    if not isinstance(given, TaskWord):
        _no_task(notes, w.place, name)
        return None
    due = given.due
    if isinstance(due, Symbolic):
        mend = "Write due=hours(4): counted from when its last attempt was begun."
        notes.note(given.place, "task-due-instant", f"no field says when `{name}` is stuck", mend)
        due = None
    return Task(
        role=_role(notes, name, given.place, given.role) or "?",
        due=None if due is None else read_delay(notes, name, given.place, due),
        remind=tuple(read_delay(notes, name, given.place, delay) for delay in given.remind),
        escalate=None if given.escalate is None else _role(notes, name, given.place, given.escalate),
        claim_ms=_claim_ms(notes, name, given),
        # An effect mostly stands above the class body, and so has fields by name.
        shows=notes.field_names([_named(notes, shown) for shown in given.shows], given.place),
        place=given.place,
    )


def _no_task(notes: Notes, place: Place, name: str) -> None:
    notes.note(place, "task-role", f"`{name}` asks what isn't a task", 'Write task=task(role("finance")).')


def _named(notes: Notes, shown: Any) -> Any:
    return notes.words.get(shown) if isinstance(shown, str) else shown


def _claim_ms(notes: Notes, name: str, given: TaskWord) -> int:
    """How long a claim lasts; on the way, whether something escalates that is never due."""
    if given.escalate is not None and given.due is None:
        mend = "Write due= as well."
        notes.note(given.place, "task-never-due", f"`{name}` escalates when it is due, and never is", mend)
    claim = given.claim
    if not isinstance(claim, timedelta) or not timedelta(0) < claim <= CLAIM_MAX:
        mend = f"Write claim=timedelta(hours=8); at most {CLAIM_MAX.days} days."
        notes.note(given.place, "task-claim", f"a claim of `{name}` can't last so long", mend)
        claim = CLAIM
    return claim // timedelta(milliseconds=1)


def _due(notes: Notes, name: str, w: word.Transition) -> tuple[Delay | None, ast.Expression | None]:
    given = None if w.task is None else w.task.due
    if given is None:
        return None, None
    if isinstance(given, Symbolic):
        return None, notes.named(given, w.place)
    return read_delay(notes, name, w.place, given), None


def _role(notes: Notes, name: str, place: Place, given: Any) -> str | None:
    """The name of a role that is asked."""
    node = node_of(given)
    if not isinstance(node, ast.HasRole):
        notes.note(place, "task-role", f"`{name}` asks what isn't a role", 'Write task(role("dean"), ...).')
        return None
    return node.role


def _able(notes: Notes, name: str, w: word.Transition, given: Any) -> str | None:
    """The name of a role that is asked: one that the policy names, where it names any."""
    place = w.place if w.task is None else w.task.place
    asked = _role(notes, name, place, given)
    if asked is None:
        return None
    policy = ast.Everybody() if w.by is None else node_of(w.by)
    named = {part.role for part in ast.walk(policy) if isinstance(part, ast.HasRole)}
    if named and asked not in named:
        mend = f"Let by= name {asked} too, or ask one of {', '.join(sorted(named))}."
        notes.note(place, "task-role-unable", f"`{name}` asks {asked}, who may not do it", mend)
    return asked


def read_needed(notes: Notes, name: str, w: word.Transition) -> tuple[ast.Expression, ast.Expression] | None:
    """When enough have agreed with the one who agrees now, and when not yet; None for one who is enough.

    `approvals=` is a number, or a list of tiers: (condition, number) pairs, and at last a number.
    """
    given = w.approvals
    if given is None:
        return None
    if w.by is None and not w.creation:
        mend = f"Write {name} = transition(..., by=..., approvals=...), or drop approvals=."
        notes.note(w.place, "task-without-command", f"nobody agrees to {name}: it isn't a command", mend)
        return None
    if w.creation or len(w.sources) != 1 or w.sources[0] is w.target:
        mend = "Let it leave one state for another; approvals are counted in the one that it leaves."
        notes.note(w.place, "approvals-state", f"the approvals of `{name}` are counted in no one state", mend)
        return None
    tiers = given if isinstance(given, list | tuple) and given else [given]  # pyright: ignore[reportUnknownVariableType]
    votes = ast.Arithmetic("+", ast.Votes(name), ast.Const(1))
    before, enough, short = list[ast.Expression](), list[ast.Expression](), list[ast.Expression]()
    for place, tier in enumerate(tiers, 1):  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        condition, number = _tier(notes, name, w, tier, last=place == len(tiers))  # pyright: ignore[reportUnknownArgumentType]
        here = [*before, *([] if condition is None else [condition])]
        enough.append(_all([*here, ast.Compare(">=", votes, number)]))
        short.append(_all([*here, ast.Compare("<", votes, number)]))
        if condition is not None:
            before.append(ast.Not(condition))
    return _any(enough), _any(short)


def _tier(
    notes: Notes, name: str, w: word.Transition, tier: Any, *, last: bool
) -> tuple[ast.Expression | None, ast.Expression]:
    """One tier: its condition, and how many have to agree where that holds."""
    condition, number = tier if isinstance(tier, tuple) and len(tier) == 2 else (None, tier)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    whole = type(number) is int and 1 <= number <= 100  # pyright: ignore[reportUnknownArgumentType]
    if (condition is None) is not last or not (whole or isinstance(number, Symbolic)):
        mend = "Write approvals=2, or approvals=[(amount < 1000, 1), (amount < 10_000, 2), 3]."
        notes.note(w.place, "approvals-number", f"how many have to {name} can't be read", mend)
        return None, ast.Const(1)
    told = None if condition is None else notes.condition(condition, w.place)
    return told, notes.named(number, w.place)  # pyright: ignore[reportUnknownArgumentType]


def voting(made: Transition, needed: tuple[ast.Expression, ast.Expression]) -> tuple[Transition, Transition]:
    """The two transitions of a command that several have to give: that of the last one, and of all others.

    Nobody gives it twice: whoever has agreed, or has let another do it in their place, may not again.
    """
    enough, short = needed
    by = _all([made.by, ast.Not(ast.Performed(made.name))])
    own = [] if made.when is None else [made.when]
    last = replace(made, by=by, when=_all([*own, enough]))
    another = replace(
        last,
        name=f"{made.name}{VOTE}", counts=made.name, target=made.sources[0], when=_all([*own, short]),
        body=None, body_hash="", sets=(), assigns=(), uses=(), task=None,
    )  # fmt: skip
    return last, another


def _all(parts: list[ast.Expression]) -> ast.Expression:
    flat = [p for part in parts for p in (part.parts if isinstance(part, ast.All) else (part,))]
    return flat[0] if len(flat) == 1 else ast.All(tuple(flat))


def _any(parts: list[ast.Expression]) -> ast.Expression:
    return parts[0] if len(parts) == 1 else ast.AnyOf(tuple(parts))
