"""Why a decision that followed references was taken: what it found at their ends, as it was then."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from avow import (
    Actor,
    Entity,
    State,
    Subject,
    create,
    everybody,
    field,
    in_state,
    internal,
    missing,
    now,
    read,
    ref,
    role,
    system,
    transition,
)
from avow.engine.explain import Operator, Reader, why
from tests.acting import TENANT, Acting, acting
from tests.fix_database import MakeDatabase

insider = role("insider")


class Region(Entity):
    """What lies at the end of two references."""

    stars: int = field(default=3)
    visible = read(by=insider)
    active, closed = State(initial=True), State(final=True)
    found = create(active, by=everybody)
    close = transition(active, to=closed, by=everybody)

    @transition(active, to=active, by=internal)
    def shine(self) -> None:
        self.stars += 1


class Hotel(Entity):
    """What lies between; not everybody may see where it leads."""

    region: Region | None = ref(read=insider)
    visible = read(by=everybody)
    open, shut = State(initial=True), State(final=True)
    build = create(open, by=everybody, sets=[region])
    shut_down = transition(open, to=shut, by=everybody)

    @transition(open, to=open, by=internal, uses=region, when=missing(region) | (region.stars < 10))  # pyright: ignore[reportOptionalMemberAccess]
    def praise(self) -> None:
        if self.region is not None:
            self.region.shine()


class Room(Entity):
    """What is decided about."""

    hotel: Hotel = ref()
    length: timedelta = field(default=timedelta(0))
    visible = read(by=everybody)
    ready, gone = State(initial=True), State(final=True)
    add = create(
        ready, by=everybody, sets=[hotel],
        when=in_state(Hotel.open, of=hotel)
        & (missing(hotel.region) | in_state(Region.active, of=hotel.region)),
    )  # fmt: skip
    drop = transition(ready, to=gone, by=everybody, when=now + length <= now + timedelta(days=400))

    @transition(ready, to=ready, by=everybody, uses=hotel)
    def praise(self) -> None:
        self.hotel.praise()
        self.hotel.praise()


hotels = system("hotels", Region, Hotel, Room)
OPERATOR = Operator(TENANT)
GUEST = Actor(Subject("guest"), TENANT)


async def rested_on(act: Acting, kind: str, record: UUID, reader: Reader = OPERATOR) -> dict[str, Any]:
    """What the newest decision on a record rested on, by what was read."""
    told = await why(hotels, act.reads, reader, hotels.entities[kind], record, None, None)
    assert told is not None
    return {part.pop("read"): part for part in told["because"]["rested_on"]}


def of(kind: str, record: UUID, version: int) -> dict[str, Any]:
    return {"of": {"kind": kind, "id": str(record), "version": version}}


async def built(act: Acting) -> tuple[UUID, UUID, UUID]:
    """A region, a hotel in it and a room of that."""
    region = await act.do("Region", "found", None, {}, "ana", "insider")
    hotel = await act.do("Hotel", "build", None, {"region": region}, "ana", "insider")
    room = await act.do("Room", "add", None, {"hotel": hotel}, "ana", "insider")
    return region, hotel, room


async def test_a_guard_over_two_references_names_the_record_at_their_end_as_it_was(
    database: MakeDatabase,
) -> None:
    async with acting(database(hotels)) as act:
        region, hotel, room = await built(act)
        await act.do("Hotel", "shut_down", hotel, {}, "ana", "insider")
        await act.do("Region", "close", region, {}, "ana", "insider")
        assert await rested_on(act, "Room", room) == {
            "hotel.state": of("Hotel", hotel, 1),
            "hotel.region": of("Hotel", hotel, 1),
            "hotel.region.state": of("Region", region, 1),
        }


async def test_a_reference_on_the_way_that_has_no_value_is_told_as_that(database: MakeDatabase) -> None:
    async with acting(database(hotels)) as act:
        hotel = await act.do("Hotel", "build", None, {}, "ana", "insider")
        room = await act.do("Room", "add", None, {"hotel": hotel}, "ana", "insider")
        assert (await rested_on(act, "Room", room))["hotel.region.state"] == {"value": None}


async def test_where_a_reference_on_the_way_leads_shows_to_nobody_who_may_not_see_it(
    database: MakeDatabase,
) -> None:
    async with acting(database(hotels)) as act:
        region, _, room = await built(act)
        seen = await rested_on(act, "Room", room, GUEST)
        assert seen["hotel.region.state"] == {"hidden": True}
        assert str(region) not in str(seen)


async def test_a_later_step_of_a_command_rests_on_what_its_earlier_steps_have_made(
    database: MakeDatabase,
) -> None:
    """The second praise sees the region as the first one left it."""
    async with acting(database(hotels)) as act:
        region, hotel, room = await built(act)
        await act.do("Room", "praise", room, {}, "ana", "insider")
        assert (await rested_on(act, "Hotel", hotel))["region.stars"] == of("Region", region, 2)


async def test_a_guard_that_calculates_with_times_is_told_as_it_is_written(database: MakeDatabase) -> None:
    async with acting(database(hotels)) as act:
        hotel = await act.do("Hotel", "build", None, {}, "ana", "insider")
        room = await act.do("Room", "add", None, {"hotel": hotel}, "ana", "insider")
        await act.do("Room", "drop", room, {}, "ana", "insider")
        told = await why(hotels, act.reads, OPERATOR, hotels.entities["Room"], room, None, None)
        assert told is not None
        assert told["because"]["allowed_by"]["guard"] == "now + length <= now + days(400)"
