"""Is there something behind each private value, or an entry that says that it was erased?

A digest with nothing behind it, or erased by nothing that was allowed to, is a finding; an erased one is
counted. Where the keys of keys are at hand, what is behind a digest is also opened, compared with it, and
forgotten.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from uuid import UUID

from avow.engine.privacy import Reader
from avow.evidence.boundaries import Boundaries
from avow.evidence.finding import FINDINGS, Finding
from avow.model.private import PRIVATE
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


@dataclass(slots=True)
class PrivateSeen:
    """The private values of what was verified. opened: how many of those kept were opened. erased: how many
    each entry has erased, by its number."""

    kept: int = 0
    opened: int = 0
    erased: Counter[int] = field(default_factory=Counter[int])


async def check_private(
    scan: EntryScan, boundaries: Boundaries, reader: Reader | None, rows: Sequence[Any], seen: PrivateSeen
) -> list[Finding]:
    """The findings about the private values of a batch of entries; `seen` counts them.

    reader: opens them; None where there are no keys of keys here.
    """
    named = {place: digest for row in rows if _MARK in row[5] for place, digest in _named(boundaries, row)}
    if not named:
        return []
    places = sorted({place[:4] for place in named})
    behind = {_Place(*row[:5]): row for row in await scan.disclosures(places)}
    found = list[Finding]()
    for place, digest in named.items():
        row = behind.pop(place, None)
        code = _fault(boundaries, row, digest) or _unreadable(reader, row)
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


def _fault(boundaries: Boundaries, row: Any, digest: str) -> str | None:
    if row is None:
        return "disclosure-missing"
    if row["digest"] != digest:
        return "disclosure-edited"
    if row["erased"] and not _erases(boundaries, row["erased_by"]):
        return "erasure-unfounded"
    return None


def _unreadable(reader: Reader | None, row: Any) -> str | None:
    """Without keys at hand it can still be seen that there is none to open it with."""
    if row["erased"] or (reader is None and row["key"] is not None):
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


def _erases(boundaries: Boundaries, header: bytes | None) -> bool:
    """Whether an entry is one of a transition that erases, by the boundary that it was decided under."""
    try:
        read: Any = json.loads(header or b"null")
        entity = boundaries.described[read["boundary"]]["entities"][read["kind"]]
        return entity["transitions"][read["transition"]].get("erases") is not None
    except (ValueError, KeyError, TypeError):
        return False


def _named(boundaries: Boundaries, row: Any) -> Iterator[tuple[_Place, str]]:
    """The private values that an entry names by a field; none if it is damaged: that is found elsewhere."""
    _, tenant, kind, record, version, header, *_ = row
    try:
        read: Any = json.loads(header)
        fields = boundaries.fields.get((read["boundary"], kind))
        given = {name: held for name, held in read["input"].items() if fields is None or name in fields}
        held: dict[str, Any] = {**given, **read["changes"]}
    except (ValueError, KeyError, TypeError):
        return
    for name, value in held.items():
        if isinstance(value, dict) and [*value] == [PRIVATE]:  # pyright: ignore[reportUnknownArgumentType]
            yield _Place(tenant, kind, record, version, name), str(value[PRIVATE])  # pyright: ignore[reportUnknownArgumentType]
