"""How long a regular expression may look for a match, before anybody can send it a text.

Python's matcher goes back and tries again wherever a text can be read in several ways. Where a repetition can
read one text in two ways, the ways double with each character; where two repetitions in a row can share a
text, they are as many as there are places to cut it. Both are seen in the automaton of the expression: its
positions, and which may follow which, each as often as there are ways from the one to the other.

It is cautious: what can't be told is counted as slow. Possessive quantifiers and atomic groups never go back.
"""

from __future__ import annotations

import importlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from math import inf
from typing import Any, Final, TypeAlias

STEPS_MAX: Final = 4_000_000
"""How many steps a match may take; some tens of milliseconds."""
_COPIES_MAX: Final = 8
"""A repetition of up to so many is written out; a longer one is taken for one without an end."""
_POSITIONS_MAX: Final = 400
_SINGLE: Final = ("LITERAL", "NOT_LITERAL", "IN", "ANY")
_LOOKED_AT_MAX: Final = 300_000
_SAMPLES: Final = "aAzZ09_ -.\t\n\u00e9\u00df\u0660\u2003\U0001f600"

Characters: TypeAlias = frozenset[str]
"""What a position reads, told by some characters of each sort that the expression tells apart."""


class Untold(Exception):
    """The expression has a part of which it can't be told how long it takes; `str()` says which."""


def steps_of(pattern: str, length_max: int) -> float:
    """About how many steps a match of a text of this length may take; `inf`: they double with each character.

    Raises Untold.
    """
    parser: Any = importlib.import_module("re._parser")
    tree = parser.parse(pattern)
    reading = _Reading(tree.state.flags, _sorts(tree))
    reading.whole(tree)
    return max((float(length_max) ** degree for degree in reading.degrees), default=1.0)


@dataclass(slots=True)
class _Part:
    """A piece of the expression: where it may begin and end, and in how many ways it may read nothing."""

    first: list[int] = field(default_factory=list[int])
    last: list[int] = field(default_factory=list[int])
    empty: int = 1


