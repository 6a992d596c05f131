"""The acts of a situation, in turns: one of each command, call, event and time, then a second one of each.

What is refused for one and the same reason again, or leads again to the like, comes after all others: other
inputs are likely to do the same, and there is more to see elsewhere.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from avow.prove.act import Act

AGAIN: Final = {True: 2, False: 4}
"""So often the same may come of the acts of one command, refused or not, before it comes after all others."""


@dataclass(slots=True)
class _Stream:
    """The acts of one command. last: what has come of the last one; often: and how often in a row."""

    acts: Iterator[Act]
    last: Hashable = None
    often: int = 0


Usual: TypeAlias = dict[tuple[str, str], Hashable]
"""Why the acts of an entity's command were refused again and again."""


class Turns(Iterator[Act]):
    """Each act once. Whoever tries them tells what came of each: `told`.

    usual: what is known of other situations, and becomes known of this one.
    """

    def __init__(self, each: Iterable[Iterator[Act]], usual: Usual) -> None:
        self._now, self._later = deque(map(_Stream, each)), deque[_Stream]()
        self._usual = usual
        self._last: tuple[_Stream, Act] | None = None

    @property
    def tired(self) -> bool:
        """Whether all that is left is likely to come to what is known."""
        return not self._now

    @property
    def over(self) -> bool:
        """Whether nothing is left."""
        return not self._now and not self._later

    def __next__(self) -> Act:
        while self._now or self._later:
            if not self._now:
                self._now, self._later = self._later, deque[_Stream]()
            stream = self._now.popleft()
            for act in stream.acts:
                self._now.append(stream)
                self._last = stream, act
                return act
        raise StopIteration

    def told(self, came: Hashable, *, refused: bool) -> None:
        """Take note of what has come of the last act: equal to what came of another one that was like it."""
        if self._last is None:
            return
        stream, act = self._last
        stream.often = stream.often + 1 if came == stream.last else 1
        stream.last = came
        usual = refused and self._usual.get((act.entity, act.command)) == came
        if usual or stream.often >= AGAIN[refused]:
            if refused:
                self._usual[act.entity, act.command] = came
            if self._now and self._now[-1] is stream:
                self._later.append(self._now.pop())
