"""A parcel that a carrier tells us of: it is registered, then moves as the carrier's events say."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from avow import (
    Entity,
    State,
    create,
    everybody,
    field,
    read,
    sender,
    standard_webhooks,
    system,
    transition,
    unique,
)
from avow.model.system import System


@dataclass(frozen=True)
class Scan:
    """What is read of a carrier's scan."""

    number: str
    place: str = ""
    sequence: int = 0


@dataclass(frozen=True)
class Claim:
    """What is read of an event that names the record itself."""

    parcel: UUID


def parcels(**options: Any) -> System:
    """The declaration, with the options of the event `parcel.delivered`."""
    carrier = sender("carrier", signature=standard_webhooks(), strict=options.pop("strict", False))
    picked = carrier.event("parcel.picked", Scan)
    moved = carrier.event("parcel.moved", Scan)
    delivered = carrier.event("parcel.delivered", Scan, **options)
    lost = carrier.event("parcel.lost", Claim)

    class Parcel(Entity):
        """A parcel."""

        number: str | None = field(max_length=40)
        place: str = field(default="", max_length=100)
        sequence: int = field(default=0)
        one = unique(number)
        visible = read(by=everybody)

        ready, labelled = State(initial=True), State(initial=True)
        under_way = State()
        arrived, gone = State(final=True), State(final=True)

        announce = create(ready, by=everybody)
        register = create(labelled, by=everybody, sets=[number])
        label = transition(ready, to=labelled, by=everybody, sets=[number])
        cancel = transition([ready, labelled], to=gone, by=everybody)

        pick = transition(labelled, to=under_way, on=picked, match=number == picked.data.number)
        move = transition(
            under_way, to=under_way, on=moved, match=number == moved.data.number,
            when=moved.data.sequence > sequence,
            sets={place: moved.data.place, sequence: moved.data.sequence},
        )  # fmt: skip
        deliver = transition(
            under_way, to=arrived, on=delivered, match=number == delivered.data.number,
            sets={place: delivered.data.place},
        )  # fmt: skip

        @transition([labelled, under_way], to=gone, on=lost, match=lost.data.parcel)
        def lose(self, data: Claim) -> None:
            self.place = "lost"

    return system("parcels", Parcel)
