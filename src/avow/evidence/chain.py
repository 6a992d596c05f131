"""One record's chain of entries against itself and against its live row.

Pure: it is fed with stored bytes and rows, and gives findings. It must never change or repair anything,
and never believe a decoded copy of what it hashes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final, NamedTuple, cast
from uuid import UUID

from avow import canonical
from avow.evidence.awaited import Awaited, Wait, Waiting
from avow.evidence.boundaries import Boundaries, Shape
from avow.evidence.entry import FORMAT
from avow.evidence.finding import Finding

CLOCK_DRIFT_S_MAX: Final = 120.0
"""How far the stored time of an entry may lie from its decision: commit refuses after a minute."""

_DRIFT_MAX: Final = timedelta(seconds=CLOCK_DRIFT_S_MAX)
_NO_ENTRY: Final = "00" * 32
_UNKNOWN: Final = "?"
"""Stands for a hash or state that a damaged entry leaves open; no state has this name."""
_MALFORMED = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


_decode = json.JSONDecoder().raw_decode
_instant = datetime.fromisoformat


def _read(data: bytes) -> Any:
    """The one JSON value that these bytes are, with nothing around it. Raises ValueError."""
    text = data.decode()
    value, end = _decode(text)
    if end != len(text):
        raise ValueError("there is something behind it")
    return value


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
        "_at", "_awaited", "_boundaries", "_boundary", "_damaged", "_first_boundary", "_head", "_misplaced",
        "_number", "_partial", "_performers", "_shape", "_state", "_values", "findings", "kind", "record",
        "tenant", "version",
    )  # fmt: skip

    def __init__(
        self, boundaries: Boundaries, shape: Shape | None, tenant: str, kind: str, record: str
    ) -> None:
        self.tenant, self.kind, self.record = tenant, kind, record
        self.findings = list[Finding]()
        self.version = 0
        self._boundaries, self._shape = boundaries, shape
        self._number, self._head = 0, _NO_ENTRY
        self._state: str | None = None
        self._boundary, self._first_boundary, self._at = "", "", ""
        self._values = dict[str, Any]()
        self._performers = dict[str, Any]()
        self._damaged = self._partial = False
        self._awaited: Awaited | None = None
        self._misplaced = dict[int, int]()

    def go_on_from(self, version: int, number: int, digest: bytes) -> None:
        """Begin behind a version whose entry was dropped, as the log names it: what it and those before it
        have set isn't known."""
        self.version, self._number, self._head = version, number, digest.hex()
        self._state, self._partial = _UNKNOWN, True

    def follow(self, entry: Iterable[Any]) -> None:
        """Take the next entry: a `Logged`, or a row with the same columns."""
        number, _, _, _, version, data, stored, at = entry
        header: Any = None
        try:
            header = _read(data)
            changes, boundary = header["changes"], header["boundary"]
            sound = (
                sha256(b"\x00" + data).digest() == stored
                and header["ver"] == version == self.version + 1
                and header["prev"] == self._head
                and header["id"] == self.record
                and header["from"] == self._state
                and (boundary, self.kind, header["transition"], self._state, header["to"])
                in self._boundaries.edges
                and changes.keys() <= (declared := self._boundaries.fields[boundary, self.kind])
                and ("changes_sha256" not in header or header["changes_sha256"].keys() <= declared)
                and ("performers" not in header or type(header["performers"]) is dict)
                and header["v"] == FORMAT
                and header["kind"] == self.kind
                and header["tenant"] == self.tenant
                and number > self._number
                and -_DRIFT_MAX <= at - _instant(header["at"]) <= _DRIFT_MAX
            )
        except _MALFORMED:
            sound = False
        if sound:
            self._head, self._state = stored.hex(), header["to"]
            self._number, self.version = number, version
            self._take(header)
            return
        self._damaged = True
        header = self._examine(Logged(*entry), header)
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
        if self._awaited is not None or "waits" in header or "tasks" in header:
            self._await(header)
        if "changes_sha256" in header:
            self._values.update((name, Digest(held)) for name, held in header["changes_sha256"].items())

    def _await(self, header: Any) -> None:
        self._awaited = self._awaited or Awaited()
        try:
            self._awaited.take(header)
        except _MALFORMED:
            self._damaged = True

    def compare_waiting(self, kept: Waiting, names: frozenset[str]) -> dict[str, Wait]:
        """Compare with what is kept of what the record waits for; nothing can be said of damaged entries.

        Gives back what should be waited for and isn't: a time may have passed without an entry.
        names: of the calls and times that are declared.
        """
        if self._damaged or self._partial:
            return {}
        awaited = self._awaited or Awaited()
        for code, detail in awaited.differences(kept):
            self._report(self.version, "", code, detail)
        return awaited.lost(kept, names)

    def report_lost(self, name: str) -> None:
        """A call or a time of the record is gone from the queue."""
        self._report(self.version, "", "work-missing", f"the record waits for {name}, and nothing will do it")

    def conclude(self, live: Live | None) -> None:
        """Compare with the live row, after the last entry."""
        self._report_misplaced()
        shape = self._shape
        if shape is None:
            self._report(0, "", "kind-unknown", f"no entity is called {self.kind}")
            return
        if live is None:
            said = f"its history ends in {self._state} at version {self.version}"
            self._report(self.version, "", "row-missing", f"there is no row; {said}")
            return
        if live.version != self.version:
            if self._explain_version(live):
                return  # the rest of the row belongs to another version
        elif live.head.hex() != self._head and self._head != _UNKNOWN:
            self._report(self.version, "head", "head-edited", "the row names another entry as its last")
        if live.state != self._state and self._state != _UNKNOWN:
            detail = f"the row is in {live.state}; its last entry left it in {self._state}"
            self._report(self.version, "state", "state-edited", detail)
        if live.boundary.hex() != self._boundary:
            self._report(
                self.version, "boundary", "boundary-edited", "it names another boundary than its entry"
            )
        if live.changed_at != self._at:
            self._report(self.version, "changed_at", "time-edited", f"its last entry was made at {self._at}")
        self._compare_values(shape, live)

    def _explain_version(self, live: Live) -> bool:
        """Whether the row belongs to another version than the last entry, or only says so."""
        if live.head.hex() == self._head:
            detail = f"the row says {live.version}; its last entry is version {self.version}"
            self._report(self.version, "version", "version-edited", detail)
            return False
        if live.version > self.version:
            self._report_gap(self.version + 1, live.version)
        else:
            detail = f"the row is at version {live.version}; entries go on to {self.version}"
            self._report(live.version + 1, "", "row-behind", detail)
        return True

    def _compare_values(self, shape: Shape, live: Live) -> None:
        expected = {**shape.blank, **self._values}
        held = live.values.values()
        same = live.values == expected and [*map(type, held)] == [*map(type, expected.values())]
        if not same or shape.json_fields:
            for name in shape.blank:
                if not self._holds(shape, name, live.values[name]):
                    detail = (
                        "what remains of its history gives another value"
                        if self._damaged
                        else ("the value was edited by hand: its history gives another one")
                    )
                    self._report(self.version, name, "value-edited", detail)
        for transition, held in zip(shape.tracked, live.performers, strict=True):
            unknown = self._partial and transition not in self._performers
            if not unknown and (held or None) != (self._performers.get(transition) or None):
                detail = f"who performed {transition} isn't what its history gives"
                self._report(self.version, f"by_{transition}", "performers-edited", detail)

    def _holds(self, shape: Shape, name: str, held: Any) -> bool:
        if name not in self._values:
            if self._partial:
                return True
            declared = self._boundaries.fields.get((self._first_boundary, self.kind), frozenset())
            return held is None or (name not in declared and held in shape.backfills[name])
        expected = self._values[name]
        if isinstance(expected, Digest):
            return canonical.digest(canonical.encode_trusted(held)).hex() == expected
        if name in shape.json_fields:
            return canonical.encode_trusted(held) == canonical.encode_trusted(expected)
        return held == expected and type(held) is type(expected)

    def _report(self, version: int, field: str, code: str, detail: str) -> None:
        self.findings.append(Finding(self.tenant, self.kind, self.record, version, field, code, detail))

    def _report_gap(self, first: int, last: int) -> None:
        detail = (
            f"version {first} has no entry"
            if first == last
            else f"versions {first} to {last} have no entries"
        )
        self._report(first, "", "entry-missing", detail)

    def _report_misplaced(self) -> None:
        for version, said in sorted(self._misplaced.items()):
            if self._misplaced.get(said) != version:
                detail = f"the entry in the place of version {version} says that it is version {said}"
                self._report(version, "", "entry-misplaced", detail)
            elif version < said:
                detail = f"the entries of versions {version} and {said} stand in each other's place"
                self._report(version, "", "entries-swapped", detail)

    def _examine(self, entry: Logged, header: Any) -> Any:
        """Say what is wrong with an entry that isn't sound, and give back what of it can be followed."""
        version = entry.version
        if version <= self.version:
            self._report(version, "", "entry-twice", f"version {version} has two entries")
            return None
        follows = version == self.version + 1
        if not follows:
            self._report_gap(self.version + 1, version - 1)
        if sha256(b"\x00" + entry.header).digest() != entry.hash:
            self._report(version, "", "entry-altered", "its bytes or its hash were edited by hand")
        self._head, before = entry.hash.hex(), (self._head, self._state)
        if not is_header(header):
            self._report(version, "", "entry-unreadable", f"it isn't a header of format {FORMAT}")
            self._state = _UNKNOWN
            return None
        if self._is_elsewhere(header, version):
            self._head = self._state = _UNKNOWN
            return header
        if follows:
            self._compare_links(version, header, before)
        if entry.number <= self._number:
            self._report(
                version, "", "entry-reordered", f"it has number {entry.number}, after {self._number}"
            )
        if _drift_s(entry.at, header["at"]) > CLOCK_DRIFT_S_MAX:
            self._report(version, "at", "entry-time", f"it states {header['at']}")
        self._state = header["to"]
        self._compare_boundary(version, header)
        return header

    def _is_elsewhere(self, header: Any, version: int) -> bool:
        """Whether the entry belongs to another record or version, by what it says of itself."""
        if (header["tenant"], header["kind"], header["id"]) != (self.tenant, self.kind, self.record):
            said = f"{header['kind']} {header['id']}"
            self._report(version, "", "entry-misplaced", f"the entry says that it belongs to {said}")
            return True
        if header["ver"] != version:
            self._misplaced[version] = header["ver"]
            return True
        return False

    def _compare_links(self, version: int, header: Any, before: tuple[str, str | None]) -> None:
        head, state = before
        if header["prev"] != head and head != _UNKNOWN:
            said = (
                "it names a predecessor"
                if version == 1
                else f"version {version - 1} isn't the one that it names"
            )
            self._report(version, "", "link-broken", f"{said}: one of both was replaced")
        if header["from"] != state and state != _UNKNOWN:
            self._report(
                version, "state", "state-jump", f"it starts from {header['from']}; before it was {state}"
            )

    def _compare_boundary(self, version: int, header: Any) -> None:
        boundary, name = header["boundary"], header["transition"]
        declared = self._boundaries.fields.get((boundary, self.kind))
        if declared is None:
            self._report(
                version, "", "boundary-unknown", f"no boundary {boundary[:16]} was in force for {self.kind}"
            )
            return
        if (boundary, self.kind, name, header["from"], header["to"]) not in self._boundaries.edges:
            detail = (
                f"{name} from {header['from']} to {header['to']} isn't declared in boundary {boundary[:16]}"
            )
            self._report(version, "", "transition-undeclared", detail)
        for field in sorted({*header["changes"], *header.get("changes_sha256", {})} - declared):
            self._report(version, field, "field-undeclared", f"boundary {boundary[:16]} has no such field")


