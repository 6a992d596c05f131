"""What a log says was erased of the private values that an entry names: its word, signed as a checkpoint is.

Nobody can prove that something was destroyed. What is checked here is that this log has said it, of this
entry, at the size that the receipt's checkpoint has.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple, cast

from avow.evidence.verifier.checkpoint import Opened
from avow.evidence.verifier.note import check_note, parse_note
from avow.evidence.verifier.text import Invalid, after, parse_hash, parse_number

ERASED_LINE = "avow.erased/v1"
"""The first line of such a note."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Erasure(NamedTuple):
    """What one entry has erased. leaf: the place of that entry in the log. names: of the fields, sorted."""

    leaf: int
    names: tuple[str, ...]


class Erased(NamedTuple):
    """What a log of `size` leaves says was erased of an entry, whose leaf hash is `leaf`, in its order."""

    leaf: bytes
    size: int
    by: tuple[Erasure, ...]


def private_names(header: Mapping[str, Any]) -> frozenset[str]:
    """The fields whose private values an entry names by their digests."""
    found = set[str]()
    for member in ("changes", "input"):
        held: Any = header.get(member)
        if isinstance(held, dict):
            found |= {name for name, value in cast("dict[str, Any]", held).items() if _is_private(value)}
    return frozenset(found)


def erased_text(origin: str, erased: Erased) -> str:
    """The text of the note. No checkpoint reads like it: where that has its size, this has `log`."""
    lines = [ERASED_LINE, f"log {origin}", f"size {erased.size}", f"leaf {b64encode(erased.leaf).decode()}"]
    lines += [f"erased {leaf} {' '.join(names)}" for leaf, names in erased.by]
    return "".join(f"{line}\n" for line in lines)


def open_erased(note: bytes, sealed: Opened, header: Mapping[str, Any], leaf: bytes) -> Erased:
    """What a note says of the entry with this header and leaf hash. Raises Invalid.

    The entry that erased may stand before the one whose values it has erased: who erases draws the number of
    its entry, and then waits for whoever still writes about the person.
    """
    parsed = parse_note(note)
    lines = parsed.text.split("\n")
    if lines[0] != ERASED_LINE or len(lines) < 6 or not check_note(parsed, [sealed.log]):
        raise Invalid("the log didn't say what was erased")
    size, of = parse_number(after("size ", lines[2])), parse_hash(after("leaf ", lines[3]))
    erased = Erased(of, size, tuple(map(_erasure, lines[4:-1])))
    if erased_text(after("log ", lines[1]), erased) != parsed.text:
        raise Invalid("what the log says was erased isn't written as it is")
    if lines[1] != f"log {sealed.checkpoint.origin}" or size != sealed.checkpoint.size:
        raise Invalid("what is said to be erased is of another checkpoint")
    if of != leaf:
        raise Invalid("what is said to be erased is of another entry")
    _demand_possible(erased, header)
    return erased


def _erasure(line: str) -> Erasure:
    place, *names = after("erased ", line).split(" ")
    return Erasure(parse_number(place), tuple(names))


def _demand_possible(erased: Erased, header: Mapping[str, Any]) -> None:
    """In one order, each value once, and nothing that isn't there: neither an entry, nor a value."""
    names = [name for by in erased.by for name in by.names]
    ordered = all(one.leaf < other.leaf for one, other in pairwise(erased.by))
    if not ordered or any(list(by.names) != sorted(set(by.names)) for by in erased.by):
        raise Invalid("what the log says was erased isn't in its order")
    if erased.by[-1].leaf >= erased.size:
        raise Invalid("what is said to have erased is no entry of the log at this size")
    if len(set(names)) != len(names):
        raise Invalid("something is said to be erased twice")
    if not set(filter(_NAME.fullmatch, names)) == set(names) <= private_names(header):
        raise Invalid("something is said to be erased that the entry has no private value of")


def _is_private(value: Any) -> bool:
    held = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    return [*held] == ["private"] and isinstance(held["private"], str)
