"""From a value back to the transition that set it: who, by which command, when, and what allowed it.

Pure. It works on entries that were fetched and gives JSON-ready dicts. It must never show a field that the
reader may not see, and never today's rules for what was decided under others.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from avow import canonical
from avow.evidence.chain import is_header
from avow.evidence.expression_text import Types, expression_of, text_of
from avow.evidence.trigger_text import trigger_text
from avow.model.expression import Argument, Expression, FieldOf, InState, Performed, Votes, walk

HIDDEN: Mapping[str, Any] = {"hidden": True}
"""Stands for what the reader may not see."""


Rested = dict[str, Any]
"""Something that a decision rested on: what was `read`, with its `value` or `of` which other record it is."""


class LongValue(dict[str, str]):
    """Stands for a long value that wasn't fetched, and is told like this where it is gone: by its SHA-256.

    member: which part of it is meant; None for all of it.
    """

    def __init__(self, sha: str, member: str | None = None) -> None:
        super().__init__(sha256=sha)
        self.sha, self.member = sha, member


def long_values(told: Any) -> set[str]:
    """The SHA-256 of every long value that stands in what is told."""
    match told:
        case LongValue():
            return {told.sha}
        case dict():
            return set[str]().union(*map(long_values, cast("dict[str, Any]", told).values()))
        case list():
            return set[str]().union(*map(long_values, cast("list[Any]", told)))
        case _:
            return set()


def filled(told: Any, payloads: Mapping[str, bytes]) -> Any:
    """What is told, with the long values that there are in their places."""
    match told:
        case LongValue(sha=sha, member=member):
            if sha not in payloads:
                return dict(told)
            value = canonical.decode(payloads[sha])
            return value if member is None else value.get(member)
        case dict():
            return {name: filled(held, payloads) for name, held in cast("dict[str, Any]", told).items()}
        case list():
            return [filled(held, payloads) for held in cast("list[Any]", told)]
        case _:
            return told


@dataclass(frozen=True, slots=True)
class Told:
    """One entry, read. intact: its bytes have their hash, and it names its predecessor, where that is known.

    payloads: the long values that it names by hash, as far as they were fetched; for the others a LongValue
    is told.
    """

    number: int
    version: int
    header: Mapping[str, Any]
    hash: bytes
    payloads: Mapping[str, bytes]
    intact: bool

    @property
    def at(self) -> datetime:
        """When it was decided."""
        return datetime.fromisoformat(self.header["at"])

    @property
    def changed(self) -> frozenset[str]:
        """The fields that it set."""
        return frozenset(self.header["changes"]) | frozenset(self.header.get("changes_sha256", {}))

    def change(self, name: str) -> Any:
        """The value that it set a field to."""
        return self._held("changes", name)

    def given(self, name: str) -> Any:
        """An argument of the command."""
        return self._held("input", name)

    @property
    def arguments(self) -> list[str]:
        """The names of all arguments."""
        return [*self.header["input"], *self.header.get("input_sha256", {})]

    def _held(self, member: str, name: str) -> Any:
        held = self.header[member]
        if name in held:
            return held[name]
        sha = self.header[f"{member}_sha256"][name]
        data = self.payloads.get(sha)
        return LongValue(sha) if data is None else canonical.decode(data)


def tell(
    number: int, header: bytes, stored: bytes, payloads: Mapping[str, bytes], before: Told | None
) -> Told:
    """Read a stored entry. Raises ValueError for one that isn't a header at all."""
    try:
        read: Any = json.loads(header)
    except RecursionError:
        raise ValueError("an entry that is nested too deeply") from None
    if not is_header(read):
        raise ValueError("an entry that isn't a header")
    known = before is not None or read["ver"] == 1
    follows = not known or read["prev"] == (bytes(32) if before is None else before.hash).hex()
    intact = canonical.leaf_hash(header) == stored and follows
    return Told(number, read["ver"], read, stored, payloads, intact)


@dataclass(frozen=True, slots=True)
class Known:
    """A record as its entries give it. complete: they reach back to its creation, so that nothing is open."""

    values: Mapping[str, Any]
    performers: Mapping[str, list[str]]
    complete: bool

    def value(self, name: str) -> dict[str, Any]:
        """A field's value as a member, or that it isn't known."""
        if name in self.values:
            return {"value": self.values[name]}
        return {"value": None} if self.complete else {"unknown": True}


