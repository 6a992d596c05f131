"""Private values in what is tried: planted in clear, and looked for wherever nobody may find them.

An act has what somebody gives. The kernel takes what stands for it, and so does whoever reads a log again.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from base64 import b64encode
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from functools import cache
from hashlib import sha256
from typing import Any, Final, cast

from avow.engine.attempt import REVEALED
from avow.model import types as kinds
from avow.model.private import PRIVATE, Cleartext, PartlyPrivate, Private, PrivateType, with_members
from avow.model.system import System, keeps_private
from avow.model.times import DateTimeType, DateType
from avow.model.types import Misfit, Value, ValueType

TELLING_CHARACTERS: Final = 8
"""A value that is written with fewer may stand anywhere by chance: it isn't looked for."""
PLANTED_INTEGER: Final = 918_273_645
PLANTED_DAY: Final = date(1871, 3, 1)
PLANTED_INSTANT: Final = datetime(1871, 3, 1, 4, 5, 6, tzinfo=UTC)


def planted(kind: ValueType, usual: Iterable[Value]) -> list[Cleartext]:
    """Two values of a type that stand nowhere by chance, where it has such; or else the usual ones."""
    found = list[Cleartext]()
    for value in (*_telling(kind), *usual):
        try:
            found.append(Cleartext(kind.fit(value, "")))
        except Misfit:
            continue
        if len(found) == 2:
            break
    return found


def _telling(kind: ValueType) -> Iterator[Value]:
    for number in (1, 2):
        match kind:
            case kinds.Text(most, least):
                yield f"canary-{number}".ljust(least, "-")[:most]
            case kinds.Integer():
                yield PLANTED_INTEGER + number
            case DateType():
                yield PLANTED_DAY.replace(day=number)
            case DateTimeType():
                yield PLANTED_INSTANT.replace(day=number)
            case _:
                return


def _with(value: Value, told: Callable[[Cleartext], Value]) -> Value:
    """A value, or a value object, with something else in place of what is private in it."""
    if isinstance(value, Cleartext):
        return told(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        held = {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
        private = {name: told(one) for name, one in held.items() if isinstance(one, Cleartext)}
        return with_members(value, private) if private else value
    return value


def in_clear(value: Value) -> Value:
    """A value as whoever gives it has it."""
    return _with(value, lambda one: one.value)


def concealed(values: Mapping[str, Value]) -> dict[str, Value]:
    """Arguments as the kernel takes them: what stands for equal values is equal."""
    return {name: _with(value, _stands_for) for name, value in values.items()}


def _stands_for(given: Cleartext) -> Private:
    return Private(sha256(repr(given.value).encode()).hexdigest())


def made_of(kind: kinds.ObjectOf, given: Mapping[str, Value]) -> Value:
    """A value object of these members, which it checks in clear."""
    made = kind.python(**{name: in_clear(value) for name, value in given.items()})
    private = {name: value for name, value in given.items() if isinstance(value, Cleartext)}
    return with_members(made, private) if private else made


def dumped(kind: ValueType, value: Value) -> Any:
    """A value as JSON in clear, which the type's own `parse` reads."""
    match kind:
        case PrivateType():
            return kind.inner.dump(in_clear(value))
        case PartlyPrivate():
            return kind.plain.dump(in_clear(value))
        case _:
            return kind.dump(value)


def revived(kind: ValueType, raw: Any) -> Value:
    """A value as it stands in a row or an entry, as the kernel had it."""
    match kind:
        case PrivateType():
            return Private(raw[PRIVATE])
        case PartlyPrivate():
            made: Any = object.__new__(cast("type[object]", kind.python))
            for member in kind.members:
                held = raw.get(member.name)
                object.__setattr__(made, member.name, None if held is None else revived(member.type, held))
            return made
        case _:
            return kind.parse(raw, "#")


# --- where it may not stand -----------------------------------------------------------------------------


def planted_in(values: Iterable[Value]) -> frozenset[str]:
    """How what is private in some values is written, as far as it stands nowhere by chance."""
    found = set[str]()

    def note(given: Cleartext) -> Cleartext:
        written = given.value.isoformat() if isinstance(given.value, date) else str(given.value)
        if len(written) >= TELLING_CHARACTERS:
            found.add(written)
        return given

    for value in values:
        _with(value, note)
    return frozenset(found)


@cache
def forms(text: str) -> tuple[str, ...]:
    """A text as it is, in hexadecimal, and in base64 at each of the three places that it can have there."""
    plain = text.encode()
    encoded = (b64encode(bytes(skipped) + plain).decode()[4 if skipped else 0 : -4] for skipped in range(3))
    return text, plain.hex(), *encoded


def stands_in(text: str, private: Iterable[str]) -> bool:
    """Whether any of these stands in a text, in clear or merely encoded."""
    return any(form in text for one in private for form in forms(one))


def unrevealed(body: bytes) -> str:
    """An answer without what it reveals to whoever asked for it."""
    try:
        told = json.loads(body or b"null")
    except ValueError:
        return body.decode("utf-8", "replace")
    if isinstance(told, dict):
        told.pop(REVEALED, None)  # pyright: ignore[reportUnknownMemberType]
    return json.dumps(told)


class Overheard(logging.Handler):
    """What is logged, by whomever and at whatever level, since it was last forgotten."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines = list[str]()

    def emit(self, record: logging.LogRecord) -> None:
        if record.name not in _OUR_OWN:
            self.lines.append(f"{record.name}: {_WHOLE.format(record)}")


_OUR_OWN: Final = frozenset({"asyncio"})
_WHOLE: Final = logging.Formatter()


@contextmanager
def overhearing(system: System) -> Generator[Overheard]:
    """Listen to everything that is logged, where there is something that may not be."""
    root, heard = logging.getLogger(), Overheard()
    if not keeps_private(system):
        yield heard
        return
    level = root.level
    root.addHandler(heard)
    root.setLevel(logging.DEBUG)
    try:
        yield heard
    finally:
        root.removeHandler(heard)
        root.setLevel(level)
