"""Acts in the words of the declaration, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from avow.canonical import JsonValue
from avow.model.entity import Transition
from avow.model.expression import All, Expression, Votes, render, walk
from avow.model.system import System
from avow.prove.act import Act, Ref, act_json, is_creation, transitions_of
from avow.prove.finding import Line

VALUE_CHARACTERS_MAX = 60
_UNITS: Final = (("d", 86_400), ("h", 3_600), ("min", 60))


def who(act: Act) -> str:
    """Who acts, for people: `Ada (dean)`, `the worker`, `the clock`, `bank`."""
    if act.actor is not None:
        roles = ", ".join(sorted(act.actor.roles))
        name = str(act.actor.subject) if act.actor.authenticated else "somebody without a credential"
        return f"{name} ({roles})" if roles else name
    match act.kind:
        case "event":
            return act.command.split(":")[0]
        case "time":
            return "the clock"
        case _:
            return "the worker"


def what(system: System, act: Act) -> str:
    """What is done, for people: `approve Enrollment 1`, `start Enrollment 2 with course = Course 1`."""
    given = ", ".join(f"{name} = {shown}" for name, shown in _inputs(system, act).items())
    new = " (new)" if is_creation(system, act) else ""
    later = f", {lasting(act.later_s)} later" if act.later_s else ""
    verb = act.command.split(":")[-1] if act.kind == "event" else act.command
    return f"{verb} {act.ref}{new}{f' with {given}' if given else ''}{later}"


def lasting(seconds: float) -> str:
    """A length of time for people: `22 h`, `14 d 1 s`."""
    left, said = seconds, list[str]()
    for unit, length in _UNITS:
        count, left = divmod(left, length)
        said += [f"{count:.0f} {unit}"] if count else []
    return " ".join([*said, f"{left:g} s"] if left or not said else said)


def _inputs(system: System, act: Act) -> Mapping[str, str]:
    dumped: Mapping[str, JsonValue] = act_json(system, act)["input"]
    hidden = {"key", "reason"} if act.kind == "outcome" else set[str]()
    return {
        name: shown(act.input[name] if isinstance(act.input[name], Ref) else value)
        for name, value in dumped.items()
        if value is not None and name not in hidden
    }


def shown(value: Any) -> str:
    """A value for people, in one line, cut where it is long."""
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(value))
    return text if len(text) <= VALUE_CHARACTERS_MAX else f"{text[: VALUE_CHARACTERS_MAX - 1]}…"


def line_of(system: System, act: Act, answer: str, *, matters: bool = False) -> Line:
    """An act and what came of it."""
    return Line(who(act), what(system, act), answer, matters, str(act.ref))


def rule_of(transition: Transition) -> str:
    """What permits a transition, in the words of the declaration."""
    parts = [f"by {render(transition.by)}"] if transition.trigger is None else [transition.cause]
    when = transition.when
    stated = [when] if when is not None and not isinstance(when, All) else [*(when.parts if when else ())]
    own = [part for part in stated if not _counts(part, transition.step)]
    if own:
        parts.append(f"when {render(own[0] if len(own) == 1 else All(tuple(own)))}")
    if len(own) < len(stated):
        parts.append("with the approvals= that it takes")
    return ", ".join(parts)


def _counts(condition: Expression, step: str) -> bool:
    """Whether a condition counts the approvals of the step that it belongs to."""
    return any(isinstance(node, Votes) and node.transition == step for node in walk(condition))


def permitted_by(system: System, act: Act) -> str:
    """The lines of the declaration that let an act happen: their names, places and conditions."""
    every = {
        (t.step, t.place): t for t in reversed(transitions_of(system, act))
    }  # an approval and the last one
    return "; ".join(f"{act.entity}.{t.name} ({t.place}): {rule_of(t)}" for t in reversed(every.values()))
