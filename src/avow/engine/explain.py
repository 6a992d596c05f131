"""Why a record is as it is, and what happened to it, for somebody who may see only some of it.

Both the HTTP door and the command line ask here. Records that the reader may not see are only said to
exist. It must never decide or write anything.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from avow import canonical
from avow.declare.loads import read_loads
from avow.errors import reject
from avow.evidence.provenance import (
    HIDDEN,
    Rested,
    Rules,
    Sight,
    Told,
    explain,
    filled,
    history_item,
    long_values,
    place_of,
    rebuild,
    tell,
    version_read,
)
from avow.kernel.command import Key, Record
from avow.kernel.draft import Pool
from avow.kernel.policy import may_read, readable_fields
from avow.model.actor import Actor
from avow.model.entity import Entity
from avow.model.system import System
from avow.model.types import instant
from avow.store.loading import plan_record
from avow.store.reads import ENTRIES_MAX, Reads, StoredEntry

CAUSES_MAX = 10
"""How far back a chain of causes is told."""
WINDOWS_MAX = 5
"""How many times ENTRIES_MAX entries are searched, backwards, for the one that set a field."""

SHA256 = re.compile("[0-9a-f]{64}")

UNSEEN = "a record that you may not see"


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody who works on the database itself, and sees every record of one tenant."""

    tenant: str


Reader = Actor | Operator
Shown = TypeVar("Shown")


async def history(
    system: System, reads: Reads, actor: Reader, entity: Entity, record_id: UUID, after_version: int,
    limit: int,
) -> list[dict[str, Any]] | None:  # fmt: skip
    """The entries of a record after a version, oldest first, at most `limit`; None where it may not be read.

    A change whose old value was set more than ENTRIES_MAX - `limit` versions ago is given without it.
    """
    view = View(system, reads, actor)
    sight = await view.sight((entity.name, record_id))
    if sight is None:
        return None
    start = max(0, after_version - (ENTRIES_MAX - limit))
    entries = await view.entries((entity.name, record_id), start)
    items = list[dict[str, Any]]()
    for place, entry in enumerate(entries):
        if entry.version > after_version and len(items) < limit:
            items.append(await view.veil(history_item(entries, place, sight)))
    return await view.filled(items)


async def why(
    system: System, reads: Reads, actor: Reader, entity: Entity, record_id: UUID, field: str | None,
    at: datetime | None,
) -> dict[str, Any] | None:  # fmt: skip
    """Why a record, or one field of it, is as it is or was at a time; None for one that may not be read.

    `because` is the entry that made it so, with the entries that caused that one in `cause`, from near to
    far; null where the record did not exist yet. A field that may not be seen is only said to be hidden.
    """
    view = View(system, reads, actor)
    key = (entity.name, record_id)
    sight = await view.sight(key)
    if sight is None:
        return None
    shown: dict[str, Any] = {"kind": entity.name, "id": str(record_id), "field": field}
    if at is not None:
        shown["at"] = instant(at)
    if field is not None and not sight.sees(field):
        return {**shown, **HIDDEN}
    last, entries, place = await view.search(key, field, at)
    if isinstance(actor, Operator) and (gone := await reads.dropped(actor.tenant, *key)) is not None:
        shown["dropped"] = {"version": gone.upto, "at": instant(gone.at), "exported_to": gone.exported_to}
    if place is None or last is None:
        return {**shown, "because": None}
    known = rebuild(entries, last.version)
    shown |= {"version": last.version, "state": last.header["to"]}
    if field is None:
        names = [name for name in entity.fields if sight.sees(name)]
        shown["values"] = {name: known.value(name) for name in names}
    else:
        shown |= known.value(field)
    shown["because"] = await view.because(key, entries, place, sight, CAUSES_MAX)
    return await view.filled(shown)


