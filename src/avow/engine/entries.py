"""From a decision to the audit entries that are committed with it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from avow.canonical import JsonValue
from avow.evidence import entry as evidence
from avow.evidence.entry import Entry, EntryWriter, Reference
from avow.kernel.command import GENESIS, Acted, Asking, Begun, Command, Decision, Key, Moved, Step
from avow.model.system import System
from avow.model.tuples import made
from avow.model.types import instant

NO_TASKS: Mapping[str, JsonValue] = {}


def entries_of(
    system: System, command: Command, decision: Decision, at: datetime, request_id: str
) -> list[Entry]:
    """The entries of a decision, in the order of its steps, each linked to its record's previous one.

    at: the time of the decision. Raises HeaderTooLong where a step changes too much for one entry.
    """
    reads = [_reference(*key, version) for key, version in sorted(decision.reads.items())]
    shared = (command.command_id, command.actor, request_id, at, reads)
    writer = EntryWriter(system, made(evidence.Command, shared))
    newest: dict[Key, Entry] = {}
    entries: list[Entry] = []
    for step in decision.steps:
        key = step.after.entity, step.after.id
        if (previous := newest.get(key)) is not None:
            prev = previous.hash
        else:
            prev = GENESIS if step.before is None else step.before.head
        newest[key] = entry = writer.write(_step(step), prev)
        entries.append(entry)
    return entries


def _step(step: Step) -> evidence.Step:
    transition, before, after, given, changes, cause, waits, tasks = step
    known = None if before is None else before.performers
    told = (
        _reference(after.entity, after.id, after.version),
        transition,
        None if before is None else before.state,
        given,
        changes,
        after.performers if after.performers and after.performers != known else None,
        None if cause is None else _reference(*cause[0], cause[1]),
        waits,
        {name: told_of(asking) for name, asking in tasks.items()} if tasks else NO_TASKS,
    )
    return made(evidence.Step, told)


def _reference(kind: str, record: UUID, version: int) -> Reference:
    return made(Reference, (kind, record, version))


def told_of(asking: Asking) -> JsonValue:
    """What becomes of a task, as its entry says it."""
    match asking:
        case Begun(role, due, escalate, remind, claim_ms):
            return {
                "claim_ms": claim_ms,
                "due": None if due is None else instant(due),
                "escalate": escalate,
                "remind": [instant(moment) for moment in remind],
                "role": role,
            }
        case Acted(acts, ends):
            return {"acts": acts, "ends": ends}
        case Moved(due):
            return {"due": None if due is None else instant(due)}
        case None:
            return None
