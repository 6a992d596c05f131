"""Executions on the real engine as stories: what came of each act, and where a process ended."""

from __future__ import annotations

from collections.abc import Sequence

from avow.model.system import System
from avow.prove.act import Act, transitions_of
from avow.prove.execution import Told
from avow.prove.finding import Finding, Line
from avow.prove.oracle import Break
from avow.prove.schedule import Schedule
from avow.prove.story import line_of

_SAID = {
    "cut-before-send": "ends before it sends {statement}",
    "sent-without-reply": "ends with {statement} on its way, which the server carries out late",
    "unanswered": "carries out the call, and its answer never arrives",
    "reply-lost": "ends after the server has carried out {statement}, and never hears of it",
    "cut-on-the-way": "is cut with {statement} on its way",
    "wire-reply-lost": "is cut when the server has carried out {statement}, before any of its answer arrives",
    "cut-within": "is cut within the answer to {statement}",
    "stalled": "brings no answer to {statement}, for longer than anybody waits",
    "session-ended": "is ended by the server, which has carried out {statement}, before its transaction ends",
    "server-crashed": "ends with the server, which crashes within {statement} and recovers",
}

_ENDS = {
    "unanswered": "the other side",
    **dict.fromkeys(("cut-before-send", "sent-without-reply", "reply-lost"), "the process"),
}
"""What ends; the connection unless it stands here."""

ACCEPTED = Told(True)


def answer_of(told: Told | None) -> str:
    """What an act was answered, for people."""
    if told is None:
        return "nobody is told"
    return "done" if told.accepted else told.code


def line_told(system: System, act: Act, told: Told | None, *, matters: bool = False) -> Line:
    """An act and what it was answered."""
    return line_of(system, act, answer_of(told), matters=matters)


def line_of_end(act: Act, kind: str, statement: str) -> Line:
    """The end of a process during an act."""
    said = _SAID[kind].format(statement=f"`{statement or 'a statement'}`")
    return Line(_ENDS.get(kind, "the connection"), said, "", True, str(act.ref))


def step_told(command: str, statement: str) -> str:
    """One statement of a command that runs beside others, by the statement's name."""
    said = {
        "load": "looks at the records",
        "commit": "writes",
        "take": "looks for work",
        "lock": "locks the records",
    }
    return f"{command}: {said.get(statement, statement or 'waits')}"


def told_as(
    phase: str, system: System, schedule: Schedule, broke: Break, lines: Sequence[Line],
    about: Act | None = None,
) -> Finding:  # fmt: skip
    """What broke, as a finding whose story these lines begin.

    about: the act whose boundary it is, where the break names no line of its own; the last one unless given.
    """
    place = broke.place
    if not place.line and (act := about or next(reversed(schedule.acts), None)) is not None:
        place = transitions_of(system, act)[0].place
    story = (*lines, Line("then", broke.sentence, matters=True))
    return Finding(phase, broke.promise, broke.sentence, place, schedule, story, broke.why)
