"""One audit entry: the canonical header of one transition of one record, and its hash.

The header holds everything that is needed to rebuild the record and to explain it: who, by which
command, with what input, under which boundary, caused by what, resting on which versions, and every
changed value. Its hash is the RFC 6962 leaf hash of the header's bytes; the next entry of the same
record names it in `prev`. The bytes are hashed as they were made and stored as they were hashed.

Canonical JSON has its members sorted, so a header is joined from pieces in that order: what is the same
in every entry of a declaration is written once, and what is the same in every entry of a command once
a command. Only what differs from step to step is left to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple, TypeAlias
from uuid import UUID

from avow import canonical
from avow.canonical import JsonValue, quoted, written
from avow.model.actor import Actor
from avow.model.entity import Entity, Transition
from avow.model.private import Private
from avow.model.system import System
from avow.model.tuples import made
from avow.model.types import Integer, Text, Value, ValueType, instant

FORMAT = 1
INLINE_BYTES_MAX = 1_024
"""A value whose canonical form is longer stands in the header as its SHA-256 alone."""
HEADER_BYTES_MAX = 65_535
"""The longest entry that the bundles of a transparency log can carry (tlog-tiles)."""

ACTORS_MAX = 4_096
"""How many actors' own part of an entry is remembered."""

_Members: TypeAlias = Mapping[str, tuple[str, Callable[[Value], str]]]
"""Names of values: the name as it opens a member, and how the value is written."""


class Entry(NamedTuple):
    """One entry as it is written. `payloads`: long values by their SHA-256."""

    header: bytes
    payloads: Mapping[bytes, bytes]

    @property
    def hash(self) -> bytes:
        """What the record's next entry names as its predecessor."""
        return canonical.leaf_hash(self.header)


class HeaderTooLong(Exception):
    """A header doesn't fit a log entry even with every value by hash: too many fields changed at once."""


class Reference(NamedTuple):
    """One version of one record."""

    kind: str
    id: UUID
    version: int


class Command(NamedTuple):
    """What all entries of one command have in common.

    reads: the versions that its decision rests on. at: the time of the decision.
    """

    id: UUID
    actor: Actor
    request_id: str
    at: datetime
    reads: Iterable[Reference]


class Step(NamedTuple):
    """What happened to one record.

    record:     its version afterwards. source: the state before; None for a creation.
    performers: who has performed the tracked transitions, where that changed; else None.
    cause:      the version whose transition called for this one.
    waits:      what the record waits for from now on, by name: when it is due, where a call goes, and in
                which line it stands; None: no more.
    tasks:      what becomes of the tasks of the record, by step, as plain data; None: it ends.
    """

    record: Reference
    transition: Transition
    source: str | None
    input: Mapping[str, Value]
    changes: Mapping[str, Value]
    performers: Mapping[str, tuple[str, ...]] | None
    cause: Reference | None
    waits: Mapping[str, tuple[datetime, str, str] | None] = MappingProxyType({})
    tasks: Mapping[str, JsonValue] = MappingProxyType({})


class EntryWriter:
    """Writes the entries of one command."""

    def __init__(self, system: System, command: Command) -> None:
        self._forms = forms = system.derived(_forms)
        actor = command.actor
        told = _told(actor.credential, actor.roles, actor.subject)
        self._first = f'{{"actor":{told},"app":{forms.app},"at":"{instant(command.at)}",{forms.boundary}'
        self._second = f'"command":"{command.id}","from":'
        reads = ",".join([f'[{quoted(kind)},"{of}",{version}]' for kind, of, version in command.reads])
        self._third = f'"reads":[{reads}],"request":{quoted(command.request_id)},'
        self._fourth = f'"tenant":{quoted(actor.tenant)},"to":'

    def write(self, step: Step, prev: bytes) -> Entry:
        """The entry of one step; `prev` is the hash of its record's previous entry, zeros for the first.

        Raises HeaderTooLong.
        """
        entry = self._entry(step, prev, INLINE_BYTES_MAX)
        if len(entry.header) > HEADER_BYTES_MAX:
            entry = self._entry(step, prev, canonical.HASH_BYTES)
        if len(entry.header) > HEADER_BYTES_MAX:
            raise HeaderTooLong
        return entry

    def _entry(self, step: Step, prev: bytes, inline: int) -> Entry:
        kind, record_id, version = step.record
        form = self._forms.kinds[kind]
        parameters, end = form.transitions[step.transition.name]
        payloads: dict[bytes, bytes] = {}
        changes = _split("changes", step.changes, form.fields, inline, payloads)
        given = _split("input", step.input, parameters, inline, payloads)
        cause = "null" if step.cause is None else _reference(step.cause)
        source = "null" if step.source is None else quoted(step.source)
        waits = f',"waits":{_waiting(step.waits)}' if step.waits else ""
        tasks = f'"tasks":{written(step.tasks)},' if step.tasks else ""
        performers = "" if step.performers is None else f'"performers":{written(step.performers)},'
        header = (
            f'{self._first}{cause},{changes},{self._second}{source},"id":"{record_id}",{given},'
            f'"kind":{form.kind},{performers}"prev":"{prev.hex()}",{self._third}{tasks}{self._fourth}{end}'
            f"{version}{waits}}}"
        )
        return made(Entry, (header.encode(), payloads))


