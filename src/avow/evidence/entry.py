"""One audit entry: the canonical header of one transition of one record, and its hash.

The header holds everything that is needed to rebuild the record and to explain it: who, by which
command, with what input, under which boundary, caused by what, resting on which versions, and every
changed value. Its hash is the RFC 6962 leaf hash of the header's bytes; the next entry of the same
record names it in `prev`. The bytes are hashed as they were made and stored as they were hashed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from avow import canonical
from avow.canonical import JsonValue
from avow.model.actor import Actor
from avow.model.entity import Entity, Transition
from avow.model.system import System
from avow.model.types import Value, ValueType, instant

FORMAT = 1
INLINE_BYTES_MAX = 1_024
"""A value whose canonical form is longer stands in the header as its SHA-256 alone."""
HEADER_BYTES_MAX = 65_535
"""The longest entry that the bundles of a transparency log can carry (tlog-tiles)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as it is written. `payloads`: long values by their SHA-256."""

    header: bytes
    hash: bytes
    payloads: Mapping[bytes, bytes]


class HeaderTooLong(Exception):
    """A header doesn't fit a log entry even with every value by hash: too many fields changed at once."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One version of one record."""

    kind: str
    id: UUID
    version: int


@dataclass(frozen=True, slots=True)
class Command:
    """What all entries of one command have in common.

    reads: the versions that its decision rests on. at: the time of the decision.
    """

    id: UUID
    actor: Actor
    request_id: str
    at: datetime
    reads: tuple[Reference, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """What happened to one record.

    record:     its version afterwards. source, target: states; no source for a creation.
    performers: who has performed the tracked transitions, where that changed; else None.
    cause:      the version whose transition called for this one.
    """

    record: Reference
    transition: Transition
    source: str | None
    target: str
    input: Mapping[str, Value]
    changes: Mapping[str, Value]
    performers: Mapping[str, tuple[str, ...]] | None
    cause: Reference | None


def entry_of(system: System, command: Command, step: Step, prev: bytes) -> Entry:
    """The entry of one step; `prev` is the hash of its record's previous entry, zeros for the first.

    Raises HeaderTooLong.
    """
    entry = _entry(system, command, step, prev, INLINE_BYTES_MAX)
    if len(entry.header) > HEADER_BYTES_MAX:
        entry = _entry(system, command, step, prev, canonical.HASH_BYTES)
    if len(entry.header) > HEADER_BYTES_MAX:
        raise HeaderTooLong
    return entry


def _entry(system: System, command: Command, step: Step, prev: bytes, inline: int) -> Entry:
    entity: Entity = system.entities[step.record.kind]
    payloads = dict[bytes, bytes]()
    types = {field.name: field.type for field in entity.fields.values()}
    changes, digests = _split(step.changes, types, inline, payloads)
    given = {p.name: p.type for p in step.transition.parameters}
    arguments, argument_digests = _split(step.input, given, inline, payloads)
    header: dict[str, Any] = {
        "v": FORMAT,
        "app": system.name,
        "tenant": command.actor.tenant,
        **_reference(step.record),
        "prev": prev.hex(),
        "transition": step.transition.name,
        "from": step.source,
        "to": step.target,
        "changes": changes,
        "input": arguments,
        "actor": _actor(command.actor),
        "command": str(command.id),
        "cause": None if step.cause is None else _reference(step.cause),
        "reads": [[read.kind, str(read.id), read.version] for read in command.reads],
        "request": command.request_id,
        "boundary": system.fingerprint.hex(),
        "at": instant(command.at),
    }
    if digests:
        header["changes_sha256"] = digests
    if argument_digests:
        header["input_sha256"] = argument_digests
    if step.performers is not None:
        header["performers"] = {name: list(subjects) for name, subjects in step.performers.items()}
    data = canonical.encode_trusted(header)
    return Entry(data, canonical.leaf_hash(data), payloads)


def _reference(record: Reference) -> dict[str, JsonValue]:
    return {"kind": record.kind, "id": str(record.id), "ver": record.version}


def _actor(actor: Actor) -> dict[str, JsonValue]:
    return {"subject": str(actor.subject), "roles": sorted(actor.roles), "credential": actor.credential}


def _split(
    values: Mapping[str, Value], types: Mapping[str, ValueType], inline: int, payloads: dict[bytes, bytes]
) -> tuple[dict[str, JsonValue], dict[str, str]]:
    """Short values as they are; long ones as their hash, with their bytes put into `payloads`."""
    held, digests = dict[str, JsonValue](), dict[str, str]()
    for name, value in values.items():
        dumped = None if value is None else types[name].dump(value)
        if isinstance(dumped, str | list | dict):
            data = canonical.encode_trusted(dumped)
            if len(data) > inline:
                digest = canonical.digest(data)
                payloads[digest] = data
                digests[name] = digest.hex()
                continue
        held[name] = dumped
    return held, digests