def _drift_s(stored: datetime, stated: str) -> float:
    return abs((stored - datetime.fromisoformat(stated)).total_seconds())


_TEXTS = ("tenant", "kind", "id", "prev", "transition", "to", "boundary", "at", "command", "request")
_OBJECTS = ("changes", "input", "actor")
_MAY_MISS = ("changes_sha256", "input_sha256", "performers", "tasks", "waits")


def _is_reference(kind: Any, record: Any, version: Any) -> bool:
    """Whether it names a version of a record. Raises ValueError for an id that isn't one."""
    counted = type(version) is int and 0 <= version <= canonical.INTEGER_MAX
    return type(kind) is str and counted and str(UUID(record)) == record


def _is_actor(actor: Any) -> bool:
    named = actor["subject"], actor["credential"]
    return all(type(text) is str for text in named) and _are_texts(actor["roles"])


def _are_texts(held: Any) -> bool:
    return type(held) is list and {*map(type, cast("list[Any]", held))} <= {str}


def is_header(header: Any) -> bool:
    """Whether decoded JSON has every member of a header of this format, each of its type."""
    try:
        return (
            header["v"] == FORMAT
            and type(header["ver"]) is int
            and all(type(header[name]) is str for name in _TEXTS)
            and all(type(header[name]) is dict for name in _OBJECTS)
            and all(type(header.get(name, {})) is dict for name in _MAY_MISS)
            and (header["from"] is None or type(header["from"]) is str)
            and all(_is_reference(kind, record, version) for kind, record, version in header["reads"])
            and (
                header["cause"] is None or _is_reference(*(header["cause"][n] for n in ("kind", "id", "ver")))
            )
            and _is_actor(header["actor"])
            and all(
                type(sha) is str
                for name in ("changes_sha256", "input_sha256")
                for sha in header.get(name, {}).values()
            )
            and datetime.fromisoformat(header["at"]).tzinfo is not None
        )
    except _MALFORMED:
        return False
