"""Is there something behind each private value, or an entry that says that it was erased?

A digest with nothing behind it, or erased by nothing that was allowed to, is a finding; an erased one is
counted. Where the keys of keys are at hand, what is behind a digest is also opened, compared with it, and
forgotten.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from uuid import UUID

from avow.engine.privacy import Reader
from avow.evidence.boundaries import Boundaries
from avow.evidence.finding import FINDINGS, Finding
from avow.model.private import OF_ACTOR, PRIVATE
from avow.model.system import System
from avow.store.columns import blind_columns
from avow.store.disclosures import WrappedKey, stored_of
from avow.store.log.audit_scan import EntryScan, Scan

_MARK: Final = b'{"private":"'


class _Place(NamedTuple):
    """One private value of one entry."""

    tenant: str
    kind: str
    id: str
    version: int
    field: str


class _Value(NamedTuple):
    """One private value as its entry names it. of: the field that says whose it is, or OF_ACTOR: `actor`;
    None where the boundary isn't known. searchable: a keyed hash of it is kept."""

    place: _Place
    digest: str
    of: str | None
    searchable: bool
    actor: str


@dataclass(slots=True)
class PrivateSeen:
    """The private values of what was verified. opened: how many of those kept were opened. erased: how many
    each entry has erased, by its number. leaves: where the logs have those entries: epoch and index; empty
    before all was checked."""

    kept: int = 0
    opened: int = 0
    erased: Counter[int] = field(default_factory=Counter[int])
    leaves: dict[int, tuple[int, int]] = field(default_factory=dict[int, tuple[int, int]])


async def check_private(
    scan: EntryScan, boundaries: Boundaries, reader: Reader | None, rows: Sequence[Any], seen: PrivateSeen
) -> list[Finding]:
    """The findings about the private values of a batch of entries; `seen` counts them.

    reader: opens them; None where there are no keys of keys here.
    """
    read = [one for row in rows if _MARK in row[5] for one in _named(boundaries, row)]
    named = {one.place: one for one in read}
    if not named:
        return []
    places = sorted({place[:4] for place in named})
    behind = {_Place(*row[:5]): row for row in await scan.disclosures(places)}
    found = list[Finding]()
    others = await _erased_for_others(scan, boundaries, named, behind)
    for place, one in named.items():
        row = behind.pop(place, None)
        code = _fault(boundaries, row, one, place in others) or _unreadable(reader, row)
        if code is not None:
            found.append(Finding(*place, code, FINDINGS[code]))
        elif row is not None and row["erased"]:
            seen.erased[row["erased_at"]] += 1
        else:
            seen.kept += 1
            seen.opened += reader is not None
    unknown = "disclosure-unknown"
    found += [Finding(*place, unknown, FINDINGS[unknown]) for place in behind]
    return found


async def check_blind(scan: Scan, system: System) -> list[Finding]:
    """The findings about keyed hashes of private values, by which equal ones are told."""
    return [
        Finding(tenant, entity.name, record, version, blind, "value-edited", FINDINGS["value-edited"])
        for entity in system.entities.values()
        for field, blind in blind_columns(entity).items()
        for tenant, record, version in await scan.blind_edited(entity, field, blind)
    ]


def _fault(boundaries: Boundaries, row: Any, one: _Value, for_another: bool) -> str | None:
    if row is None:
        return "disclosure-missing"
    if row["digest"] != one.digest:
        return "disclosure-edited"
    if row["erased"]:
        founded = _erases(boundaries, row["erased_by"]) is not None and not for_another
        return None if founded else "erasure-unfounded"
    return "disclosure-unreadable" if one.searchable and row["blind"] is None else None