def rebuild(entries: Iterable[Told], upto: int) -> Known:
    """The record after its version `upto`, from consecutive entries."""
    values, performers, complete = dict[str, Any](), dict[str, list[str]](), upto == 0
    for entry in entries:
        if entry.version > upto:
            break
        complete = complete or entry.version == 1
        values.update({name: entry.change(name) for name in entry.changed})
        performers.update(entry.header.get("performers", {}))
    return Known(values, performers, complete)


@dataclass(frozen=True, slots=True)
class Sight:
    """What somebody may see of a record: the fields by name, and whether those are all there are."""

    fields: Collection[str]
    everything: bool

    def sees(self, name: str) -> bool:
        """Whether a field may be shown."""
        return self.everything or name in self.fields

    def sees_argument(self, name: str, fields: Collection[str]) -> bool:
        """Whether an argument may: one that isn't a field by name may hold any field's value."""
        return self.everything or (name in fields and name in self.fields)


def history_item(entries: Sequence[Told], place: int, sight: Sight) -> dict[str, Any]:
    """One entry of a record's history: what happened, by whom, and what it changed from what to what."""
    entry, header = entries[place], entries[place].header
    return {
        "version": entry.version,
        "transition": header["transition"],
        "at": header["at"],
        "actor": _actor(header),
        "from": header["from"],
        "to": header["to"],
        "changes": _changes(entry, rebuild(entries[:place], entry.version - 1), sight),
        "cause": header["cause"],
        "request": header["request"],
        "entry": _entry(entry),
    }


def _actor(header: Mapping[str, Any]) -> dict[str, Any]:
    return {name: header["actor"][name] for name in ("subject", "roles", "credential")}


def _entry(entry: Told) -> dict[str, Any]:
    return {"number": entry.number, "hash": entry.hash.hex(), "intact": entry.intact}


def _changes(entry: Told, before: Known, sight: Sight) -> dict[str, Any]:
    shown = dict[str, Any]()
    for name in sorted(entry.changed):
        if not sight.sees(name):
            shown[name] = dict(HIDDEN)
            continue
        old = before.value(name)
        shown[name] = {**({"old": old["value"]} if "value" in old else {}), "new": entry.change(name)}
    return shown


@dataclass(frozen=True, slots=True)
class Rules:
    """What a boundary declares of one kind. known: the boundary is one that was in force here.

    current: it is today's. fingerprint: in hexadecimal.
    """

    fingerprint: str
    entity: Mapping[str, Any]
    current: bool

    @property
    def known(self) -> bool:
        """Whether its description is there."""
        return bool(self.entity)

    @property
    def fields(self) -> Types:
        """The described fields."""
        return self.entity.get("fields", {})


def explain(entries: Sequence[Told], place: int, sight: Sight, rules: Rules) -> dict[str, Any]:
    """One entry with everything that led to it, apart from the entries of other records that caused it.

    Members that name other records (`cause`, `reads`, and `of` in `rested_on`) are for the caller to veil,
    and the references behind an `of`, which are in `on`, for the caller to follow.
    """
    entry, header = entries[place], entries[place].header
    before = rebuild(entries[:place], entry.version - 1)
    after = rebuild(entries[: place + 1], entry.version)
    named = rules.fields if rules.known else dict.fromkeys(entry.changed)
    declared = rules.entity.get("transitions", {}).get(header["transition"], {})
    shown = {
        "kind": header["kind"],
        "id": header["id"],
        "version": entry.version,
        "transition": header["transition"],
        "command": declared.get("command", header["transition"]),
        "command_id": header["command"],
        "at": header["at"],
        "actor": _actor(header),
        "request": header["request"],
        "from": header["from"],
        "to": header["to"],
        "changes": _changes(entry, before, sight),
        "input": {
            name: entry.given(name) if sight.sees_argument(name, named) else dict(HIDDEN)
            for name in sorted(entry.arguments)
        },
        "reads": [
            {"kind": kind, "id": record, "version": version} for kind, record, version in header["reads"]
        ],
        "boundary": {"fingerprint": rules.fingerprint, "current": rules.current, "known": rules.known},
        "entry": _entry(entry),
        "cause": header["cause"],
    }
    if rules.known:
        shown |= _allowed(entry, declared, rules, sight, before, after)
    return shown


