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

from avow import canonical
from avow.canonical import JsonValue
from avow.kernel.command import Command, Decision, Key, Step
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


@dataclass(frozen=True, slots=True)
class Context:
    """What surrounds a decision: when it was made, under which boundary, for which request."""

    at: datetime
    request_id: str


class HeaderTooLong(Exception):
    """A header doesn't fit a log entry even with every value by hash: too many fields changed at once."""


def entries_of(system: System, command: Command, decision: Decision, context: Context) -> list[Entry]:
    """The entries of a decision, in the order of its steps, each linked to its record's previous one."""
    heads: dict[Key, bytes] = {}
    made = list[Entry]()
    for step in decision.steps:
        key = step.after.key
        prev = heads.get(key, step.before.head if step.before is not None else bytes(32))
        entry = _entry(system, command, decision, step, prev, context, INLINE_BYTES_MAX)
        if len(entry.header) > HEADER_BYTES_MAX:
            entry = _entry(system, command, decision, step, prev, context, canonical.HASH_BYTES)
        if len(entry.header) > HEADER_BYTES_MAX:
            raise HeaderTooLong
        heads[key] = entry.hash
        made.append(entry)
    return made


def _entry(
    system: System,
    command: Command,
    decision: Decision,
    step: Step,
    prev: bytes,
    context: Context,
    inline: int,
) -> Entry:
    entity = system.entities[step.after.entity]
    payloads = dict[bytes, bytes]()
    types = {field.name: field.type for field in entity.fields.values()}
    changes, digests = _split(step.changes, types, inline, payloads)
    given = {p.name: p.type for p in step.transition.parameters}
    arguments, argument_digests = _split(step.input, given, inline, payloads)
    header: dict[str, Any] = {
        "v": FORMAT,
        "app": system.name,
        "tenant": command.actor.tenant,
        "kind": step.after.entity,
        "id": str(step.after.id),
        "ver": step.after.version,
        "prev": prev.hex(),
        "transition": step.transition.name,
        "from": None if step.before is None else step.before.state,
        "to": step.after.state,
        "changes": changes,
        "input": arguments,
        "actor": _actor(command),
        "command": str(command.command_id),
        "cause": _cause(step),
        "reads": [
            [kind, str(record_id), version] for (kind, record_id), version in sorted(decision.reads.items())
        ],
        "request": context.request_id,
        "boundary": system.fingerprint.hex(),
        "at": instant(context.at),
    }
    if digests:
        header["changes_sha256"] = digests
    if argument_digests:
        header["input_sha256"] = argument_digests
    performers = step.after.performers
    if performers and (step.before is None or performers != step.before.performers):
        header["performers"] = {name: list(subjects) for name, subjects in performers.items()}
    data = canonical.encode_trusted(header)
    return Entry(data, canonical.leaf_hash(data), payloads)


def _actor(command: Command) -> dict[str, JsonValue]:
    actor = command.actor
    return {"subject": str(actor.subject), "roles": sorted(actor.roles), "credential": actor.credential}


def _cause(step: Step) -> JsonValue:
    if step.cause is None:
        return None
    (kind, record_id), version = step.cause
    return {"kind": kind, "id": str(record_id), "ver": version}


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
