"""What tests of the venue begin with: a clerk, a room that she made, and a booking of it by somebody else."""

from __future__ import annotations

import pytest

from tests.contract.fix_server import Caller, Record, Tenancy

ROOM = {"name": "A", "places": 3}
SPAN = {"starts": "2026-11-21T10:00:00Z", "ends": "2026-11-21T11:00:00Z"}


@pytest.fixture
def clerk(venue: Tenancy) -> Caller:
    """Somebody who may make rooms."""
    return venue.actor("ann", "clerk")


@pytest.fixture
def room(clerk: Caller) -> Record:
    """A room, as it was made."""
    return clerk.create("/rooms", ROOM)


@pytest.fixture
def booking(venue: Tenancy, room: Record) -> Record:
    """The booking of that room by eve, who is no clerk."""
    return venue.actor("eve").create("/bookings", {"room": room.id, **SPAN})