def _allowed(
    entry: Told, declared: Mapping[str, Any], rules: Rules, sight: Sight, before: Known, after: Known
) -> dict[str, Any]:
    """The rules that let it happen, in the words of that boundary, and the values that they read."""
    creation = entry.header["from"] is None
    trigger: Mapping[str, Any] = declared.get("trigger") or {}
    conditions = [trigger.get("at"), declared.get("by"), declared.get("when")]
    decided = [expression_of(node, rules.fields) for node in conditions if node is not None]
    invariants: Mapping[str, Any] = rules.entity.get("invariants", {})
    kept = [expression_of(node, rules.fields) for node in invariants.values()]
    ground = _Ground(entry, rules, sight)
    rested = [
        *(part for node in decided for part in ground.reads(node, after if creation else before)),
        *(part for node in kept for part in ground.reads(node, after)),
    ]
    return {
        "allowed_by": {
            "trigger": trigger_text(trigger, rules.fields),
            "policy": text_of(declared.get("by"), rules.fields),
            "guard": text_of(declared.get("when"), rules.fields),
            "from": list(declared.get("from", [])),
            "invariants": {name: text_of(node, rules.fields) for name, node in invariants.items()},
        },
        "rested_on": _without_repetition(rested),
    }


def _without_repetition(parts: Iterable[Rested | None]) -> list[Rested]:
    seen, kept = set[str](), list[Rested]()
    for part in parts:
        if part is None:
            continue
        text = json.dumps(part, sort_keys=True)
        if text not in seen:
            seen.add(text)
            kept.append(part)
    return kept


class _Ground:
    """What conditions have read, at the time of one entry."""

    def __init__(self, entry: Told, rules: Rules, sight: Sight) -> None:
        self._entry, self._rules, self._sight = entry, rules, sight

    def reads(self, node: Expression, known: Known) -> Iterable[Rested | None]:
        """Every value that a condition reads of the record, the command or another record."""
        for part in walk(node):
            match part:
                case FieldOf(path):
                    yield self._field(path, known)
                case InState(_, path):
                    yield self._other(path, "state", known) if path else {
                        "read": "state", "value": self._entry.header["from"],
                    }  # fmt: skip
                case Performed(transition):
                    value = known.performers.get(transition, [])
                    yield {"read": f"performed({transition})", "value": value}
                case Votes(transition):
                    value = len(known.performers.get(transition, []))
                    yield {"read": f"votes({transition})", "value": value}
                case Argument(name, path):
                    yield self._argument(name, path)
                case _:
                    pass

    def _argument(self, name: str, path: tuple[str, ...]) -> dict[str, Any]:
        read = ".".join(("given", name, *path))
        if name not in self._entry.arguments:
            return {"read": read, "value": None}
        if not self._sight.sees_argument(name, self._rules.fields):
            return {"read": read, **HIDDEN}
        held = self._entry.given(name)
        return {"read": read, "value": _member(held, path[0]) if path else held}

    def _field(self, path: tuple[str, ...], known: Known) -> Rested | None:
        name, read = path[0], ".".join(path)
        if not self._sight.sees(name):
            return {"read": read, **HIDDEN}
        if len(path) == 1:
            return {"read": read, **known.value(name)}
        if self._rules.fields.get(name, {}).get("type") == "reference":
            return self._other(path[:-1], path[-1], known)
        held = known.value(name)
        if isinstance(held.get("value"), Mapping):
            return {"read": read, "value": _member(held["value"], path[1])}
        return {"read": read, **held}

    def _other(self, path: tuple[str, ...], what: str, known: Known) -> Rested | None:
        """Something of another record: the first one on the way, and by which references it goes on."""
        read, first = ".".join((*path, what)), path[0]
        if not self._sight.sees(first):
            return {"read": read, **HIDDEN}
        held = known.value(first)
        if held.get("value") is None:
            return {"read": read, **held}
        of = version_read(self._entry, self._rules.fields[first]["entity"], held["value"])
        return None if of is None else {"read": read, "of": of, **({"on": path[1:]} if path[1:] else {})}


def _member(held: Any, name: str) -> Any:
    """A member of a value object; None where there is none."""
    if isinstance(held, LongValue):
        return LongValue(held.sha, name)
    return cast(Mapping[str, Any], held).get(name) if isinstance(held, Mapping) else None


def version_read(entry: Told, kind: str, record: str) -> dict[str, Any] | None:
    """A record as the command of an entry found it; None: the command came to its end without it."""
    for other, named, version in entry.header["reads"]:
        if (other, named) == (kind, record):
            return {"kind": other, "id": named, "version": version}
    return None


def place_of(entries: Sequence[Told], field: str | None, at: datetime | None) -> int | None:
    """Where the entry stands that made a field, or the whole record, what it was at a time; None: nowhere."""
    for place in range(len(entries) - 1, -1, -1):
        entry = entries[place]
        if at is not None and entry.at > at:
            continue
        if field is None or field in entry.changed or entry.version == 1:
            return place
    return None
