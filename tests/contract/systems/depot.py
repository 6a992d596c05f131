"""Orders whose outside goes wrong in the way that each order says, and operators who see to it."""

from avow import (
    Call,
    Declined,
    Entity,
    NotDone,
    State,
    Unclear,
    create,
    days,
    effect,
    everybody,
    field,
    forever,
    read,
    role,
    saga,
    step,
    system,
    transition,
)


@effect(destination="stock")
async def reserve(order: "Order", call: Call) -> str:
    return call.key


@effect(destination="stock")
async def release(order: "Order", call: Call) -> None:
    if order.fate == "kept":
        raise Declined("It is on its way.", code="on-its-way")


@effect(destination="psp", keyed=False, retry=forever)
async def pay(order: "Order", call: Call) -> str:
    if order.fate == "good":
        return call.key
    if order.fate == "unclear":
        raise Unclear("cut")
    raise NotDone("closed", retry_after_s=3_600)


class Order(Entity):
    """Something that is reserved, and paid for later."""

    fate: str = field(default="rest")
    receipt: str | None = field(max_length=100)
    problem: str | None = field(max_length=100)
    visible = read(by=everybody)

    placed = State(initial=True)
    paid, dropped, forgotten = State(), State(), State(final=True)

    place = create(placed, by=everybody, sets=[fate])
    fulfil = saga(
        step(reserve, undo=release),
        step(pay, sets={receipt: pay.result}, pivot=True),
        start=placed, done=paid, failed=dropped, reason=problem,
    )  # fmt: skip
    forget = transition([paid, dropped], to=forgotten, after=days(90))


app = system("depot", Order, operators=role("operator"), pausers=role("platform"))
