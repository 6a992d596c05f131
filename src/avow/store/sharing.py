"""Round trips that are shared: what waits while one is under way goes into the next one, together.

Nobody waits for others to come. Who comes to an idle lane goes at once and alone; under load, the longer a
round trip takes, the more go into the next. A lane has one round under way; another one goes beside it only
where that is full, or where the first takes so long that it may itself be waiting for something. When a round
is back, the next one is sent before the members of the first go on, so that neither side waits for the other.
Work that has claimed something for itself alone meets no other work on it, in the same round or in another,
so that no two wait for each other in the database.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeAlias, TypeVar

from avow.errors import reject

WAITING_MAX = 1_000
"""How many may wait in one lane."""
LATE_S = 0.01
"""How long a round keeps the next one of its lane waiting, if that isn't full."""
ENOUGH = 8
"""How many are worth a round that could have been larger: process and database then work at the same time."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is shared.

    rounds_max:  how many round trips are under way at once, of all lanes.
    members_max: how many go into one.
    """

    rounds_max: int = 2
    members_max: int = 64


SHARED = Bounds()
UNSHARED = Bounds(rounds_max=8, members_max=1)
"""Each by itself, as many at once as a pool has connections: what sharing is compared with."""

Claims: TypeAlias = Mapping[Hashable, bool]
"""What a piece of work touches; true: for itself alone, false: beside others who do the same."""

_NOTHING: Claims = {}

Item = TypeVar("Item")
Result = TypeVar("Result")


class Member(Generic[Item, Result]):
    """One piece of work that waits for its result."""

    __slots__ = ("claims", "goes_apart", "item", "result")

    def __init__(self, item: Item, claims: Claims, result: asyncio.Future[Result]) -> None:
        self.item, self.claims, self.result, self.goes_apart = item, claims, result, False

    def settle(self, result: Result) -> None:
        """Hand over the result, if it is still waited for."""
        if not self.result.done():
            self.result.set_result(result)

    def fail(self, error: BaseException) -> None:
        """Hand over a failure, if it is still waited for."""
        if not self.result.done():
            self.result.set_exception(error)


Run = Callable[[Hashable, "list[Member[Item, Result]]"], Awaitable[Sequence[Result] | None]]


