"""What is written in a log, decided once more by the pure kernel, in the log's own order.

The kernel must make of each command the same entries, to the byte. The order is that of the records' chains,
never that of a time or a sequence: each command is decided on the versions that its entry says it rests on.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from avow.engine.entries import entries_of
from avow.evidence.chain import Logged
from avow.kernel.command import Command, Key, Record, Rejection
from avow.kernel.decide import decide
from avow.model.actor import Actor
from avow.model.draft import BodyFault
from avow.model.entity import Transition
from avow.model.place import Place
from avow.model.system import System
from avow.model.types import Misfit, Value
from avow.model.values import Subject
from avow.prove.private import revived
from avow.store.trials.picture import Picture

Version: TypeAlias = tuple[str, Key, int]
"""A tenant, a record of it, and one of its versions."""


class Differs(NamedTuple):
    """A command whose entries aren't what the kernel makes of it. said: how they differ."""

    where: str
    said: str
    place: Place


class Written(NamedTuple):
    """One entry, with its header read."""

    logged: Logged
    header: Mapping[str, Any]

    @property
    def version(self) -> Version:
        """What it made."""
        logged = self.logged
        return logged.tenant, (logged.kind, UUID(logged.id)), logged.version


@dataclass(slots=True)
class Replayed:
    """What a replay has come to: the records by tenant, who performed what, and what differs."""

    records: dict[str, dict[Key, Record]] = field(
        default_factory=lambda: defaultdict[str, dict[Key, Record]](dict)
    )
    performers: dict[Key, dict[str, frozenset[str]]] = field(
        default_factory=lambda: defaultdict[Key, dict[str, frozenset[str]]](dict)
    )
    differs: list[Differs] = field(default_factory=list[Differs])


def commands_of(picture: Picture) -> list[list[Written]]:
    """The entries of each command, in the order of its steps; commands in the order of their entries."""
    found = dict[tuple[str, str], list[Written]]()
    for logged in picture.entries:
        header: dict[str, Any] = json.loads(logged.header)
        found.setdefault((logged.tenant, header["command"]), []).append(Written(logged, header))
    return list(found.values())


def replay(system: System, picture: Picture) -> Replayed:
    """Decide everything in a log again."""
    return _Replay(system, picture).run()


class _Replay:
    def __init__(self, system: System, picture: Picture) -> None:
        self._system, self._picture = system, picture
        self._versions = dict[Version, Record]()
        self._made = Replayed()

    def run(self) -> Replayed:
        for entries in commands_of(self._picture):
            self._note_performers(entries)
            try:
                self._again(entries)
            except (KeyError, Misfit, BodyFault, ValueError) as error:
                self._differ(entries, f"the kernel can't decide it: {type(error).__name__}: {error}")
        return self._made

    def _again(self, entries: list[Written]) -> None:
        first = entries[0]
        header = first.header
        transition = self._transition(first)
        tenant, own, _ = first.version
        actor = Actor(
            Subject(header["actor"]["subject"]), tenant, frozenset(header["actor"]["roles"]),
            header["actor"]["credential"],
        )  # fmt: skip
        before = None if transition.creation else first.logged.version - 1
        command = Command(
            own[0], transition.command, own[1], self._input(first, transition), actor,
            UUID(header["command"]), before if transition.precondition else None,
            transition.trigger is not None,
        )  # fmt: skip
        at = datetime.fromisoformat(header["at"])
        records = self._read(tenant, header)
        if own in records:
            records[own] = _with_acts(records[own], header.get("tasks", {}))
        decided = decide(self._system, records, command, at)
        if isinstance(decided, Rejection):
            self._differ(entries, f"the kernel refuses it: {decided.code}")
            return
        made = entries_of(self._system, command, decided, at, header["request"])
        for step, entry in zip(decided.steps, made, strict=True):
            record = step.after._replace(head=entry.hash)
            self._versions[tenant, record.key, record.version] = record
            self._made.records[tenant][record.key] = record
        if [entry.header for entry in made] != [entry.logged.header for entry in entries]:
            self._differ(entries, "the kernel makes something else of it")

    def _read(self, tenant: str, header: Mapping[str, Any]) -> dict[Key, Record]:
        """The records as the decision found them; those that it doesn't rest on as they are by now."""
        found = dict(self._made.records[tenant])
        for kind, record, version in header["reads"]:
            key = kind, UUID(record)
            found[key] = self._versions[tenant, key, version]
        return found

    def _transition(self, entry: Written) -> Transition:
        return self._system.entities[entry.logged.kind].transitions[entry.header["transition"]]

    def _input(self, entry: Written, transition: Transition) -> dict[str, Value]:
        header = entry.header
        held = dict(header["input"])
        for name, digest in header.get("input_sha256", {}).items():
            held[name] = json.loads(self._picture.payloads[digest])
        types = {parameter.name: parameter.type for parameter in transition.parameters}
        return {name: revived(types[name], value) for name, value in held.items() if value is not None}

    def _note_performers(self, entries: Iterable[Written]) -> None:
        for entry in entries:
            known = self._made.performers[entry.version[1]]
            subject, name = entry.header["actor"]["subject"], entry.header["transition"]
            entity = self._system.entities.get(entry.logged.kind)
            if entity is not None and name in entity.transitions:
                name = entity.transitions[name].step  # a vote that isn't the last one counts for it, too
            known[name] = known.get(name, frozenset[str]()) | {subject}

    def _differ(self, entries: list[Written], said: str) -> None:
        first = entries[0]
        where = f"{first.logged.kind}.{first.header['transition']}"
        entity = self._system.entities.get(first.logged.kind)
        declared = None if entity is None else entity.transitions.get(first.header["transition"])
        self._made.differs.append(Differs(where, said, Place() if declared is None else declared.place))


def _with_acts(record: Record, told: Mapping[str, Any]) -> Record:
    """The record with its tasks as they were: what was done with them otherwise is no entry of the log."""
    tasks = {
        step: task._replace(acts=told[step]["acts"]) if "acts" in (told.get(step) or {}) else task
        for step, task in record.tasks.items()
    }
    return record._replace(tasks=tasks)


def circle(picture: Picture) -> list[str]:
    """Commands that can't have happened one after the other, in a ring of who rests on whom; empty: none.

    Who rests on a version comes after who made it, and before who made the next one.
    """
    commands = commands_of(picture)
    maker, readers = dict[Version, int](), defaultdict[Version, set[int]](set)
    for place, entries in enumerate(commands):
        for entry in entries:
            maker[entry.version] = place
        for kind, record, version in entries[0].header["reads"]:
            readers[entries[0].logged.tenant, (kind, UUID(record)), version].add(place)
    after = defaultdict[int, set[int]](set)
    for (tenant, key, version), place in maker.items():
        after[place] |= readers[tenant, key, version] - {place}
        for before in readers.get((tenant, key, version - 1), set()) - {place}:
            after[before].add(place)
    ring = next(_rings(after, len(commands)), list[int]())
    return [f"{commands[p][0].logged.kind}.{commands[p][0].header['transition']}" for p in ring]


def _rings(after: Mapping[int, set[int]], count: int) -> Iterator[list[int]]:
    """The first ring that a walk from each command meets."""
    done = set[int]()
    for start in range(count):
        path, walk = list[int](), [(start, iter(sorted(after.get(start, ()))))]
        path.append(start)
        while walk:
            following = next((one for one in walk[-1][1] if one not in done), None)
            if following is None:
                done.add(path.pop())
                walk.pop()
            elif following in path:
                yield path[path.index(following) :]
                return
            else:
                path.append(following)
                walk.append((following, iter(sorted(after.get(following, ())))))
