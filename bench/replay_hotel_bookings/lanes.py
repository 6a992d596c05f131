"""Which room each booking asks for, and in which order the steps of one room are sent."""

from __future__ import annotations

from bisect import bisect, insort
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal

from bench.replay_hotel_bookings.bookings import CANCELLED, CHECKED_OUT, Booking

CAPACITY_PERCENT = 45
BEDS = 5

Command = Literal["hold", "confirm", "check_in", "check_out", "cancel", "note_absence"]

_BEFORE, _ASKING, _AFTER = range(3)
"""The parts of one day."""
_ENDING: dict[str, Command] = {CHECKED_OUT: "check_out", CANCELLED: "cancel"}


@dataclass
class Room:
    """A room with everything that is sent to it, in order.

    taken: the spans of days for which it is held just now, in order.
    """

    name: str
    steps: list[tuple[Command, Booking]] = field(default_factory=list[tuple[Command, Booking]])
    taken: list[tuple[date, date]] = field(default_factory=list[tuple[date, date]])

    def is_free(self, first: date, end: date) -> bool:
        """Whether nothing that it is held for overlaps with these days."""
        place = bisect(self.taken, (first, end))
        before = place == 0 or self.taken[place - 1][1] <= first
        return before and (place == len(self.taken) or self.taken[place][0] >= end)


def rooms_for(bookings: Sequence[Booking]) -> dict[str, list[Room]]:
    """The rooms that there are, by kind."""
    needed: dict[str, Counter[date]] = defaultdict(Counter)
    for booking in bookings:
        needed[booking.kind].update(booking.arrives + timedelta(days=day) for day in range(booking.days))
    return {
        kind: [
            Room(f"{kind} {number}") for number in range(max(max(days.values()) * CAPACITY_PERCENT // 100, 1))
        ]
        for kind, days in sorted(needed.items())
    }


def lanes_of(bookings: Sequence[Booking]) -> list[Room]:
    """Every room with its steps."""
    rooms, given = rooms_for(bookings), dict[int, Room]()
    for _, _, number, order, command, booking in sorted(_events(bookings), key=lambda event: event[:4]):
        if command == "hold":
            room = _ask(rooms[booking.kind], booking)
            if room is not None:
                given[number] = room
        elif number in given:
            room = given[number]
            room.steps.append((command, booking))
            if order == _LAST:
                room.taken.remove(_days(booking))
    return [room for kind in rooms.values() for room in kind]


_LAST = 3

_Event = tuple[date, int, int, int, Command, Booking]


def _events(bookings: Sequence[Booking]) -> Iterator[_Event]:
    """When what is sent: date, part of the day, row, order within the booking."""
    for booking in bookings:
        number, asked = booking.number, booking.booked
        begun = asked
        yield asked, _ASKING, number, 0, "hold", booking
        if booking.is_confirmed:
            yield asked, _ASKING, number, 1, "confirm", booking
        if booking.status == CHECKED_OUT:
            begun = booking.arrives
            yield begun, _AFTER, number, 2, "check_in", booking
        part = _BEFORE if booking.ended > begun else _AFTER
        yield booking.ended, part, number, _LAST, _ENDING.get(booking.status, "note_absence"), booking


def _ask(rooms: Sequence[Room], booking: Booking) -> Room | None:
    """Ask for the first room that is free, or, in vain, for one that isn't. None: it will be refused."""
    days = _days(booking)
    fits = 1 <= booking.people <= BEDS
    found = next((room for room in rooms if room.is_free(*days)), None) if fits else None
    (found or rooms[booking.number % len(rooms)]).steps.append(("hold", booking))
    if found is not None:
        insort(found.taken, days)
    return found


def _days(booking: Booking) -> tuple[date, date]:
    return booking.arrives, booking.arrives + timedelta(days=booking.days)
