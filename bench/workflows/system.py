"""What is measured: a saga of three calls to the outside, and a time that comes.

Each call has a key, and the id that it is answered with is recorded.
"""

from dataclasses import dataclass
from datetime import datetime

from avow import (
    Call,
    Declined,
    Entity,
    State,
    create,
    effect,
    field,
    read,
    role,
    saga,
    step,
    system,
    transition,
)

clerk = role("clerk")


@dataclass(frozen=True)
class Told:
    """What the provider answers: the id of what it did."""

    id: str


async def post(one: "Saga", call: Call, path: str) -> Told:
    """Ask for something under the call's key."""
    answer = await call.http.post(path, headers={"X-For": str(one.id)})
    if answer.status != 200:
        raise Declined(f"answered with {answer.status}", code="declined")
    return Told(answer.json()["id"])


@effect(destination="provider")
async def reserve(one: "Saga", call: Call) -> Told:
    """The first call."""
    return await post(one, call, "/reserve")


@effect(destination="provider")
async def release(one: "Saga", call: Call) -> None:
    """Takes the first one back."""
    await post(one, call, "/release")


@effect(destination="provider")
async def charge(one: "Saga", call: Call) -> Told:
    """The second call."""
    return await post(one, call, "/charge")


@effect(destination="provider")
async def refund(one: "Saga", call: Call) -> None:
    """Takes the second one back."""
    await post(one, call, "/refund")


@effect(destination="provider")
async def ship(one: "Saga", call: Call) -> Told:
    """The third call, after which nothing is taken back."""
    return await post(one, call, "/ship")


class Saga(Entity):
    """Three calls that are all made, or all taken back."""

    reservation: str | None = field(max_length=64)
    payment: str | None = field(max_length=64)
    shipment: str | None = field(max_length=64)
    visible = read(by=clerk)

    started = State(initial=True)
    done, undone = State(final=True), State(final=True)

    start = create(started, by=clerk)
    carry_out = saga(
        step(reserve, undo=release, sets={reservation: reserve.result.id}),
        step(charge, undo=refund, sets={payment: charge.result.id}),
        step(ship, pivot=True, sets={shipment: ship.result.id}),
        start=started, done=done, failed=undone,
    )  # fmt: skip


class Timer(Entity):
    """Something that waits for its time."""

    due: datetime = field()
    visible = read(by=clerk)

    waiting, fired = State(initial=True), State(final=True)

    start = create(waiting, by=clerk, sets=[due])
    fire = transition(waiting, to=fired, at=due)


app = system("workflows", Saga, Timer)
