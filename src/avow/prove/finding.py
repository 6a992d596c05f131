"""What a phase has to say: how often it tried what, and what broke."""

from __future__ import annotations

from dataclasses import dataclass, field

from avow.model.place import Place
from avow.prove.schedule import Schedule

ALL, EXHAUSTED = "all", "all, exhausted"
"""Reaches: each one that there is was tried; and every order in which its steps can follow each other."""


def sampled(how: str) -> str:
    """The reach of a fault of which only some were tried."""
    return f"sampled, {how}"


@dataclass(frozen=True, slots=True)
class Tally:
    """One row of the table.

    fault: what was done to it. tried, held, broke: executions.
    reach: `all`, `all, exhausted` or `sampled, ...`.
    """

    fault: str
    tried: int
    held: int
    broke: int
    reach: str


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a story.

    who:     whom it is told of: `student`, `dean`, `worker`, `PostgreSQL`.
    what:    what they do, in words of the declaration. answer: what came of it, if anything.
    matters: it is one of the two or three without which the rest isn't understood.
    on:      what it is done to: `Course 1`.
    """

    who: str
    what: str
    answer: str = ""
    matters: bool = False
    on: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """A promise that broke.

    phase:    who found it. promise: which: `Course.never_oversold`, or `P3 replayable`.
    sentence: what is no longer true, in words of the owner. place: the line of the boundary that it is about.
    schedule: what to do to see it again. story: the same for people. why: what explains it.
    seed:     the one of the run that found it. tape: the choices that were drawn for it.
    """

    phase: str
    promise: str
    sentence: str
    place: Place
    schedule: Schedule
    story: tuple[Line, ...]
    why: str
    seed: int = 0
    tape: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Point:
    """A statement of a command at which its process was ended.

    where: the command, `Order.place`. at: which of its statements, from 0. tried, broke: executions.
    """

    where: str
    at: int
    statement: str
    tried: int
    broke: int


@dataclass(frozen=True, slots=True)
class PhaseReport:
    """What one phase did. not_tried: what it left out, and why, one sentence each.

    points: where processes were ended.
    """

    tallies: tuple[Tally, ...] = ()
    findings: tuple[Finding, ...] = ()
    not_tried: tuple[str, ...] = field(default=())
    points: tuple[Point, ...] = ()
