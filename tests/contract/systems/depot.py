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
    invariant,
    read,
    role,
    saga,
    seconds,
    step,
    system,
    task,
    transition,
)


@effect(destination="stock")
async def reserve(order: "Order", call: Call) -> str:
    return call.key


@effect(destination="stock")
async def release(order: "Order", call: Call) -> None:
    if order.fate == "kept":
        raise Declined("It is on its way.", code="on-its-way")


@effect(
    destination="psp", keyed=False, retry=forever,
    task=task(role("cashier"), due=days(1), escalate=role("treasurer"), shows=["fate", "margin"]),
)  # fmt: skip
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
    margin: int = field(default=7, read=role("treasurer"))
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


class Shelf(Entity):
    """Something that spoils by itself, and can't where it is empty."""

    filled: int = field(default=0)
    visible = read(by=everybody)
    real = invariant(filled >= 0, "Nothing is taken from an empty shelf.")

    fresh, spoilt = State(initial=True), State(final=True)

    fill = create(fresh, by=everybody, sets=[filled])

    @transition(fresh, to=spoilt, after=seconds(0))
    def spoil(shelf: "Shelf") -> None:  # noqa: N805 - its first argument is the record
        shelf.filled = shelf.filled - 1


app = system("depot", Order, Shelf, operators=role("operator"), pausers=role("platform"))
