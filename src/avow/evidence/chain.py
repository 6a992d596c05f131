"""One record's chain of entries against itself and against its live row.

Pure: it is fed with stored bytes and rows, and gives findings. It must never change or repair anything,
and never believe a decoded copy of what it hashes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, NamedTuple

from avow import canonical
from avow.canonical import JsonValue
from avow.evidence.boundaries import Boundaries, Shape
from avow.evidence.entry import FORMAT

CLOCK_DRIFT_S_MAX: Final = 120.0
"""How far the stored time of an entry may lie from the time of its decision: commit refuses after a minute."""

FINDINGS: Final[Mapping[str, str]] = {
    "entry-altered": "The entry's bytes no longer have the hash that was stored with them.",
    "entry-unreadable": "The entry isn't a header of a format that is known.",
    "entry-missing": "A version has no entry.",
    "entry-twice": "A version has two entries.",
    "entry-misplaced": "The entry says that it belongs to another record or version.",
    "entries-swapped": "Two entries of a record stand in each other's place.",
    "entry-reordered": "The entry was numbered before the one that it follows.",
    "entry-time": "The stored time of the entry isn't the time that it states.",
    "link-broken": "The entry names another predecessor than the one that is there: one of both was replaced.",
    "state-jump": "The entry starts from another state than the one before it left.",
    "boundary-unknown": "The entry names a boundary that was never in force here.",
    "transition-undeclared": "The boundary that the entry names doesn't declare this transition.",
    "field-undeclared": "The boundary that the entry names doesn't declare a field that it changes.",
    "payload-missing": "A long value that the entry names by its hash is gone.",
    "payload-altered": "A long value no longer has the hash that the entry names it by.",
    "value-edited": "A field of the row isn't what its history gives.",
    "state-edited": "The row's state isn't the one that its last entry left.",
    "version-edited": "The row's version isn't that of its last entry.",
    "head-edited": "The row names another last entry than the one that is there.",
    "boundary-edited": "The row names another boundary than its last entry.",
    "time-edited": "The row's time of change isn't that of its last entry.",
    "performers-edited": "Who has performed a step, as the row has it, isn't what its history gives.",
    "row-behind": "The row is at an earlier version than its history: entries were inserted, or the row set back.",
    "row-missing": "There is a history, and no row.",
    "history-missing": "There is a row, and no history.",
    "kind-unknown": "There are entries of a kind that isn't declared.",
    "table-unknown": "There is a table among the entities' that no entity has.",
    "boundary-altered": "The stored description of a boundary isn't the one that its fingerprint names.",
    "edges-edited": "The transitions that commits are checked against aren't those of the boundary's description.",
}
"""Every code of a finding, and what it means."""

_NO_ENTRY: Final = "00" * 32
_UNKNOWN: Final = "?"
"""Stands for a hash or state that a damaged entry leaves open; no state has this name."""
_MALFORMED = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One difference between what is stored and what must be.

    kind, id: the record; empty for a finding about the whole. version: the entry or the row's version;
    0 where there is none. field: the field or column; empty for the whole record. code: a key of FINDINGS.
    """

    tenant: str
    kind: str
    id: str
    version: int
    field: str
    code: str
    detail: str


class Logged(NamedTuple):
    """One row of the audit log, as it is stored."""

    number: int
    tenant: str
    kind: str
    id: str
    version: int
    header: bytes
    hash: bytes
    at: datetime


class Live(NamedTuple):
    """One live row; values and performers in the form that entries have them in."""

    version: int
    state: str
    head: bytes
    boundary: bytes
    changed_at: str
    values: dict[str, Any]
    performers: tuple[Any, ...]


class Digest(str):
    """Stands for a long value: its SHA-256 in hexadecimal."""

    __slots__ = ()


