"""Who shares a round trip with whom, in which order, and what happens when one fails."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

import pytest

from avow.errors import ProblemError
from avow.store.sharing import ENOUGH, WAITING_MAX, Bounds, Claims, Member, Sharing
from tests.acceptance.polling import settled, until

Pair = Member[str, str]


@pytest.fixture(autouse=True)
def nothing_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine makes no round a late one."""
    monkeypatch.setattr("avow.store.sharing.LATE_S", 3_600.0)


class Trips:
    """Round trips that end when they are told to; `made` has lane and items of each, in order."""

    def __init__(self) -> None:
        self.made = list[tuple[Hashable, list[str]]]()
        self.under_way = list[tuple[asyncio.Future[None], list[Pair]]]()

    async def run(self, lane: Hashable, members: list[Pair]) -> list[str]:
        self.made.append((lane, [member.item for member in members]))
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.under_way.append((gate, members))
        await gate
        return [f"{member.item} done" for member in members]

    async def end(self, error: Exception | None = None) -> None:
        """End the oldest round trip under way, and let what follows from it happen."""
        gate, _ = self.under_way.pop(0)
        if error is None:
            gate.set_result(None)
        else:
            gate.set_exception(error)
        await settled()


def begin(sharing: Sharing[str, str], lane: str, *items: str, **claims: bool) -> list[asyncio.Task[str]]:
    held: Claims = {**claims}
    return [asyncio.create_task(sharing.share(lane, item, held)) for item in items]


async def test_what_comes_while_round_trips_are_under_way_goes_into_the_next_one() -> None:
    trips = Trips()
    sharing = Sharing[str, str](trips.run, Bounds(rounds_max=1))
    first = begin(sharing, "a", "1")
    await settled()
    rest = begin(sharing, "a", "2", "3", "4")
    await settled()
    assert trips.made == [("a", ["1"])]
    await trips.end()
    assert trips.made[1:] == [("a", ["2", "3", "4"])]
    await trips.end()
    assert [await task for task in (*first, *rest)] == ["1 done", "2 done", "3 done", "4 done"]


async def test_a_round_trip_takes_so_many_and_leaves_the_rest_to_the_next() -> None:
    trips = Trips()
    sharing = Sharing[str, str](trips.run, Bounds(rounds_max=2, members_max=2))
    begun = begin(sharing, "a", "1", "2", "3", "4", "5")
    await settled()
    assert trips.made == [("a", ["1", "2"])]
    await trips.end()
    await trips.end()
    await trips.end()
    assert trips.made == [("a", ["1", "2"]), ("a", ["3", "4"]), ("a", ["5"])]
    await asyncio.gather(*begun)


async def test_when_all_wait_at_once_half_of_them_go_and_the_rest_when_these_are_back() -> None:
    trips = Trips()
    sharing = Sharing[str, str](trips.run, Bounds())
    begun = begin(sharing, "a", *(str(n) for n in range(4 * ENOUGH)))
    await settled()
    assert [len(items) for _, items in trips.made] == [2 * ENOUGH]
    await trips.end()
    assert [len(items) for _, items in trips.made] == [2 * ENOUGH, 2 * ENOUGH]
    await trips.end()
    await asyncio.gather(*begun)


@pytest.mark.parametrize(("waiting", "is_first"), [(ENOUGH, True), (ENOUGH - 1, False)])
async def test_enough_of_them_are_sent_before_anybody_of_the_last_round_goes_on(
    waiting: int, is_first: bool
) -> None:
    trips = Trips()
    sharing = Sharing[str, str](trips.run, Bounds())
    (first,) = begin(sharing, "a", "first")
    seen = list[int]()
    first.add_done_callback(lambda _: seen.append(len(trips.made)))
    await settled()
    rest = begin(sharing, "a", *map(str, range(waiting)))
    await settled()
    assert len(trips.made) == 1
    await trips.end()
    assert seen == [2 if is_first else 1]
    assert len(trips.made) == 2
    await trips.end()
    await asyncio.gather(*rest)


async def test_a_full_round_trip_goes_beside_one_of_its_lane_and_another_lane_beside_both() -> None:
    trips = Trips()
    sharing = Sharing[str, str](trips.run, Bounds(rounds_max=3, members_max=2))
    begun = begin(sharing, "a", "1")
    await settled()
    begun += begin(sharing, "a", "2") + begin(sharing, "b", "3")
    await settled()
    assert trips.made == [("a", ["1"]), ("b", ["3"])]
    begun += begin(sharing, "a", "4")
    await settled()
    assert trips.made[2:] == [("a", ["2", "4"])]
    while trips.under_way:
        await trips.end()
    await asyncio.gather(*begun)


