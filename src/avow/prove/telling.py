"""Executions as stories: who does what to which record, and what comes of it."""

from __future__ import annotations

from avow.prove.act import Act
from avow.prove.execution import Told
from avow.prove.finding import Line

_SAID = {
    "cut-before-send": "ends before it sends {statement}",
    "sent-without-reply": "ends with {statement} on its way, which the server carries out late",
    "reply-lost": "ends after the server has carried out {statement}, and never hears of it",
}


def who(act: Act) -> str:
    """Whom an act is told of."""
    if act.actor is not None:
        return str(act.actor.subject)
    return "sender" if act.kind == "event" else "worker"


def line_of(act: Act, told: Told | None, *, matters: bool = False) -> Line:
    """An act, as a line."""
    given = ", ".join(f"{name} {_shown(value)}" for name, value in act.input.items() if value is not None)
    what = f"{act.command}({given})" if given else act.command
    answer = "nobody is told" if told is None else "done" if told.accepted else told.code
    return Line(who(act), what, answer, matters, str(act.ref))


def _shown(value: object) -> str:
    return f"{value}"[:60]


def line_of_end(act: Act, kind: str, statement: str) -> Line:
    """The end of a process during an act, as a line."""
    said = _SAID[kind].format(statement=f"`{statement or 'a statement'}`")
    return Line("the process", said, "", True, str(act.ref))