class _KindForm(NamedTuple):
    """What is the same in all entries of one kind of record.

    transitions: of each its parameters, and the end of its headers from the target on.
    """

    kind: str
    fields: _Members
    transitions: Mapping[str, tuple[_Members, str]]


class _Forms(NamedTuple):
    """What is the same in all entries of one system; `boundary` goes on until the cause."""

    app: str
    boundary: str
    kinds: Mapping[str, _KindForm]


def _forms(system: System) -> _Forms:
    kinds = {name: _kind_form(entity) for name, entity in system.entities.items()}
    boundary = f'"boundary":{quoted(system.fingerprint.hex())},"cause":'
    return _Forms(quoted(system.name), boundary, kinds)


def _kind_form(entity: Entity) -> _KindForm:
    transitions = {
        t.name: (
            _members((p.name, p.type) for p in t.parameters),
            f'{quoted(t.target)},"transition":{quoted(t.name)},"v":{FORMAT},"ver":',
        )
        for t in entity.transitions.values()
    }
    fields = _members((field.name, field.type) for field in entity.fields.values())
    return _KindForm(quoted(entity.name), fields, transitions)


def _members(types: Iterable[tuple[str, ValueType]]) -> _Members:
    return {name: (f"{quoted(name)}:", _writer(kind)) for name, kind in types}


def _writer(kind: ValueType) -> Callable[[Value], str]:
    """How a value is written: `written(kind.dump(value))`, without asking each time what it is."""
    if isinstance(kind, Integer):
        return int.__repr__
    if isinstance(kind, Text):
        return quoted
    return lambda value: written(kind.dump(value))


@lru_cache(ACTORS_MAX)
def _told(credential: str, roles: frozenset[str], subject: str) -> str:
    """An actor, as all of their entries tell it."""
    listed = ",".join(map(quoted, sorted(roles)))
    return f'{{"credential":{quoted(credential)},"roles":[{listed}],"subject":{quoted(subject)}}}'


def _split(
    member: str, values: Mapping[str, Value], types: _Members, inline: int, payloads: dict[bytes, bytes]
) -> str:
    """Short values as they are; long ones as their hash, with their bytes put into `payloads`."""
    held: list[str] = []
    digests: list[str] = []
    for name in sorted(values):
        opening, write = types[name]
        value = values[name]
        text = "null" if value is None else write(value)
        # No character takes more than four bytes. Only what has no bound of its own is so long: no number is.
        if len(text) > inline // 4 and type(value) is not Private and len(data := text.encode()) > inline:
            digest = canonical.digest(data)
            payloads[digest] = data
            digests.append(f'{opening}"{digest.hex()}"')
        else:
            held.append(opening + text)
    by_hash = f',"{member}_sha256":{{{",".join(digests)}}}' if digests else ""
    return f'"{member}":{{{",".join(held)}}}{by_hash}'


def _waiting(waits: Mapping[str, tuple[datetime, str, str] | None]) -> str:
    """What begins to be waited for, and what ends, as an object in canonical order."""
    members: list[str] = []
    for name in sorted(waits):
        wait = waits[name]
        told = "null"
        if wait is not None:
            due, destination, line = wait
            told = f'{{"due":"{instant(due)}","line":{quoted(line)},"to":{quoted(destination)}}}'
        members.append(f"{quoted(name)}:{told}")
    return f"{{{','.join(members)}}}"


def _reference(record: Reference) -> str:
    return f'{{"id":"{record.id}","kind":{quoted(record.kind)},"ver":{record.version}}}'