async def _erased_for_others(
    scan: EntryScan, boundaries: Boundaries, named: Mapping[_Place, _Value], behind: Mapping[_Place, Any]
) -> frozenset[_Place]:
    """Those that were erased by an entry that erases what is about somebody else. Whom both are about is what
    their records said then; where that was dropped, nobody can tell."""
    asked = list[tuple[_Place, _Said, _Said]]()
    for place, one in named.items():
        row = behind.get(place)
        person = None if row is None or not row["erased"] else _erases(boundaries, row["erased_by"])
        if row is not None and person is not None and one.of is not None:
            by = row["erased_kind"], row["erased_id"]
            erased = _Said((place.tenant, *by, person), row["erased_version"])
            asked.append((place, _Said((*place[:3], one.of), place.version), erased))
    upto = dict[tuple[str, str, str, str], int]()
    for said in (said for _, *both in asked for said in both):
        upto[said.field] = max(said.version, upto.get(said.field, 0))
    found = await scan.mentions(upto) if upto else {}
    return frozenset(
        place
        for place, about, erased in asked
        if not _same(
            named[place].actor if about.field[3] == OF_ACTOR else about.told(found), erased.told(found)
        )
    )


def _same(whose: str | None, erased: str | None) -> bool:
    return whose is None or erased is None or whose == erased


class _Said(NamedTuple):
    """What a record said at a version in one field: tenant, kind, id and name of that."""

    field: tuple[str, str, str, str]
    version: int

    def told(self, found: Mapping[tuple[str, str, str, str], Sequence[tuple[int, bytes]]]) -> str | None:
        """What its newest entry until then that sets the field sets it to; None where none is there."""
        for version, header in sorted(found.get(self.field, ()), reverse=True):
            try:
                changes: Any = json.loads(header)["changes"]
                if version <= self.version and self.field[3] in changes:
                    return str(changes[self.field[3]])
            except (ValueError, KeyError, TypeError):
                continue
        return None


def _unreadable(reader: Reader | None, row: Any) -> str | None:
    """Without keys at hand it can still be seen that there is none to open it with."""
    if row["erased"]:
        return None
    if reader is None and row["key"] is not None and (row["blind"] is None or row["tenant_key"] is not None):
        return None
    searched = None
    if row["blind"] is not None:
        own = row["tenant_key"]
        wrapped = None if own is None else WrappedKey(own, row["tenant_wrapped"], row["tenant_kek"])
        searched = wrapped, row["blind"]
    if reader is not None and reader.holds(
        row["tenant"], row["kind"], UUID(row["id"]), stored_of(row), searched
    ):
        return None
    return "disclosure-unreadable"


def _erases(boundaries: Boundaries, header: bytes | None) -> str | None:
    """The field that names whom an entry erases, by the boundary that it was decided under; None where it
    erases nobody."""
    try:
        read: Any = json.loads(header or b"null")
        entity = boundaries.described[read["boundary"]]["entities"][read["kind"]]
        return entity["transitions"][read["transition"]].get("erases")
    except (ValueError, KeyError, TypeError):
        return None


def _named(boundaries: Boundaries, row: Any) -> Iterator[_Value]:
    """The private values that an entry names by a field; none if it is damaged: that is found elsewhere."""
    _, tenant, kind, record, version, header, *_ = row
    try:
        read: Any = json.loads(header)
        fields = boundaries.fields.get((read["boundary"], kind))
        given = {name: held for name, held in read["input"].items() if fields is None or name in fields}
        held: dict[str, Any] = {**given, **read["changes"]}
        described: Any = (
            {} if fields is None else boundaries.described[read["boundary"]]["entities"][kind]["fields"]
        )
        actor = str(read["actor"]["subject"])
    except (ValueError, KeyError, TypeError):
        return
    for name, value in held.items():
        if isinstance(value, dict) and [*value] == [PRIVATE]:  # pyright: ignore[reportUnknownArgumentType]
            place, digest = _Place(tenant, kind, record, version, name), str(value[PRIVATE])  # pyright: ignore[reportUnknownArgumentType]
            declared: Any = described.get(name, {})
            yield _Value(place, digest, declared.get("of"), declared.get("searchable") is True, actor)
