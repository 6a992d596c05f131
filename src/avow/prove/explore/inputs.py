"""Which inputs of a command are tried where there are too many: those like what was accepted come first.

Most combinations of values are refused for one reason, and say nothing of the others. So what was accepted is
kept, one of each kind, and given again wherever the search comes, as it is and with a value or two changed.
Until something was, what was refused latest stands in for it: whatever is asked first held of it.
What one condition names is changed together: an amount on another card, and that card.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, TypeAlias

from avow.model.values import Money
from avow.prove.act import Given, Ref

KINDS_MAX: Final = 12
"""How many accepted inputs of one command are kept, of which no two are of one kind."""
HEARD_MAX: Final = 6
"""How many of those are kept that were accepted of a command's siblings."""
CHANGED_MAX: Final = 2
OF_THESE: Final = 3
"""Of so many changes the one is made whose like was accepted least often."""
TOGETHER: Final = 2
"""Of so many changes one is of what a condition names together, where there is such."""
MISSES_MAX: Final = 4
"""How many inputs are kept that were refused, where none was accepted."""
LATE: Final = ("input-invalid", "forbidden", "guard-failed", "refused")
"""Codes of refusals in the order in which a decision comes to them; others come last."""
DRAWS_MAX: Final = 1_000
"""How often another combination of values is drawn before it counts as having met all there are."""
WHOLE: Final = 8
"""In how many situations all inputs are tried that differ from the plainest in one value."""

Places: TypeAlias = tuple[int, ...]
"""A combination of values, by the place of each among those of its argument."""
Together: TypeAlias = Sequence[tuple[int, ...]]
"""For each condition that names several arguments of a command, which ones, by their places."""


