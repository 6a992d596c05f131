"""From a decision to the audit entries that are committed with it."""

from __future__ import annotations

from datetime import datetime

from avow.evidence import entry as evidence
from avow.evidence.entry import Entry, entry_of
from avow.kernel.command import GENESIS, Command, Decision, Key, Step
from avow.model.system import System


def entries_of(
    system: System, command: Command, decision: Decision, at: datetime, request_id: str
) -> list[Entry]:
    """The entries of a decision, in the order of its steps, each linked to its record's previous one.

    at: the time of the decision. Raises HeaderTooLong where a step changes too much for one entry.
    """
    reads = tuple(_reference(key, version) for key, version in sorted(decision.reads.items()))
    shared = evidence.Command(command.command_id, command.actor, request_id, at, reads)
    heads = dict[Key, bytes]()
    made = list[Entry]()
    for step in decision.steps:
        key = step.after.key
        prev = heads.get(key, GENESIS if step.before is None else step.before.head)
        entry = entry_of(system, shared, _step(step), prev)
        heads[key] = entry.hash
        made.append(entry)
    return made


def _step(step: Step) -> evidence.Step:
    before = None if step.before is None else step.before.performers
    performers = step.after.performers
    return evidence.Step(
        record=_reference(step.after.key, step.after.version),
        transition=step.transition,
        source=None if step.before is None else step.before.state,
        target=step.after.state,
        input=step.input,
        changes=step.changes,
        performers=performers if performers and performers != before else None,
        cause=None if step.cause is None else _reference(*step.cause),
    )


def _reference(key: Key, version: int) -> evidence.Reference:
    return evidence.Reference(key[0], key[1], version)
