"""The timeline of a test: what happened to the records that it touched, in the words of the declaration.

What was accepted is told by the log, whoever asked for it; what was refused, cut off or run at once, by the
stage. It must never decide or change anything.
"""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, cast
from uuid import UUID

from avow.engine.request import Reply, Request
from avow.evidence.chain import Logged
from avow.model.actor import Actor
from avow.model.system import System
from avow.model.trigger import OnEvent, OnOutcome, OnTime
from avow.prove.story import shown
from avow.store.trials.picture import Picture

WIDTH: Final = 100
INDENT: Final = " " * 8


@dataclass(slots=True)
class Asked:
    """A command that was given. after: the newest entry at that time. reply: None where nobody was told."""

    request: Request
    after: int
    reply: Reply | None = None

    def answer(self, reply: Reply) -> None:
        """Take note of what it was answered."""
        self.reply = reply


@dataclass(frozen=True, slots=True)
class Said:
    """Something else that happened: the clock was set on, several ran at once."""

    text: str
    after: int


@dataclass(slots=True)
class Timeline:
    """What was asked on a stage, and what else was done there, in order."""

    system: System
    _noted: list[Asked | Said] = field(default_factory=list["Asked | Said"])

    @property
    def length(self) -> int:
        """How much is noted."""
        return len(self._noted)

    def ask(self, request: Request, after: int) -> Asked:
        """Take note of a command."""
        asked = Asked(request, after)
        self._noted.append(asked)
        return asked

    def note(self, text: str, after: int) -> None:
        """Take note of something else."""
        self._noted.append(Said(text, after))

    def note_time(self, moment: datetime, after: int) -> None:
        """Take note that the clock is set on."""
        self.note(f"at {moment:%Y-%m-%d %H:%M:%S} UTC", after)

    def forget_after(self, length: int) -> None:
        """Forget what was noted since there were so many notes."""
        del self._noted[length:]

    def told(self, picture: Picture) -> str:
        """All of it, as text; empty where nothing happened."""
        names = names_of(picture.entries)
        lines, number = list[str](), 0
        notes = iter([*self._noted, None])
        note = next(notes)
        for entry in [*picture.entries, None]:
            while note is not None and (entry is None or note.after < entry.number):
                lines += _of_note(note, names)
                note = next(notes)
            if entry is not None:
                header: dict[str, Any] = json.loads(entry.header)
                number += header["cause"] is None
                lines += _of_entry(self.system, header, number, names)
        return "\n".join(lines)


def names_of(entries: Sequence[Logged]) -> dict[str, str]:
    """What each record is called: its entity, and which of them it is, as they were created."""
    names, counts = dict[str, str](), Counter[str]()
    for entry in entries:
        if entry.id not in names:
            counts[entry.kind] += 1
            names[entry.id] = f"{entry.kind} {counts[entry.kind]}"
    return names


def _of_note(note: Asked | Said, names: Mapping[str, str]) -> Iterator[str]:
    if isinstance(note, Said):
        yield textwrap.indent(note.text, "      ")
    elif note.reply is None:
        yield f"      {request_told(note.request, names)}   the process ends, and nobody is told"
    elif note.reply.problem is not None:
        problem = note.reply.problem
        detail = f", {problem.detail}" if problem.detail else ""
        yield from _wrapped(
            f"      {request_told(note.request, names)}   refused: {problem.code}{detail}", INDENT
        )
    elif note.reply.replayed:
        yield f"      {request_told(note.request, names)}   sent again, and answered the same"


def actor_told(actor: Actor) -> str:
    """Who somebody is, for people: `ann (desk)`."""
    roles = ", ".join(sorted(actor.roles))
    return f"{actor.subject} ({roles})" if roles else str(actor.subject)


def request_told(request: Request, names: Mapping[str, str]) -> str:
    """A command and who gives it, for people: `ann (desk): lend Loan 1`."""
    on = request.entity if request.record is None else _named(request.record, names)
    new = " (new)" if request.record is None else ""
    given = "".join(f", {name} {_named(value, names)}" for name, value in request.input.items())
    return f"{actor_told(request.actor)}: {request.command} {on}{new}{given}"


def _of_entry(
    system: System, header: Mapping[str, Any], number: int, names: Mapping[str, str]
) -> Iterator[str]:
    moved = f"{header['from']} -> {header['to']}" if header["from"] else f"(new) -> {header['to']}"
    head = "      by it: " if header["cause"] is not None else f"{number:>4}. {_who(system, header)}: "
    head += f"{header['transition']} {names[header['id']]}"
    changes = {**header["changes"], **dict.fromkeys(header.get("changes_sha256", {}), "(long)")}
    told = ", ".join(f"{name} {_named(value, names)}" for name, value in changes.items())
    yield from _wrapped(f"{head}   {moved}" + (f"   {told}" if told else ""), INDENT)


def _who(system: System, header: Mapping[str, Any]) -> str:
    match system.entities[header["kind"]].transitions[header["transition"]].trigger:
        case OnTime():
            return "the clock"
        case OnOutcome():
            return "the worker"
        case OnEvent(sender=sender):
            return sender
        case None:
            actor = header["actor"]
            roles = ", ".join(actor["roles"])
            return f"{actor['subject']} ({roles})" if roles else str(actor["subject"])


def _named(value: Any, names: Mapping[str, str]) -> str:
    """A value for people; a record by its name."""
    match value:
        case UUID() | str() if str(value) in names:
            return names[str(value)]
        case None:
            return "-"
        case {"private": str()}:
            return "(private)"
        case list() | tuple():
            return ", ".join(_named(one, names) for one in cast("Sequence[Any]", value))
        case _:
            return shown(value)


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent=indent, break_on_hyphens=False, drop_whitespace=True)
