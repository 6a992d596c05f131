"""What the booking backend promises, under the clock of a test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from avow.testing import Refused, Stage, stage

from .system import app


@pytest.fixture
async def s() -> AsyncIterator[Stage]:
    async with stage(app) as s:
        yield s


async def _room(s: Stage) -> UUID:
    return await s.as_("dan", "desk").do("Room.add", number="12", beds=2)


async def _held(s: Stage, room: UUID, guest: str, first: int, nights: int) -> UUID:
    arrives = s.now + timedelta(days=first)
    return await s.as_(guest).do(
        "Booking.hold", room=room, arrives=arrives, leaves=arrives + timedelta(days=nights), people=2
    )


async def _state(s: Stage, record: UUID) -> str:
    return (await s.look(record)).state


async def test_a_room_is_never_let_to_two_parties_at_a_time(s: Stage) -> None:
    room = await _room(s)
    await _held(s, room, "ann", 0, 3)
    with pytest.raises(Refused, match="exclusion-violated"):
        await _held(s, room, "bob", 2, 2)
    await _held(s, room, "bob", 3, 2)


async def test_a_hold_that_nobody_confirms_lapses_and_frees_the_room(s: Stage) -> None:
    room = await _room(s)
    held = await _held(s, room, "ann", 0, 3)
    await s.advance(minutes=29)
    assert await _state(s, held) == "held"
    await s.advance(minutes=1)
    assert await _state(s, held) == "lapsed"
    await _held(s, room, "bob", 0, 3)


async def test_who_does_not_come_is_missed_a_day_later_and_who_came_is_not(s: Stage) -> None:
    here, away = await _held(s, await _room(s), "ann", 1, 3), await _held(s, await _room(s), "bob", 1, 3)
    await s.as_("ann").do("Booking.confirm", here)
    await s.as_("bob").do("Booking.confirm", away)
    await s.advance(days=1)
    await s.as_("dan", "desk").do("Booking.check_in", here)
    await s.advance(days=1)
    assert (await _state(s, here), await _state(s, away)) == ("staying", "missed")


async def test_the_desk_may_know_sooner_that_nobody_comes_and_lets_the_room_again(s: Stage) -> None:
    room = await _room(s)
    away = await _held(s, room, "ann", 1, 3)
    await s.as_("ann").do("Booking.confirm", away)
    await s.as_("dan", "desk").do("Booking.note_absence", away)
    await _held(s, room, "bob", 2, 2)
    await s.advance(days=2)
    assert await _state(s, away) == "missed"
    assert not [work for work in await s.waiting() if work["id"] == away], "the time has nothing left to do"


async def test_a_party_larger_than_the_beds_is_refused(s: Stage) -> None:
    room = await _room(s)
    with pytest.raises(Refused, match="guard-failed"):
        await s.as_("ann").do(
            "Booking.hold", room=room, arrives=s.now, leaves=s.now + timedelta(days=1), people=3
        )


async def _tour(s: Stage, places: int) -> UUID:
    starts = s.now + timedelta(days=30)
    return await s.as_("dan", "desk").do("Tour.offer", title="To the lake", places=places, starts=starts)


async def _ask(s: Stage, tour: UUID, leader: str, people: int) -> UUID:
    party = await s.as_(leader).do("Party.ask", tour=tour, people=people)
    await s.work()
    return party


async def test_the_line_moves_up_in_order_when_places_are_given_back(s: Stage) -> None:
    tour = await _tour(s, 4)
    parties = {name: await _ask(s, tour, name, 2) for name in ("ann", "bob", "cid", "dot")}
    assert await _states(s, parties) == ["held", "held", "waiting", "waiting"]
    await s.as_("ann").do("Party.confirm", parties["ann"])
    await s.as_("bob").do("Party.cancel", parties["bob"])
    await s.advance(minutes=1)
    assert await _states(s, parties) == ["coming", "gone", "held", "waiting"]


async def test_places_that_nobody_confirms_go_to_the_next_in_line(s: Stage) -> None:
    tour = await _tour(s, 2)
    parties = {name: await _ask(s, tour, name, 2) for name in ("ann", "bob")}
    await s.advance(minutes=30)
    await s.advance(minutes=1)
    assert await _states(s, parties) == ["gone", "held"]


async def test_who_leaves_the_line_lets_the_others_move_up(s: Stage) -> None:
    tour = await _tour(s, 2)
    parties = {name: await _ask(s, tour, name, 2) for name in ("ann", "bob", "cid")}
    await s.as_("bob").do("Party.leave_line", parties["bob"])
    await s.as_("ann").do("Party.cancel", parties["ann"])
    await s.advance(minutes=1)
    assert await _states(s, parties) == ["gone", "gone", "held"]


async def test_the_line_keeps_its_order_whoever_leaves_it(s: Stage) -> None:
    """Who leaves from behind gives nothing to those before them; and holds nobody up who stands behind."""
    tour = await _tour(s, 2)
    people = {"ann": 2, "bob": 1, "cid": 5, "dot": 1, "eve": 1}
    parties = {name: await _ask(s, tour, name, count) for name, count in people.items()}
    for name in ("eve", "cid"):
        await s.as_(name).do("Party.leave_line", parties[name])
    assert (await s.look(tour)).given_back == 0
    await s.as_("ann").do("Party.cancel", parties["ann"])
    await s.advance(minutes=1)
    assert await _states(s, parties) == ["gone", "held", "gone", "held", "gone"]


async def test_a_room_that_is_withdrawn_is_let_to_nobody(s: Stage) -> None:
    room = await _room(s)
    await s.as_("dan", "desk").do("Room.withdraw", room)
    with pytest.raises(Refused, match="guard-failed"):
        await _held(s, room, "ann", 1, 3)


async def test_a_tour_is_never_overbooked_by_a_group(s: Stage) -> None:
    tour = await _tour(s, 4)
    parties = {
        name: await _ask(s, tour, name, people) for name, people in (("ann", 3), ("bob", 2), ("cid", 1))
    }
    states: Any = await _states(s, parties)
    assert states == ["held", "waiting", "waiting"], "who stands behind doesn't overtake"


async def test_who_leaves_once_the_tour_is_over_just_leaves(s: Stage) -> None:
    """A hold lapses and a party is cancelled as ever; nobody waits any more for their places."""
    tour = await _tour(s, 4)
    parties = {"ann": await _ask(s, tour, "ann", 2)}
    await s.as_("ann").do("Party.confirm", parties["ann"])
    await s.advance(days=31, minutes=-10)
    parties["bob"] = await _ask(s, tour, "bob", 2)
    await s.advance(minutes=10)
    assert await _state(s, tour) == "over"
    await s.as_("ann").do("Party.cancel", parties["ann"])
    await s.advance(minutes=20)
    assert await _states(s, parties) == ["gone", "gone"]


async def _states(s: Stage, parties: dict[str, UUID]) -> list[str]:
    return [await _state(s, party) for party in parties.values()]