class _Reading:
    """One expression on its way to its automaton.

    degrees: of each automaton in it, how the steps grow with the text: 1 in proportion, 2 with its square.
    """

    def __init__(self, flags: int, sorts: Characters) -> None:
        self.degrees = list[float]()
        self._flags, self._sorts = flags, sorts
        self._reads = list[Characters]()
        self._follows = list[tuple[int, int]]()
        self._depth = 0

    def whole(self, tree: Iterable[Any]) -> None:
        """Read an expression that is matched by itself."""
        kept = self._reads, self._follows
        self._reads, self._follows = list[Characters](), list[tuple[int, int]]()
        self._sequence(tree)
        inside = 1 if self._depth else 0
        self.degrees.append(_degree(self._reads, self._follows) + inside)
        self._reads, self._follows = kept

    def _sequence(self, items: Iterable[Any]) -> _Part:
        found = _Part()
        for item in items:
            found = self._joined(found, self._item(item))
        return found

    def _joined(self, one: _Part, other: _Part) -> _Part:
        self._follows += [(p, q) for p in one.last for q in other.first]
        first = [*one.first, *(other.first * min(one.empty, 2))]
        last = [*other.last, *(one.last * min(other.empty, 2))]
        return _Part(first, last, one.empty * other.empty)

    def _item(self, item: Any) -> _Part:
        operator, given = str(item[0]), item[1]
        match operator:
            case _ if operator in _SINGLE:
                return self._position(_characters(operator, given, self._flags, self._sorts))
            case "AT":
                return _Part()
            case "SUBPATTERN":
                return self._group(given)
            case "BRANCH":
                parts = [self._sequence(branch) for branch in given[1]]
                return _Part(
                    [p for part in parts for p in part.first], [p for part in parts for p in part.last],
                    sum(part.empty for part in parts),
                )  # fmt: skip
            case "MAX_REPEAT" | "MIN_REPEAT":
                return self._repeated(*given)
            case "POSSESSIVE_REPEAT" if len(given[2]) == 1 and str(given[2][0][0]) in _SINGLE:
                return self._maybe(self._sequence(given[2]), given[0] == 0)  # what it looks at, it has read
            case "POSSESSIVE_REPEAT":
                return self._atomic([("MAX_REPEAT", given)], given[0] == 0)
            case "ATOMIC_GROUP":
                return self._atomic(given, False)
            case "ASSERT" | "ASSERT_NOT":
                self.whole(given[1])
                return _Part()
            case _:
                raise Untold("it goes back to what a group has read")

    def _group(self, given: Any) -> _Part:
        flags = self._flags
        self._flags = (flags | given[1]) & ~given[2]
        found = self._sequence(given[3])
        self._flags = flags
        return found

    def _position(self, characters: Characters) -> _Part:
        if len(self._reads) >= _POSITIONS_MAX:
            raise Untold(f"it has more than {_POSITIONS_MAX} places")
        self._reads.append(characters)
        return _Part([len(self._reads) - 1], [len(self._reads) - 1], 0)

    def _atomic(self, items: Any, empty: bool) -> _Part:
        """What is read in one way alone: outside it is a place that reads what it may begin with."""
        self.whole(items)
        kept, self._follows = self._follows, []
        inner = self._sequence(items)
        self._follows = kept
        found = self._position(frozenset[str]().union(*(self._reads[p] for p in inner.first)))
        found.empty = int(empty or inner.empty > 0)
        return found

    def _repeated(self, least: int, most: Any, items: Any) -> _Part:
        self._depth += 1
        before = len(self._reads)
        part = self._sequence(items)
        self._depth -= 1
        if most == 1:
            return self._maybe(part, least == 0)
        copies = int(most)
        single = len(self._reads) == before + 1 and not part.empty
        if single and copies <= (_POSITIONS_MAX if least == most else _COPIES_MAX):
            return self._counted(before, least, copies)
        # Where rounds are counted, one that reads nothing is another way to the same end.
        ways = 2 if part.empty and not (least <= 1 and str(most) == "MAXREPEAT") else 1
        self._follows += [(p, q) for p in part.last for q in part.first] * ways
        return self._maybe(part, least == 0)

    def _counted(self, position: int, least: int, most: int) -> _Part:
        """A position that is read so many times, written out."""
        row = [position, *(self._position(self._reads[position]).first[0] for _ in range(most - 1))]
        self._follows += pairwise(row)
        return _Part([position], row[max(least, 1) - 1 :], int(least == 0))

    def _maybe(self, part: _Part, empty: bool) -> _Part:
        return _Part(part.first, part.last, part.empty + int(empty))


def _sorts(tree: Any) -> Characters:
    """Some characters of each sort that the expression tells apart."""
    numbers = {beside for number in _numbers(tree) for beside in (number - 1, number, number + 1)}
    found = {chr(number) for number in numbers if 0 <= number <= 0x10FFFF}
    return frozenset({*_SAMPLES, *found, *(c.swapcase() for c in found if len(c.swapcase()) == 1)})


def _numbers(node: Any) -> Iterator[int]:
    """The characters that an expression names."""
    match node:
        case (operator, given) if str(operator) in ("LITERAL", "NOT_LITERAL"):
            yield int(given)
        case (operator, given) if str(operator) == "RANGE":
            yield from given
        case _ if hasattr(node, "__getitem__"):
            for part in node:
                yield from _numbers(part)
        case _:
            pass


def _characters(operator: str, given: Any, flags: int, sorts: Characters) -> Characters:
    """Which of the characters a position reads."""
    if not flags & re.IGNORECASE:
        return frozenset(c for c in sorts if _reads(operator, given, flags, c))
    return frozenset(
        c
        for c in sorts
        if any(_reads(operator, given, flags, one) for one in (c, c.lower(), c.upper()) if len(one) == 1)
    )


def _reads(operator: str, given: Any, flags: int, character: str) -> bool:
    match operator:
        case "LITERAL":
            return ord(character) == given
        case "NOT_LITERAL":
            return ord(character) != given
        case "ANY":
            return bool(flags & re.DOTALL) or character != "\n"
        case "RANGE":
            return given[0] <= ord(character) <= given[1]
        case "CATEGORY":
            return _of_category(str(given), character, bool(flags & re.ASCII))
        case _:
            negated = str(given[0][0]) == "NEGATE"
            listed = given[1:] if negated else given
            return negated != any(_reads(str(one[0]), one[1], flags, character) for one in listed)