class Sharing(Generic[Item, Result]):
    """Shares round trips among those who wait in the same lane; lanes take turns.

    run: makes one round trip for several members, and returns a result for each, in their order, or None
    where it has sent each of them on a round trip of its own. What it raises is handed to all of them.
    """

    def __init__(self, run: Run[Item, Result], bounds: Bounds) -> None:
        self._run, self._bounds = run, bounds
        self._lanes: dict[Hashable, deque[Member[Item, Result]]] = {}
        self._claimed: dict[Hashable, int] = {}  # how many share it; 0: one has it alone
        self._rounds = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy: dict[Hashable, asyncio.TimerHandle] = {}  # lanes whose round isn't late yet
        self._is_starting = False

    async def share(self, lane: Hashable, item: Item, claims: Claims = _NOTHING) -> Result:
        """The result of one piece of work, which holds its claims until then.

        Raises ProblemError `busy` where too many wait in the lane already, and whatever the round trip
        failed with.
        """
        loop = asyncio.get_running_loop()
        waiting = self._lanes.setdefault(lane, deque())
        if len(waiting) >= WAITING_MAX:
            raise reject("busy", "Too many requests are waiting for the database.")
        member: Member[Item, Result] = Member(item, claims, loop.create_future())
        waiting.append(member)
        self._start_soon(loop)
        return await member.result

    def _start_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start when everybody who comes in this turn of the loop is there."""
        if not self._is_starting and self._rounds < self._bounds.rounds_max:
            self._is_starting = True
            loop.call_soon(self._start)

    def _start(self, ended: Hashable = None) -> None:
        """Begin what rounds may be begun; ended: the lane whose round has just come back."""
        self._is_starting = False
        for lane, waiting in list(self._lanes.items()):
            if self._rounds >= self._bounds.rounds_max:
                return
            most = self._bounds.members_max
            if lane in self._busy and len(waiting) < most:
                continue  # the longer they wait, the more go together
            if lane not in self._busy and lane != ended and len(waiting) >= 2 * ENOUGH:
                most = min(most, (len(waiting) + 1) // 2)  # the others go when these are back
            members = self._gather(lane, most)
            if members:
                self._begin(lane, members)

    def _begin(self, lane: Hashable, members: list[Member[Item, Result]]) -> None:
        loop = asyncio.get_running_loop()
        if (earlier := self._busy.get(lane)) is not None:
            earlier.cancel()
        self._busy[lane] = late = loop.call_later(LATE_S, self._is_late, lane, loop)
        self._rounds += 1
        self._keep(loop.create_task(self._round(lane, members, late)))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)  # the loop itself would forget it
        task.add_done_callback(self._tasks.discard)

    def _is_late(self, lane: Hashable, loop: asyncio.AbstractEventLoop) -> None:
        """What waits in the lane doesn't wait for its round any longer."""
        del self._busy[lane]
        if lane in self._lanes:
            self._start_soon(loop)

    def _gather(self, lane: Hashable, most: int) -> list[Member[Item, Result]]:
        """The members of the next round of a lane, in the order they came; the lane goes to the end."""
        waiting = self._lanes.pop(lane)
        passed: list[Member[Item, Result]] = []
        members: list[Member[Item, Result]] = []
        for _ in range(len(waiting)):
            if len(members) == most:
                break
            member = waiting.popleft()
            if member.result.done():
                continue  # nobody waits for it any more
            if self._is_free(member.claims):
                self._claim(member.claims)
                members.append(member)
            else:
                passed.append(member)
        waiting.extendleft(reversed(passed))
        if waiting:
            self._lanes[lane] = waiting
        return members

    def _is_free(self, claims: Claims) -> bool:
        claimed = self._claimed
        for name, alone in claims.items():
            sharers = claimed.get(name)
            if sharers is not None and (alone or not sharers):
                return False
        return True

    def _claim(self, claims: Claims) -> None:
        for name, alone in claims.items():
            self._claimed[name] = 0 if alone else self._claimed.get(name, 0) + 1

    def _release(self, claims: Claims) -> None:
        for name in claims:
            sharers = self._claimed.pop(name)
            if sharers > 1:
                self._claimed[name] = sharers - 1

    async def _round(
        self, lane: Hashable, members: list[Member[Item, Result]], late: asyncio.TimerHandle
    ) -> None:
        try:
            await _deliver(
                members, partial(self._run, lane, members), partial(self._ended, lane, members, late)
            )
        finally:
            if self._lanes:
                self._start_soon(asyncio.get_running_loop())

    def _ended(self, lane: Hashable, members: list[Member[Item, Result]], late: asyncio.TimerHandle) -> None:
        """A lane's next round begins, if it is worth it, before anybody of this one goes on."""
        self._rounds -= 1
        late.cancel()
        if self._busy.get(lane) is late:
            del self._busy[lane]
        for member in members:
            if not member.goes_apart:
                self._release(member.claims)
        if len(self._lanes.get(lane, ())) >= ENOUGH:
            self._start(lane)

    def apart(self, member: Member[Item, Result], work: Callable[[], Awaitable[Result]]) -> None:
        """Give a member a round trip of its own, which ends when nobody waits for it any more."""

        def ended(task: asyncio.Task[None]) -> None:
            self._release(member.claims)
            self._start_soon(task.get_loop())

        async def one() -> Sequence[Result]:
            return [await work()]

        member.goes_apart = True
        task = asyncio.create_task(_deliver([member], one))
        self._keep(task)
        task.add_done_callback(ended)
        member.result.add_done_callback(lambda result: task.cancel() if result.cancelled() else None)


async def _deliver(
    members: Sequence[Member[Item, Result]],
    work: Callable[[], Awaitable[Sequence[Result] | None]],
    back: Callable[[], None] = lambda: None,
) -> None:
    """Hand its result to each member, or to all what the work failed with; `back` is called before that."""
    try:
        results = await work()
    except BaseException as error:
        back()
        for member in members:
            member.fail(error)
        if not isinstance(error, Exception):
            raise
        return
    back()
    for member, result in zip(members, results or (), strict=results is not None):
        member.settle(result)
