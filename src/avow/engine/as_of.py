"""Records as they could be known at a time: their rows, taken back by what came since.

A row is the newest snapshot of its record that there is, and the only one that is kept: an erasure needs no
other place. So a record that hasn't changed since costs no entry, and one that has costs what came since, and
the way back to where the fields were set that were changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from avow.canonical import INTEGER_MAX
from avow.engine.explain import Reader, View
from avow.errors import reject
from avow.evidence.provenance import Sight, Told, rebuild
from avow.kernel.command import Key, Record
from avow.model.actor import Actor
from avow.model.entity import Entity
from avow.model.system import System
from avow.store.reads import ENTRIES_MAX, Listing, Page, Reads

NEAR: Final = 16
"""How many entries are looked at first, backwards; then four times as many, up to ENTRIES_MAX."""


async def as_it_was(
    system: System, reads: Reads, actor: Reader, entity: Entity, record_id: UUID
) -> dict[str, Any] | None:
    """A record as it was up to the horizon of the reads; None where it wasn't there or may not be read.

    Who may see which field is decided by the record as it is today.
    """
    view, key = View(system, reads, actor), (entity.name, record_id)
    sight = await view.sight(key)
    if sight is None:
        return None
    row = view.row(key)
    newest = INTEGER_MAX if row is None else row.version
    version = (await reads.known(actor.tenant, entity.name, {record_id: newest}))[record_id]
    if version == 0:
        return None
    if version is None:
        return await _dropped(reads, actor.tenant, key)
    if row is None:
        known = rebuild(entries := await view.all_entries(key), version)
        state, values = entries[-1].header["to"], {name: known.value(name)["value"] for name in entity.fields}
    else:
        state, values = await _Back(view, reads, actor.tenant, key, entity, row).to(version, sight)
    shown: dict[str, Any] = {"id": str(record_id), "version": version, "state": state}
    return await view.filled(shown | {name: values[name] for name in entity.fields if sight.sees(name)})


async def page_of_then(
    reads: Reads, entity: Entity, actor: Actor, listing: Listing
) -> tuple[Page, UUID | None]:
    """A page of the records that may have fitted the filters then, of those that the actor may read today;
    and after which id the next page goes on.

    They are those that fit today, and those that have changed since; where too many have, all of them, of
    which few may fit. So a page may be shorter than asked, though there are more.
    """
    everything, wanted = replace(listing, filters={}, state=None), listing.limit + 1
    fitting = await reads.page(entity, actor, listing)
    # Asked after: a record that has stopped to fit before the page was read has changed by now.
    changed = None
    if everything != listing:
        changed = await reads.changed_since(actor.tenant, entity.name, listing.after, wanted)
    if changed is None:
        page = fitting if everything == listing else await reads.page(entity, actor, everything)
        return page, page.records[-1].id if page.more else None
    moved = await reads.page(entity, actor, replace(everything, among=changed, limit=wanted))
    # Where one of the two was cut off, the other one alone doesn't tell everything that comes then.
    cut = [changed[-1]] if len(changed) == wanted else []
    cut += [fitting.records[-1].id] if fitting.more else []
    end = min(cut, default=None)
    found = {record.id: record for record in (*fitting.records, *moved.records)}
    ids = sorted(id_ for id_ in found if end is None or id_ <= end)
    records = tuple(found[id_] for id_ in ids[: listing.limit])
    after = records[-1].id if len(ids) > listing.limit else end
    return Page(records, after is not None, max(fitting.now, moved.now)), after


async def page_as_it_was(
    reads: Reads, actor: Reader, entity: Entity, records: Sequence[Record]
) -> Mapping[UUID, int]:
    """Which of the rows of a page were there, with their versions of that time.

    One whose version is today's is as its row has it.
    """
    newest = {record.id: record.version for record in records}
    known = await reads.known(actor.tenant, entity.name, newest)
    for record_id, version in known.items():
        if version is None:
            await _dropped(reads, actor.tenant, (entity.name, record_id))
    return {record_id: version for record_id, version in known.items() if version}


async def _dropped(reads: Reads, tenant: str, key: Key) -> None:
    """Raises ProblemError where the beginning of a record's history was dropped, and so can't be told."""
    gone = await reads.dropped(tenant, *key)
    if gone is not None:
        said = f"The entries of its versions up to {gone.upto} were dropped from the database."
        raise reject("history-dropped", said)


class _Back:
    """The way from a record's row back to what it was."""

    def __init__(self, view: View, reads: Reads, tenant: str, key: Key, entity: Entity, row: Record) -> None:
        self._view, self._reads, self._tenant, self._key = view, reads, tenant, key
        self._entity, self._row = entity, row

    async def to(self, version: int, sight: Sight) -> tuple[str, dict[str, Any]]:
        """State and values at a version; raises ProblemError where the entries that set them were dropped."""
        seen = {name for name in self._entity.fields if sight.sees(name)}
        missing = await self._changed_after(version, seen)
        values = {name: self._of_today(name) for name in seen - missing}
        if version >= self._row.version:
            return self._row.state, values
        state, found, end, width = "", dict[str, Any](), version, NEAR
        while end and (missing or not state):
            start = max(0, end - width)
            told = [entry for entry in await self._view.entries(self._key, start) if entry.version <= end]
            for entry in reversed(told):
                state = state or entry.header["to"]
                found |= {name: entry.change(name) for name in missing & entry.changed}
                missing -= entry.changed
            if not told or told[0].version > start + 1:
                await _dropped(self._reads, self._tenant, self._key)
            end, width = start, min(4 * width, ENTRIES_MAX)
        return state, {**dict.fromkeys(missing), **values, **found}

    async def _changed_after(self, version: int, seen: set[str]) -> set[str]:
        """Which of these fields were changed after a version; the rest is as the row has it."""
        changed, end = set[str](), version
        while end < self._row.version and not changed >= seen:
            since = await self._view.entries_since(self._key, end)
            changed |= _changed(since, self._row.version) & seen
            end += ENTRIES_MAX  # by number, not by what an entry says, which may have been edited
        return changed

    def _of_today(self, name: str) -> Any:
        value = self._row.values.get(name)
        return None if value is None else self._entity.fields[name].type.dump(value)


def _changed(entries: Sequence[Told], upto: int) -> set[str]:
    """The fields that these entries set, up to a version."""
    return set[str]().union(*(entry.changed for entry in entries if entry.version <= upto))