def _of_category(name: str, character: str, ascii_alone: bool) -> bool:
    if "DIGIT" in name:
        found = character.isdecimal()
    elif "SPACE" in name:
        found = character.isspace()
    else:
        found = character.isalnum() or character == "_"
    return ("NOT" in name) != (found and (character.isascii() or not ascii_alone))


def _degree(reads: Sequence[Characters], follows: Sequence[tuple[int, int]]) -> float:
    """With which power of the text's length the steps grow; `inf`: they double with each character."""
    walk = _Walk(reads, follows)
    ways = Counter(follows)
    if any(ways[edge] > 1 and walk.circle(edge[0]) and edge[1] in walk.circle(edge[0]) for edge in ways):
        return inf
    if any(walk.doubles(p) for p in range(len(reads)) if walk.circle(p)):
        return inf
    circles = list(dict.fromkeys(circle for p in range(len(reads)) if (circle := walk.circle(p))))
    shared = {
        one: [other for other in circles if other is not one and walk.shares(one, other)] for one in circles
    }
    lengths = dict[Characters | frozenset[int], int]()

    def longest(circle: frozenset[int]) -> int:
        if circle not in lengths:
            lengths[circle] = 1 + max((longest(other) for other in shared[circle]), default=0)
        return lengths[circle]

    return max((longest(circle) for circle in circles), default=1)


class _Walk:
    """An automaton, asked where several paths can lead at once."""

    def __init__(self, reads: Sequence[Characters], follows: Sequence[tuple[int, int]]) -> None:
        self._reads = reads
        self._next: list[set[int]] = [set() for _ in reads]
        for p, q in follows:
            self._next[p].add(q)
        self._beyond = [self._closure(p) for p in range(len(reads))]
        self._left = _LOOKED_AT_MAX

    def _closure(self, position: int) -> frozenset[int]:
        found, fresh = set[int](), set(self._next[position])
        while fresh:
            found |= fresh
            fresh = {q for p in fresh for q in self._next[p]} - found
        return frozenset(found)

    def circle(self, position: int) -> frozenset[int]:
        """The positions that it lies on a circle with; none where it isn't passed twice."""
        if position not in self._beyond[position]:
            return frozenset()
        return frozenset(q for q in self._beyond[position] if position in self._beyond[q])

    def doubles(self, position: int) -> bool:
        """Whether one text leads from a position back to it in two ways."""
        start = (position, position)
        within = self.circle(position)
        parted = [pair for pair in self._reached(start, [within, within]) if pair[0] != pair[1]]
        return any(start in self._reached(pair, [within, within]) for pair in parted)

    def shares(self, one: frozenset[int], other: frozenset[int]) -> bool:
        """Whether one text is read by the first circle, by the second, and by both in a row."""
        if not any(q in self._beyond[p] for p in one for q in other):
            return False
        first, second = (frozenset[str]().union(*(self._reads[p] for p in circle)) for circle in (one, other))
        if not first & second:
            return False
        within = [one, frozenset(range(len(self._reads))), other]
        return any((p, q, q) in self._reached((p, p, q), within) for p, q in product(one, other))

    def _reached(self, start: tuple[int, ...], within: Sequence[frozenset[int]]) -> set[tuple[int, ...]]:
        """Where paths lead that begin at these positions and read the same. Raises Untold."""
        found, fresh = set[tuple[int, ...]](), [start]
        while fresh:
            steps = [self._next[p] & inside for p, inside in zip(fresh.pop(), within, strict=True)]
            for reached in product(*steps):
                self._left -= 1
                if self._left < 0:
                    raise Untold("it is too intricate")
                shared = self._reads[reached[0]].intersection(*(self._reads[p] for p in reached))
                if shared and reached not in found:
                    found.add(reached)
                    fresh.append(reached)
        return found
