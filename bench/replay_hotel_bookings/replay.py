"""Sending the bookings: each room's steps in their order, all rooms at once, in copies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence

from bench.replay.clients import Clients
from bench.replay.sending import Sender, Token
from bench.replay_hotel_bookings.bookings import Booking
from bench.replay_hotel_bookings.lanes import BEDS, Command, Room

LANES_AT_ONCE = 64
REPEATS_ONE_IN = 10
BY_THE_GUEST = ("hold", "confirm", "cancel")


class Replay:
    """One run over one server. token: makes a bearer token of a subject with roles."""

    def __init__(self, clients: Clients, token: Token, finished: Callable[[], None]) -> None:
        self.sender = Sender(clients, finished, REPEATS_ONE_IN)
        self._token, self._desk = token, token("dan", "desk")

    async def run(self, rooms: Sequence[Room]) -> None:
        """Send everything; returns when each request has all its answers."""
        busiest_first = iter(sorted(rooms, key=lambda room: -len(room.steps)))
        async with self.sender.repeating(), asyncio.TaskGroup() as group:
            for _ in range(LANES_AT_ONCE):
                group.create_task(self._let_rooms(busiest_first))

    async def _let_rooms(self, rooms: Iterator[Room]) -> None:
        for room in rooms:
            body = {"number": room.name, "beds": BEDS}
            key = f"{room.name}/add".replace(" ", "-")
            added = await self.sender.step("Room", "add", "/rooms", self._desk, key, body)
            await self._let(json.loads(added.body)["id"], room.steps)

    async def _let(self, room: str, steps: Sequence[tuple[Command, Booking]]) -> None:
        """One room's steps. What is refused was held by nobody, and has no further step."""
        places = dict[int, str]()
        for command, booking in steps:
            token = self._token(guest_of(booking.number)) if command in BY_THE_GUEST else self._desk
            key = f"{booking.number}/{command}"
            if command != "hold":
                await self.sender.step("Booking", command, f"{places[booking.number]}/{command}", token, key)
                continue
            arrives, leaves = (moment.isoformat() for moment in booking.span)
            body = {"room": room, "arrives": arrives, "leaves": leaves, "people": booking.people}
            held = await self.sender.step("Booking", command, "/bookings", token, key, body)
            if held.status < 400:
                places[booking.number] = "/bookings/" + json.loads(held.body)["id"]


def guest_of(number: int) -> str:
    """The guest of a row: one of its own, for the file names nobody."""
    return f"guest-{number}"
