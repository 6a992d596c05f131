"""Footprints: what a statement, or an act, reads and writes.

Two that share nothing that one of them writes can follow each other in either order, with the same end.

What is told of a statement is never less than it touches: what isn't known touches everything.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast
from uuid import UUID

from avow.kernel.command import Command, Decision, Key, Record
from avow.kernel.decide import decide
from avow.model.draft import BodyFault
from avow.model.system import System
from avow.model.types import Reference
from avow.store.trials.watched import BEGIN, COMMIT, ROLLBACK, Statement

WORK, TASKS = "what is to be done", "tasks"
"""Tables that a statement reads or writes as a whole."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """What is touched. everything: nobody knows; it goes with nothing else."""

    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    everything: bool = False

    def meets(self, other: Footprint) -> bool:
        """Whether the order of both may matter."""
        if self.everything or other.everything:
            return True
        return bool(self.writes & (other.reads | other.writes) or other.writes & self.reads)

    def __or__(self, other: Footprint) -> Footprint:
        return Footprint(
            self.reads | other.reads, self.writes | other.writes, self.everything or other.everything
        )


NOTHING: Final = Footprint()
EVERYTHING: Final = Footprint(everything=True)

_HEADERS, _WORKS, _KEYS, _LOCKED, _FOR_WRITING = 15, 19, 1, 11, 13
"""Places among the parameters of avow.commit: see commit.sql."""
_STUCK: Final = {"give_back": 5, "park": 8}
"""Where the parameters of a statement say why something is stuck: then it is a task, too."""


def of_statement(system: System, statement: Statement, answer: Any) -> Footprint:
    """What a statement has touched, by what it said and was answered."""
    name, given = statement.name, statement.parameters
    match name:
        case "load" | "find" | "entries" | "now":
            return Footprint(frozenset(_ids(given)) | frozenset(_ids(answer)))
        case "commit":
            return _of_commit(system, given)
        case "take":
            return Footprint(writes=frozenset({WORK}) | frozenset(_ids(answer)))
        case "give_back" | "park":
            stuck = statement.parameters[_STUCK[name]] is not None
            return Footprint(writes=frozenset({WORK, TASKS} if stuck else {WORK}))
        case "park_again" | "keep":
            return Footprint(writes=frozenset({WORK}))
        case "advance_tasks":
            return Footprint(writes=frozenset({TASKS}))
        case _ if name == BEGIN:
            return NOTHING
        case "lock":
            return Footprint(writes=frozenset(_ids(given)))
        case _ if name in (COMMIT, ROLLBACK):
            return EVERYTHING
        case _:
            return EVERYTHING


def _of_commit(system: System, given: tuple[Any, ...]) -> Footprint:
    keys = {str(key) for key in given[_KEYS] if key is not None}
    locked = [*zip(map(str, given[_LOCKED]), given[_FOR_WRITING], strict=True)]
    writes = keys | {record for record, writing in locked if writing}
    for header in given[_HEADERS]:
        said: dict[str, Any] = json.loads(header)
        writes.add(said["id"])
        writes |= _shared_of(system, said["kind"])
        if said.get("waits") or system.entities[said["kind"]].publications:
            writes.add(WORK)
        if said.get("tasks"):
            writes.add(TASKS)
    if given[_WORKS]:
        writes.add(WORK)
    return Footprint(frozenset(record for record, _ in locked), frozenset(writes))


def _shared_of(system: System, kind: str) -> set[str]:
    """What all records of an entity share: rules over several of them."""
    entity = system.entities[kind]
    return {f"{kind}.{rule.name}" for rule in (*entity.uniques, *entity.exclusions)}


def _ids(value: Any) -> Iterator[str]:
    """Every id in what a statement said, or was answered."""
    if value is None or isinstance(value, str | bytes | int | float | bool | datetime):
        return
    if isinstance(value, UUID):
        yield str(value)
    elif isinstance(value, Mapping):
        for one in cast("Mapping[Any, Any]", value).values():
            yield from _ids(one)
    elif isinstance(value, Iterable):
        for one in cast("Iterable[Any]", value):
            yield from _ids(one)


def of_command(
    system: System, records: Mapping[Key, Record], command: Command, now: datetime
) -> tuple[Footprint, bool]:
    """What a command would touch, by the kernel's own decision; and whether it would be accepted."""
    try:
        decided = decide(system, records, command, now)
    except BodyFault:
        return EVERYTHING, False
    own = Footprint(frozenset({str(command.id)}))
    if not isinstance(decided, Decision):
        return own, False
    writes = {str(key[1]) for key in decided.final} | set(_anchors(system, decided))
    for key in decided.final:
        writes |= _shared_of(system, key[0])
    return own | Footprint(frozenset(str(key[1]) for key in decided.reads), frozenset(writes)), True


def _anchors(system: System, decision: Decision) -> Iterator[str]:
    """The records at which quotas are counted."""
    for record in decision.final.values():
        entity = system.entities[record.entity]
        for quota in entity.quotas:
            anchor = record.values.get(quota.anchor)
            if anchor is not None and isinstance(entity.fields[quota.anchor].type, Reference):
                yield str(anchor)