class View:
    """One reader's view; remembers what was looked up for one answer."""

    def __init__(self, system: System, reads: Reads, reader: Reader) -> None:
        self._system, self._reads, self._reader = system, reads, reader
        self._sights = dict[Key, "Sight | None"]()
        self._described = dict[str, Any]()
        self._rows = dict[Key, Record]()
        self._versions = dict[Key, int]()

    async def sight(self, key: Key) -> Sight | None:
        """What the reader may see of a record; None for nothing."""
        if key not in self._sights:
            self._sights[key] = await self._look(key)
        return self._sights[key]

    async def _look(self, key: Key) -> Sight | None:
        kind, record_id = key
        entity = self._system.entities.get(kind)
        if entity is None:
            return await self._look_back(key)
        plan = plan_record(self._system, entity, read_loads(entity, self._system.entities))
        loaded = await self._reads.load(plan, self._reader.tenant, record_id)
        record = loaded.records.get(key)
        if record is None:
            return await self._look_back(key)
        self._rows[key] = record
        known = await self._reads.known(self._reader.tenant, kind, {record_id: record.version})
        self._versions[key] = known[record_id] or 0
        if isinstance(self._reader, Operator):
            return Sight((), everything=True)
        pool = Pool(self._system, self._reader, loaded.now, loaded.records, {})
        if not may_read(pool, record):
            return None
        fields = readable_fields(entity, pool, record)
        return Sight(frozenset(fields), everything=len(fields) == len(entity.fields))

    def row(self, key: Key) -> Record | None:
        """A record as it is today, once somebody has asked what may be seen of it; None: it has no row."""
        return self._rows.get(key)

    async def _look_back(self, key: Key) -> Sight | None:
        """Of a record without a row the history is still told, to those who may see everything."""
        if not isinstance(self._reader, Operator):
            return None
        found = await self._reads.entries(self._reader.tenant, key[0], key[1])
        return Sight((), everything=True) if found else None

    async def entries(self, key: Key, after: int) -> list[Told]:
        """The entries of a record after a version, at most ENTRIES_MAX. ProblemError for a damaged one."""
        return self._told(await self._reads.entries(self._reader.tenant, key[0], key[1], after))

    async def entries_since(self, key: Key, after: int) -> list[Told]:
        """The same, also of what lies beyond the horizon of the reads."""
        return self._told(await self._reads.entries_since(self._reader.tenant, key[0], key[1], after))

    def _told(self, entries: Sequence[StoredEntry]) -> list[Told]:
        told = list[Told]()
        for stored in entries:
            before = told[-1] if told else None
            try:
                told.append(tell(stored.entry, stored.header, stored.hash, {}, before))
            except ValueError:
                raise reject(
                    "internal-error", f"Version {stored.version} of its history can't be read."
                ) from None
        return told

    async def all_entries(self, key: Key) -> list[Told]:
        """Every entry of a record, from its creation on."""
        found, after = list[Told](), 0
        while stored := await self._reads.entries(self._reader.tenant, key[0], key[1], after):
            found += self._told(stored)
            after = stored[-1].version  # as the row has it: what an entry says may have been edited
        return found

    async def filled(self, told: Shown) -> Shown:
        """What is told, with its long values; only those are fetched, not all that the entries name."""
        wanted = [bytes.fromhex(sha) for sha in long_values(told) if SHA256.fullmatch(sha)]
        return filled(told, await self._reads.payloads(self._reader.tenant, wanted)) if wanted else told

    async def search(
        self, key: Key, field: str | None, at: datetime | None
    ) -> tuple[Told | None, Sequence[Told], int | None]:
        """The last entry by that time; and the one that set the field, as its place among entries."""
        end, last = await self.newest(key), None
        for _ in range(WINDOWS_MAX):
            start = max(0, end - ENTRIES_MAX)
            entries = await self.entries(key, start)
            if not entries and self._versions.pop(key, None):
                end = await self.newest(key)  # the row's version was edited by hand
                continue
            newest = place_of(entries, None, at)
            last = last or (None if newest is None else entries[newest])
            place = place_of(entries, field, at)
            if place is not None or start == 0:
                return last, entries, place
            end = start
        return last, (), None

    async def newest(self, key: Key) -> int:
        """The newest version of a record: its row's, or that of its last entry where it has no row."""
        if key in self._versions:
            return self._versions[key]
        newest = 0
        while found := await self._reads.entries(self._reader.tenant, key[0], key[1], newest):
            newest = found[-1].version
            if len(found) < ENTRIES_MAX:
                break
        return newest

    async def because(
        self, key: Key, entries: Sequence[Told], place: int, sight: Sight, depth: int
    ) -> dict[str, Any]:
        """One entry with what led to it, and what caused it."""
        rules = await self._rules(key[0], entries[place].header["boundary"])
        told = explain(entries, place, sight, rules)
        if "rested_on" in told:
            told["rested_on"] = await self._followed(entries[place], told["rested_on"])
        shown = await self.veil(told, keep_cause=True)
        cause = shown["cause"]
        if cause is None or depth == 0:
            return shown
        its_key = (cause["kind"], UUID(cause["id"]))
        its_sight = await self.sight(its_key)
        if its_sight is None:
            return _mask({**shown, "cause": {**HIDDEN, "detail": UNSEEN}})
        its_entries = await self.entries(its_key, max(0, cause["ver"] - ENTRIES_MAX))
        its_place = next((i for i, e in enumerate(its_entries) if e.version == cause["ver"]), None)
        if its_place is None:
            return {**shown, "cause": _reference(cause)}
        told = await self.because(its_key, its_entries, its_place, its_sight, depth - 1)
        return {**shown, "cause": told}

    async def _followed(self, entry: Told, parts: Sequence[Rested]) -> list[Rested]:
        """What was rested on, with the records at the end of references as they were at that moment."""
        found = [await self._follow(entry, part) if "of" in part else part for part in parts]
        return [part for part in found if part is not None]

    async def _follow(self, entry: Told, part: Rested) -> Rested | None:
        """One that leads to another record; None: the decision didn't come to it."""
        read, of, on = part["read"], part["of"], part.get("on", ())
        for name in on:
            key, boundary = (of["kind"], UUID(of["id"])), entry.header["boundary"]
            described = (await self._rules(of["kind"], boundary)).fields.get(name, {})
            if described.get("type") != "reference":
                break
            sight = await self.sight(key)
            if sight is None:
                break
            if not sight.sees(name):
                return {"read": read, **HIDDEN}
            of = await self._by_then(entry, of)
            known = rebuild(await self.entries(key, max(0, of["version"] - ENTRIES_MAX)), of["version"])
            held = known.value(name)
            if held.get("value") is None:
                return {"read": read, **held}
            of = version_read(entry, described["entity"], held["value"])
            if of is None:
                return None
        return {"read": read, "of": await self._by_then(entry, of)}

    async def _by_then(self, entry: Told, of: Rested) -> Rested:
        """A record in the version that an earlier step of the same command had made of it, if one did."""
        if entry.header["cause"] is None:
            return of
        later = await self.entries((of["kind"], UUID(of["id"])), of["version"])
        command, number = entry.header["command"], entry.number
        own = (told.version for told in later if told.header["command"] == command and told.number < number)
        return {**of, "version": max(own, default=of["version"])}

    async def _rules(self, kind: str, boundary: str) -> Rules:
        """What a boundary declares of a kind, if the boundary is known here."""
        if boundary not in self._described:
            named = bytes.fromhex(boundary) if SHA256.fullmatch(boundary) else b""
            held = await self._reads.boundary(named)
            genuine = held is not None and canonical.digest(held).hex() == boundary
            self._described[boundary] = canonical.decode(held) if held is not None and genuine else {}
        entity = self._described[boundary].get("entities", {}).get(kind, {})
        return Rules(boundary, entity, boundary == self._system.fingerprint.hex())

    async def veil(self, shown: dict[str, Any], keep_cause: bool = False) -> dict[str, Any]:
        """Leave out which other records an entry speaks of, where the reader may not see them."""
        if not keep_cause and shown.get("cause") is not None:
            shown["cause"] = await self._veiled(_reference(shown["cause"]))
            if "hidden" in shown["cause"]:
                _mask(shown)
        if "reads" in shown:
            shown["reads"] = [await self._veiled(other) for other in shown["reads"]]
        for part in shown.get("rested_on", ()):
            if "of" in part:
                part["of"] = await self._veiled(part["of"])
        return shown

    async def _veiled(self, other: dict[str, Any]) -> dict[str, Any]:
        sight = await self.sight((other["kind"], UUID(other["id"])))
        return {**HIDDEN, "detail": UNSEEN} if sight is None else other


def _reference(cause: dict[str, Any]) -> dict[str, Any]:
    return {"kind": cause["kind"], "id": cause["id"], "version": cause["ver"]}


def _mask(shown: dict[str, Any]) -> dict[str, Any]:
    """Whose command it was belongs to the cause: who may not see that one learns nobody's name here."""
    shown |= {name: dict(HIDDEN) for name in ("actor", "request", "command_id") if name in shown}
    if "input" in shown:
        shown["input"] = {name: dict(HIDDEN) for name in shown["input"]}
    return shown