@dataclass(slots=True)
class Accepted:
    """What was accepted of one command.

    often: how often each argument with a number, or with something like a value. heard: what was accepted of
    its siblings. missed: what was refused latest in its decision; late: how late that was.
    accepted: whether anything was. refused: how often it was until then. drawn: in how many situations
    inputs were drawn.
    """

    kinds: dict[Hashable, Mapping[str, Given]] = field(default_factory=dict[Hashable, Mapping[str, Given]])
    often: Counter[tuple[str, Hashable]] = field(default_factory=Counter[tuple[str, Hashable]])
    heard: dict[Hashable, Mapping[str, Given]] = field(default_factory=dict[Hashable, Mapping[str, Given]])
    missed: deque[Mapping[str, Given]] = field(default_factory=lambda: deque(maxlen=MISSES_MAX))
    late: int = 0
    accepted: bool = False
    refused: int = 0
    drawn: int = 0

    def miss(self, given: Mapping[str, Given], code: str) -> None:
        """Keep an input that was refused, where none was refused later in its decision."""
        self.refused += 1
        late = LATE.index(code) if code in LATE else len(LATE)
        if late > self.late:
            self.missed.clear()
        if late >= max(self.late, LATE.index("refused")):
            self.late = late
            self.missed.append(given)

    def learn(self, given: Mapping[str, Given]) -> None:
        """Keep an input that was accepted: of each kind the last one, so that amounts vary as well."""
        kind = tuple(map(sort_of, given.values()))
        self.often.update((name, _amount_of(value)) for name, value in given.items())
        if kind in self.kinds or len(self.kinds) < KINDS_MAX:
            self.kinds[kind] = given

    def hear(self, given: Mapping[str, Given]) -> None:
        """Keep an input that was accepted of a command that makes the same: this one may take it too."""
        if len(self.heard) < HEARD_MAX:
            self.heard.setdefault(tuple(map(sort_of, given.values())), given)

    def draw(
        self, names: Sequence[str], each: Sequence[Sequence[Any]], seed: int, together: Together = ()
    ) -> Iterator[Places]:
        """Places of combinations, each once.

        At first what was accepted, once with other records in it, and by turns something near it; then the
        last value of each, and the first;
        in the first situations all that differ from the last values in one; then others each time, most of
        them near what was accepted.
        """
        seen = set[Places]()
        for places in self._drawn(names, each, random.Random(seed), together):  # a choice, not a secret
            if places not in seen:
                seen.add(places)
                yield places

    def _drawn(
        self, names: Sequence[str], each: Sequence[Sequence[Any]], chance: random.Random, together: Together
    ) -> Iterator[Places]:
        self.drawn += 1
        last = tuple(len(values) - 1 for values in each)
        heard = [given for kind, given in self.heard.items() if kind not in self.kinds]
        taken = [*self.kinds.values(), *heard] or self.missed
        known = [_placed(names, each, given, chance) for given in taken]
        chance.shuffle(known)
        if known:
            yield _turned(known[0], each, chance)
        for one in known:
            yield self._changed(names, chance.choice(known), each, chance, together)
            yield one
        yield last
        yield tuple(0 for _ in each)
        if self.drawn <= WHOLE:
            for at, values in enumerate(each):
                for place in range(len(values)):
                    yield (*last[:at], place, *last[at + 1 :])
        for number in range(DRAWS_MAX):
            if number % 4 == 0:
                yield tuple(chance.randrange(len(values)) for values in each)
            else:
                yield self._changed(names, chance.choice(known or [last]), each, chance, together)

    def near(
        self, names: Sequence[str], each: Sequence[Sequence[Any]], seed: int, together: Together = ()
    ) -> Iterator[Places]:
        """Places of combinations near what was accepted, without end."""
        chance = random.Random(seed)  # a choice, not a secret
        while self.kinds:
            given = chance.choice([*self.kinds.values()])
            yield self._changed(names, _placed(names, each, given, chance), each, chance, together)

    def _changed(
        self, names: Sequence[str], places: Places, each: Sequence[Sequence[Any]], chance: random.Random,
        together: Together,
    ) -> Places:  # fmt: skip
        """The same with a value or two changed, or all that one condition names, mostly to what is like
        nothing that was often accepted there.
        """
        found, times = list(places), chance.randint(1, CHANGED_MAX)
        if together and chance.randrange(TOGETHER) == 0:
            groups, times = together, 1
        else:
            groups = [(at,) for at in range(len(each))]
        for _ in range(times):
            drawn = [
                [(at, chance.randrange(len(each[at]))) for at in chance.choice(groups)]
                for _ in range(OF_THESE)
            ]
            for at, place in min(drawn, key=lambda changes: self._mean(names, each, changes)):
                found[at] = place
        return tuple(found)

    def _mean(
        self, names: Sequence[str], each: Sequence[Sequence[Any]], changes: Sequence[tuple[int, int]]
    ) -> float:
        """How often these numbers, or something like these values, were accepted, on average."""
        often = [self.often[names[at], _amount_of(each[at][place])] for at, place in changes]
        return sum(often) / len(often)


Learned: TypeAlias = dict[tuple[str, str], Accepted]
"""What was accepted, by entity and command."""


def _placed(
    names: Sequence[str], each: Sequence[Sequence[Any]], given: Mapping[str, Given], chance: random.Random
) -> Places:
    """Where the values of an input stand here, or ones of their kind; a record is any that there is."""
    found = list[int]()
    for name, values in zip(names, each, strict=True):
        value = given.get(name)
        like = [at for at, one in enumerate(values) if sort_of(one) == sort_of(value)]
        if not isinstance(value, Ref) and value in values:
            found.append(values.index(value))
        else:
            found.append(chance.choice(like) if like else len(values) - 1)
    return tuple(found)


def _turned(places: Places, each: Sequence[Sequence[Any]], chance: random.Random) -> Places:
    """The same with other records in it, or with some more or fewer of them."""
    refers = [any(isinstance(value, Ref) for value in values) for values in each]
    return tuple(
        chance.randrange(len(values)) if refer else place
        for place, values, refer in zip(places, each, refers, strict=True)
    )


def sort_of(value: Any) -> int:
    """What a value is like: none, empty, or something."""
    return 0 if value is None else 1 if not value else 2


def _amount_of(value: Any) -> Hashable:
    """The number that it is, or what it is like."""
    return value if isinstance(value, int | Decimal | Money) else sort_of(value)


def count_of(each: Iterable[Sequence[Any]]) -> int:
    """How many combinations there are."""
    count = 1
    for values in each:
        count *= len(values)
    return count