class RecordCheck:
    """Follows one record's entries in the order of their versions, then compares with its row.

    Keeps the last entry only, so that a record of a million entries takes as much memory as one of two.
    `findings` grows as it goes.
    """

    __slots__ = (
        "_at", "_boundaries", "_boundary", "_damaged", "_entries", "_first_boundary", "_head", "_misplaced",
        "_number", "_performers", "_shape", "_state", "_values", "findings", "id", "kind", "tenant", "version",
    )  # fmt: skip

    def __init__(self, boundaries: Boundaries, shape: Shape | None, tenant: str, kind: str, id: str) -> None:
        self.tenant, self.kind, self.id = tenant, kind, id
        self.findings = list[Finding]()
        self.version = 0
        self._boundaries, self._shape = boundaries, shape
        self._number, self._head = 0, _NO_ENTRY
        self._state: str | None = None
        self._boundary, self._first_boundary, self._at = "", "", ""
        self._values = dict[str, Any]()
        self._performers = dict[str, Any]()
        self._damaged = False
        self._misplaced = dict[int, int]()

    def follow(self, entry: Logged) -> None:
        """Take the next entry."""
        number, _, _, _, version, data, stored, _ = entry
        header: Any = None
        try:
            header = json.loads(data.decode())
            changes, boundary = header["changes"], header["boundary"]
            sound = (
                sha256(b"\x00" + data).digest() == stored
                and header["ver"] == version == self.version + 1
                and header["prev"] == self._head
                and header["id"] == self.id
                and header["from"] == self._state
                and (boundary, self.kind, header["transition"], self._state, header["to"])
                in self._boundaries.edges
                and changes.keys() <= self._boundaries.fields[boundary, self.kind]
                and header["v"] == FORMAT
                and header["kind"] == self.kind
                and header["tenant"] == self.tenant
                and number > self._number
                and _drift_s(entry.at, header["at"]) <= CLOCK_DRIFT_S_MAX
                and canonical.encode_trusted(header) == data
            )
        except _MALFORMED:
            sound = False
        if not sound:
            header = _Examination(self, entry, header).header
            self._damaged = True
        else:
            self._head, self._state = stored.hex(), header["to"]
        self._number = max(self._number, number)
        self.version = max(self.version, version)
        if header is not None:
            self._take(header)

    def _take(self, header: Any) -> None:
        """Rebuild: what the record is after this entry."""
        self._values.update(header["changes"])
        self._boundary, self._at = header["boundary"], header["at"]
        self._first_boundary = self._first_boundary or self._boundary
        if "performers" in header:
            self._performers.update(header["performers"])
        if "changes_sha256" in header:
            self._values.update((name, Digest(held)) for name, held in header["changes_sha256"].items())

    def conclude(self, live: Live | None) -> None:
        """Compare with the live row, after the last entry."""
        self._report_misplaced()
        shape = self._shape
        if shape is None:
            self.report(0, "", "kind-unknown", f"no entity is called {self.kind}")
            return
        if live is None:
            said = f"its history ends in {self._state} at version {self.version}"
            self.report(self.version, "", "row-missing", f"there is no row; {said}")
            return
        if live.version != self.version:
            if self._explain_version(live):
                return  # the rest of the row belongs to another version
        elif live.head.hex() != self._head and self._head != _UNKNOWN:
            self.report(self.version, "head", "head-edited", "the row names another entry as its last")
        if live.state != self._state and self._state != _UNKNOWN:
            detail = f"the row is in {live.state}; its last entry left it in {self._state}"
            self.report(self.version, "state", "state-edited", detail)
        if live.boundary.hex() != self._boundary:
            self.report(self.version, "boundary", "boundary-edited", "it names another boundary than its entry")
        if live.changed_at != self._at:
            self.report(self.version, "changed_at", "time-edited", f"its last entry was made at {self._at}")
        self._compare_values(shape, live)

    def _explain_version(self, live: Live) -> bool:
        """Whether the row belongs to another version than the last entry, or only says so."""
        if live.head.hex() == self._head:
            detail = f"the row says {live.version}; its last entry is version {self.version}"
            self.report(self.version, "version", "version-edited", detail)
            return False
        if live.version > self.version:
            self._report_gap(self.version + 1, live.version)
        else:
            detail = f"the row is at version {live.version}; entries go on to {self.version}"
            self.report(live.version + 1, "", "row-behind", detail)
        return True

    def _compare_values(self, shape: Shape, live: Live) -> None:
        expected = {**shape.blank, **self._values}
        same = live.values == expected
        if not same or shape.json_fields:
            for name in shape.blank:
                if not self._holds(shape, name, live.values[name]):
                    detail = "what remains of its history gives another value" if self._damaged else (
                        "the value was edited by hand: its history gives another one"
                    )
                    self.report(self.version, name, "value-edited", detail)
        for transition, held in zip(shape.tracked, live.performers, strict=True):
            if (held or None) != (self._performers.get(transition) or None):
                detail = f"who performed {transition} isn't what its history gives"
                self.report(self.version, f"by_{transition}", "performers-edited", detail)

    def _holds(self, shape: Shape, name: str, held: Any) -> bool:
        if name not in self._values:
            declared = self._boundaries.fields.get((self._first_boundary, self.kind), frozenset())
            return held is None or (name not in declared and held in shape.backfills[name])
        expected = self._values[name]
        if isinstance(expected, Digest):
            return canonical.digest(canonical.encode_trusted(held)).hex() == expected
        if name in shape.json_fields:
            return canonical.encode_trusted(held) == canonical.encode_trusted(expected)
        return held == expected and type(held) is type(expected)

    def report(self, version: int, field: str, code: str, detail: str) -> None:
        """Add a finding about this record."""
        self.findings.append(Finding(self.tenant, self.kind, self.id, version, field, code, detail))

    def _report_gap(self, first: int, last: int) -> None:
        detail = f"version {first} has no entry" if first == last else f"versions {first} to {last} have no entries"
        self.report(first, "", "entry-missing", detail)

    def _report_misplaced(self) -> None:
        for version, said in sorted(self._misplaced.items()):
            if self._misplaced.get(said) != version:
                detail = f"the entry in the place of version {version} says that it is version {said}"
                self.report(version, "", "entry-misplaced", detail)
            elif version < said:
                detail = f"the entries of versions {version} and {said} stand in each other's place"
                self.report(version, "", "entries-swapped", detail)

    def damage(self, entry: Logged, header: Any) -> Any:
        """Say what is wrong with an entry that isn't sound, and give back what of it can be followed."""
        version = entry.version
        if version <= self.version:
            self.report(version, "", "entry-twice", f"version {version} has two entries")
            return None
        follows = version == self.version + 1
        if not follows:
            self._report_gap(self.version + 1, version - 1)
        if sha256(b"\x00" + entry.header).digest() != entry.hash:
            self.report(version, "", "entry-altered", "its bytes or its hash were edited by hand")
        self._head, before = entry.hash.hex(), (self._head, self._state)
        if not _is_header(header) or canonical.encode_trusted(header) != entry.header:
            self.report(version, "", "entry-unreadable", f"it isn't a canonical header of format {FORMAT}")
            self._state = _UNKNOWN
            return None
        if self._is_elsewhere(header, version):
            self._head = self._state = _UNKNOWN
            return header
        if follows:
            self._compare_links(version, header, before)
        if entry.number <= self._number:
            self.report(version, "", "entry-reordered", f"it has number {entry.number}, after {self._number}")
        if _drift_s(entry.at, header["at"]) > CLOCK_DRIFT_S_MAX:
            self.report(version, "at", "entry-time", f"it states {header['at']}")
        self._state = header["to"]
        self._compare_boundary(version, header)
        return header

    def _is_elsewhere(self, header: Any, version: int) -> bool:
        """Whether the entry belongs to another record or version, by what it says of itself."""
        if (header["tenant"], header["kind"], header["id"]) != (self.tenant, self.kind, self.id):
            said = f"{header['kind']} {header['id']}"
            self.report(version, "", "entry-misplaced", f"the entry says that it belongs to {said}")
            return True
        if header["ver"] != version:
            self._misplaced[version] = header["ver"]
            return True
        return False

    def _compare_links(self, version: int, header: Any, before: tuple[str, str | None]) -> None:
        head, state = before
        if header["prev"] != head and head != _UNKNOWN:
            said = "it names a predecessor" if version == 1 else f"version {version - 1} isn't the one that it names"
            self.report(version, "", "link-broken", f"{said}: one of both was replaced")
        if header["from"] != state and state != _UNKNOWN:
            self.report(version, "state", "state-jump", f"it starts from {header['from']}; before it was {state}")

    def _compare_boundary(self, version: int, header: Any) -> None:
        boundary, name = header["boundary"], header["transition"]
        declared = self._boundaries.fields.get((boundary, self.kind))
        if declared is None:
            self.report(version, "", "boundary-unknown", f"no boundary {boundary[:16]} was in force for {self.kind}")
            return
        if (boundary, self.kind, name, header["from"], header["to"]) not in self._boundaries.edges:
            detail = f"{name} from {header['from']} to {header['to']} isn't declared in boundary {boundary[:16]}"
            self.report(version, "", "transition-undeclared", detail)
        for field in sorted({*header["changes"], *header.get("changes_sha256", {})} - declared):
            self.report(version, field, "field-undeclared", f"boundary {boundary[:16]} has no such field")