async def test_nobody_waits_long_for_a_round_trip_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avow.store.sharing.LATE_S", 0.0)
    trips = Trips()
    sharing = Sharing[str, str](trips.run, Bounds(rounds_max=2))
    begun = begin(sharing, "a", "1")
    await settled()
    begun += begin(sharing, "a", "2")

    async def second() -> bool:
        return len(trips.made) == 2

    await until(second, "what waits goes without it")
    assert trips.made == [("a", ["1"]), ("a", ["2"])]
    while trips.under_way:
        await trips.end()
    await asyncio.gather(*begun)


async def test_lanes_take_turns_however_much_waits_in_one() -> None:
    """A flood of one tenant delays another by one round trip, not by the flood."""
    trips = Trips()
    sharing = Sharing[str, str](trips.run, Bounds(rounds_max=1, members_max=2))
    begun = begin(sharing, "flood", *(str(n) for n in range(40)))
    await settled()
    begun += begin(sharing, "quiet", "now")
    await settled()
    await trips.end()
    await trips.end()
    assert ("quiet", ["now"]) in trips.made[:3]
    while trips.under_way:
        await trips.end()
    await asyncio.gather(*begun)


async def test_what_is_claimed_alone_meets_nobody_in_the_same_or_another_round_trip() -> None:
    trips = Trips()
    sharing = Sharing[str, str](trips.run, Bounds(rounds_max=2))
    begun = [
        *begin(sharing, "a", "1", "2", seat=True),
        *begin(sharing, "b", "3", seat=False),
        *begin(sharing, "b", "4", other=True),
    ]
    await settled()
    assert trips.made == [("a", ["1"]), ("b", ["4"])]
    await trips.end()
    assert trips.made[2:] == [("a", ["2"])]
    await trips.end()
    await trips.end()
    assert trips.made[3:] == [("b", ["3"])]
    await trips.end()
    await asyncio.gather(*begun)


async def test_however_many_wait_for_one_claim_others_of_the_lane_pass_them() -> None:
    trips = Trips()
    sharing = Sharing[str, str](trips.run, Bounds(rounds_max=2))
    begun = [*begin(sharing, "a", *map(str, range(WAITING_MAX - 1)), seat=True), *begin(sharing, "a", "free")]
    await settled()
    assert trips.made == [("a", ["0", "free"])]
    for task in begun:
        task.cancel()
    await asyncio.gather(*begun, return_exceptions=True)
    await trips.end()


async def test_what_is_claimed_beside_others_is_shared_by_them() -> None:
    trips = Trips()
    sharing = Sharing[str, str](trips.run, Bounds(rounds_max=2))
    begun = [*begin(sharing, "a", "1", "2", hall=False), *begin(sharing, "b", "3", hall=False)]
    await settled()
    assert trips.made == [("a", ["1", "2"]), ("b", ["3"])]
    begun += begin(sharing, "c", "4", hall=True)
    await trips.end()
    assert len(trips.made) == 2, "3 has the hall still"
    await trips.end()
    assert trips.made[2:] == [("c", ["4"])]
    await trips.end()
    await asyncio.gather(*begun)


async def test_a_failed_round_trip_fails_its_members_and_nobody_else() -> None:
    trips = Trips()
    sharing = Sharing[str, str](trips.run, Bounds(rounds_max=1))
    failing = begin(sharing, "a", "1", "2", seat=False)
    await settled()
    fine = begin(sharing, "a", "3", seat=True)
    await settled()
    await trips.end(ConnectionResetError("gone"))
    await trips.end()
    assert await fine[0] == "3 done"
    for task in failing:
        with pytest.raises(ConnectionResetError):
            await task


async def test_who_is_cancelled_while_waiting_is_left_out() -> None:
    trips = Trips()
    sharing = Sharing[str, str](trips.run, Bounds(rounds_max=1))
    begun = begin(sharing, "a", "1", "2", "3")
    begun[1].cancel()
    await settled()
    assert trips.made == [("a", ["1", "3"])]
    await trips.end()
    assert await begun[2] == "3 done"


async def test_too_many_in_one_lane_are_refused_and_other_lanes_are_not() -> None:
    trips = Trips()
    sharing = Sharing[str, str](trips.run, Bounds(rounds_max=1, members_max=1))
    begun = begin(sharing, "a", *map(str, range(WAITING_MAX + 1)))
    await settled()
    late = begin(sharing, "a", "late", "too late")
    other = begin(sharing, "b", "other")
    await settled()
    with pytest.raises(ProblemError, match="busy"):
        await late[-1]
    assert not other[0].done()
    for task in (*begun, *late, *other):
        task.cancel()
    await asyncio.gather(*begun, *late, *other, return_exceptions=True)
    await trips.end()
