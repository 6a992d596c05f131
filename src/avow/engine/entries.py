"""From a decision to the audit entries that are committed with it."""

from __future__ import annotations

from datetime import datetime

from avow.evidence import entry as evidence
from avow.evidence.entry import Entry, EntryWriter, Reference
from avow.kernel.command import GENESIS, Command, Decision, Key, Step
from avow.model.system import System


def entries_of(
    system: System, command: Command, decision: Decision, at: datetime, request_id: str
) -> list[Entry]:
    """The entries of a decision, in the order of its steps, each linked to its record's previous one.

    at: the time of the decision. Raises HeaderTooLong where a step changes too much for one entry.
    """
    reads = [Reference(*key, version) for key, version in sorted(decision.reads.items())]
    shared = evidence.Command(command.command_id, command.actor, request_id, at, reads)
    writer = EntryWriter(system, shared)
    newest: dict[Key, Entry] = {}
    made: list[Entry] = []
    for step in decision.steps:
        key = step.after.key
        if (previous := newest.get(key)) is not None:
            prev = previous.hash
        else:
            prev = GENESIS if step.before is None else step.before.head
        newest[key] = entry = writer.write(_step(step), prev)
        made.append(entry)
    return made


def _step(step: Step) -> evidence.Step:
    transition, before, after, given, changes, cause, waits = step
    known = None if before is None else before.performers
    return evidence.Step(
        Reference(after.entity, after.id, after.version),
        transition,
        None if before is None else before.state,
        given,
        changes,
        after.performers if after.performers and after.performers != known else None,
        None if cause is None else Reference(*cause[0], cause[1]),
        waits,
    )
