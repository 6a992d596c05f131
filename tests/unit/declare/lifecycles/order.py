"""An order with its payments, fulfillments and refunds, which move it.

| not there | why |
|---|---|
| lines as records, and guards over their sums | no sum over the records that refer to one: the parts keep |
| | a record of sums up, in the transactions that change them |
| stock of each line, orders split by seller | a body can't create records, nor move any number of them |
| cancelling an order cancels its parts | no transition moves all records that refer to its own |
| the return to the state before as one transition | one for each state: a flat machine |
| guards that an option switches off | a Python value at import decides: `STOCK_IS_CHECKED` |
| history entries | the audit log is that |
| a payment cancelled while it is authorized | the call is waited for; if it was done, it is cancelled after |
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from avow import (
    Call,
    Entity,
    State,
    Subject,
    actor,
    authenticated,
    create,
    effect,
    everybody,
    field,
    internal,
    missing,
    not_,
    read,
    ref,
    role,
    system,
    transition,
)

clerk, warehouse = role("clerk"), role("warehouse")
STOCK_IS_CHECKED = True


class Stage(StrEnum):
    """Where an order stood when it was opened again."""

    PAYMENT_AUTHORIZED = "payment_authorized"
    PAYMENT_SETTLED = "payment_settled"
    PARTIALLY_SHIPPED = "partially_shipped"
    SHIPPED = "shipped"
    PARTIALLY_DELIVERED = "partially_delivered"


@dataclass(frozen=True)
class Reply:
    """What the provider has done: only authorized, or settled at once."""

    settled: bool


@effect(keyed=False)
async def authorize(payment: Payment, call: Call) -> Reply:
    raise NotImplementedError


@effect(keyed=False)
async def collect(payment: Payment, call: Call) -> None:
    raise NotImplementedError


@effect()
async def pay_back(refund: Refund, call: Call) -> None:
    raise NotImplementedError


class Sums(Entity, plural="sums"):
    """The sums over the parts of an order. Its parts change it, and its order looks at it."""

    customer: Subject = field(default=actor)
    quantity: int = field(default=0, ge=0)
    out_of_stock: int = field(default=0, ge=0)
    total: int = field(default=0, ge=0)
    authorized: int = field(default=0, ge=0)
    settled: int = field(default=0, ge=0)
    unsettled: int = field(default=0, ge=0)
    shipped: int = field(default=0, ge=0)
    delivered: int = field(default=0, ge=0)
    called_off: int = field(default=0, ge=0)
    visible = read(by=(actor == customer) | clerk | warehouse)

    kept, closed = State(initial=True), State(final=True)
    begin = create(kept, by=authenticated)
    close = transition(kept, to=closed, by=clerk)

    @transition(kept, to=kept, by=internal)
    def put(self, quantity: int, price: int, out_of_stock: int = 0) -> None:
        self.quantity += quantity
        self.total += quantity * price
        self.out_of_stock += out_of_stock

    @transition(kept, to=kept, by=internal)
    def pay(self, held: int = 0, taken: int = 0, asked: int = 0) -> None:
        """How much more; an argument of a field's own name would have the field's limits."""
        self.authorized += held
        self.settled += taken
        self.unsettled += asked

    @transition(kept, to=kept, by=internal)
    def move(self, sent: int = 0, arrived: int = 0) -> None:
        self.shipped += sent
        self.delivered += arrived

    @transition(kept, to=kept, by=clerk)
    def call_off(self, quantity: int) -> None:
        self.called_off += quantity


class Order(Entity):
    """What somebody buys."""

    customer: Subject = field(default=actor)
    sums: Sums = ref()
    shipping: str | None = field(max_length=50)
    deleted_variants: bool = field(default=False)
    before: Stage | None = field()
    visible = read(by=(actor == customer) | clerk | warehouse)
    own = (actor == customer) | clerk

    created, adding_items, draft, arranging_payment = State(initial=True), State(), State(), State()
    payment_authorized, payment_settled = State(), State()
    partially_shipped, shipped, partially_delivered, delivered = State(), State(), State(), State()
    modifying, arranging_additional_payment, cancelled = State(), State(), State(final=True)

    open = create(created, by=actor == sums.customer, sets=[sums])
    begin = transition(created, to=adding_items, by=own)
    begin_draft = transition(created, to=draft, by=clerk)

    @transition(adding_items, to=adding_items, by=own, uses=sums)
    def put(self, quantity: int, price: int, out_of_stock: int = 0) -> None:
        self.sums.put(quantity, price, out_of_stock)

    @transition(draft, to=draft, by=clerk, uses=sums)
    def put_in_draft(self, quantity: int, price: int) -> None:
        self.sums.put(quantity, price)

    miss_variant = transition(adding_items, to=adding_items, by=clerk, sets=[deleted_variants])
    saleable = sums.out_of_stock == 0 if STOCK_IS_CHECKED else everybody
    choose = transition(adding_items, to=adding_items, by=own, sets=[shipping])
    choose_in_draft = transition(draft, to=draft, by=clerk, sets=[shipping])
    arrange = transition(
        [adding_items, draft], to=arranging_payment, by=own,
        when=(sums.quantity > 0) & not_(missing(shipping)) & not_(deleted_variants) & saleable,
    )  # fmt: skip
    revise = transition(arranging_payment, to=adding_items, by=own)

    covered = sums.settled + sums.authorized >= sums.total
    place = transition(
        arranging_payment, to=payment_authorized, by=internal, when=covered & (sums.authorized > 0)
    )
    settle = transition(
        [arranging_payment, payment_authorized], to=payment_settled, by=internal,
        when=sums.settled >= sums.total,
    )  # fmt: skip

    partially_ship = transition(payment_settled, to=partially_shipped, by=internal, when=sums.shipped > 0)
    ship = transition(
        [payment_settled, partially_shipped], to=shipped, by=internal, when=sums.shipped >= sums.quantity
    )
    partially_deliver = transition(
        [payment_settled, partially_shipped, shipped], to=partially_delivered, by=internal,
        when=sums.delivered > 0,
    )  # fmt: skip
    deliver = transition(
        [payment_settled, shipped, partially_delivered], to=delivered, by=internal,
        when=sums.delivered >= sums.quantity,
    )  # fmt: skip

    @transition(
        [payment_authorized, payment_settled, partially_shipped, shipped, partially_delivered],
        to=modifying, by=clerk, uses=sums,
    )  # fmt: skip
    def modify(self, unsettled: int = 0) -> None:
        """Change what was bought; what that costs more has to be settled."""
        self.before = Stage(self.state)
        self.sums.pay(asked=unsettled)

    @transition([payment_authorized, payment_settled], to=arranging_additional_payment, by=clerk)
    def ask_for_more(self) -> None:
        self.before = Stage(self.state)

    need_more = transition(modifying, to=arranging_additional_payment, by=clerk, when=sums.unsettled > 0)
    even = sums.unsettled == 0
    finish_authorized = transition(
        modifying, to=payment_authorized, by=clerk, command="finish",
        when=even & (before == Stage.PAYMENT_AUTHORIZED),
    )  # fmt: skip
    finish_settled = transition(
        modifying, to=payment_settled, by=clerk, command="finish",
        when=even & (before == Stage.PAYMENT_SETTLED),
    )  # fmt: skip
    finish_partially_shipped = transition(
        modifying, to=partially_shipped, by=clerk, command="finish",
        when=even & (before == Stage.PARTIALLY_SHIPPED),
    )  # fmt: skip
    finish_shipped = transition(
        modifying, to=shipped, by=clerk, command="finish", when=even & (before == Stage.SHIPPED)
    )
    finish_partially_delivered = transition(
        modifying, to=partially_delivered, by=clerk, command="finish",
        when=even & (before == Stage.PARTIALLY_DELIVERED),
    )  # fmt: skip
    paid_authorized = transition(
        arranging_additional_payment, to=payment_authorized, by=clerk, command="go_on",
        when=covered & (before == Stage.PAYMENT_AUTHORIZED),
    )  # fmt: skip
    paid_settled = transition(
        arranging_additional_payment, to=payment_settled, by=clerk, command="go_on",
        when=covered & (before == Stage.PAYMENT_SETTLED),
    )  # fmt: skip
    paid_partially_shipped = transition(
        arranging_additional_payment, to=partially_shipped, by=clerk, command="go_on",
        when=covered & (before == Stage.PARTIALLY_SHIPPED),
    )  # fmt: skip
    paid_shipped = transition(
        arranging_additional_payment, to=shipped, by=clerk, command="go_on",
        when=covered & (before == Stage.SHIPPED),
    )  # fmt: skip
    paid_partially_delivered = transition(
        arranging_additional_payment, to=partially_delivered, by=clerk, command="go_on",
        when=covered & (before == Stage.PARTIALLY_DELIVERED),
    )  # fmt: skip

    cancel = transition([adding_items, draft, arranging_payment], to=cancelled, by=own)
    cancel_placed = transition(
        [payment_authorized, payment_settled, partially_shipped, shipped, partially_delivered, delivered,
         arranging_additional_payment],
        to=cancelled, by=clerk, command="cancel", when=sums.called_off >= sums.quantity,
    )  # fmt: skip


def paid(order: Order, sums: Sums) -> None:
    """A payment moves its order if it covers it, and leaves it alone otherwise."""
    if order.state in ("arranging_payment", "payment_authorized") and sums.settled >= sums.total:
        order.settle()
    elif order.state == "arranging_payment" and sums.settled + sums.authorized >= sums.total:
        order.place()


def moved(order: Order, sums: Sums) -> None:
    """A fulfillment moves its order if there is a way, and leaves it alone otherwise."""
    on_way = order.state in ("payment_settled", "partially_shipped", "shipped", "partially_delivered")
    if not on_way or (order.state == "partially_shipped" and sums.delivered >= sums.quantity):
        return
    if sums.delivered >= sums.quantity:
        order.deliver()
    elif sums.delivered > 0 and order.state != "partially_delivered":
        order.partially_deliver()
    elif sums.shipped >= sums.quantity and order.state in ("payment_settled", "partially_shipped"):
        order.ship()
    elif sums.shipped > 0 and order.state == "payment_settled":
        order.partially_ship()


class Payment(Entity):
    """Money for an order."""

    order: Order = ref()
    sums: Sums = ref()
    amount: int = field(ge=1)
    visible = read(by=(actor == order.customer) | clerk)

    created = State(initial=True, invoke=authorize)
    withdrawing = State(invoke=authorize, withdraw=True)
    authorized, capturing = State(), State(invoke=collect)
    settled, declined, error, cancelled = State(), State(), State(), State(final=True)

    start = create(
        created, by=(actor == order.customer) | clerk, sets=[order, sums, amount], when=order.sums == sums
    )

    @transition(
        created, to=authorized, on=authorize.done, uses=[order, sums], when=not_(authorize.result.settled)
    )
    def is_authorized(self) -> None:
        self.sums.pay(held=self.amount)
        paid(self.order, self.sums)

    @transition(created, to=settled, on=authorize.done, uses=[order, sums], when=authorize.result.settled)
    def is_settled(self) -> None:
        self.sums.pay(taken=self.amount)
        paid(self.order, self.sums)

    is_declined = transition(created, to=declined, on=authorize.failed)
    is_unclear = transition(created, to=error, on=authorize.unknown)
    withdraw = transition(created, to=withdrawing, by=clerk, command="cancel")
    is_withdrawn = transition(withdrawing, to=cancelled, on=authorize.failed)

    @transition(withdrawing, to=authorized, on=authorize.done, uses=sums, when=not_(authorize.result.settled))
    def is_late(self) -> None:
        self.sums.pay(held=self.amount)

    @transition(withdrawing, to=settled, on=authorize.done, uses=sums, when=authorize.result.settled)
    def is_settled_late(self) -> None:
        self.sums.pay(taken=self.amount)

    capture = transition(authorized, to=capturing, by=clerk)

    @transition(capturing, to=settled, on=collect.done, uses=[order, sums])
    def is_captured(self) -> None:
        self.sums.pay(held=-self.amount, taken=self.amount)
        paid(self.order, self.sums)

    is_not_captured = transition(capturing, to=error, on=collect.failed)
    is_captured_or_not = transition(capturing, to=error, on=collect.unknown)

    @transition([authorized, settled], to=cancelled, by=clerk, command="cancel", uses=sums)
    def cancel_held(self) -> None:
        held = self.state == "authorized"
        self.sums.pay(held=-self.amount if held else 0, taken=0 if held else -self.amount)

    forget = transition([declined, error], to=cancelled, by=clerk, command="cancel")


class Fulfillment(Entity):
    """Some items of an order on their way."""

    order: Order = ref()
    sums: Sums = ref()
    items: int = field(ge=1)
    visible = read(by=(actor == order.customer) | clerk | warehouse)
    created, pending, shipped = State(initial=True), State(), State()
    delivered, cancelled = State(), State(final=True)

    start = create(created, by=warehouse, sets=[order, sums, items], when=order.sums == sums)
    pack = transition(created, to=pending, by=warehouse)

    @transition(pending, to=shipped, by=warehouse, uses=[order, sums])
    def ship(self) -> None:
        self.sums.move(sent=self.items)
        moved(self.order, self.sums)

    @transition([pending, shipped], to=delivered, by=warehouse, uses=[order, sums])
    def deliver(self) -> None:
        self.sums.move(sent=0 if self.state == "shipped" else self.items, arrived=self.items)
        moved(self.order, self.sums)

    @transition([pending, shipped, delivered], to=cancelled, by=clerk, uses=sums)
    def cancel(self) -> None:
        """It comes back: the order stays where it is, but can be shipped again."""
        shipped, delivered = self.state != "pending", self.state == "delivered"
        self.sums.move(-self.items if shipped else 0, -self.items if delivered else 0)


class Refund(Entity):
    """Money that goes back."""

    payment: Payment = ref()
    amount: int = field(ge=1)
    visible = read(by=clerk)
    pending = State(initial=True, invoke=pay_back)
    settled, failed = State(final=True), State(final=True)
    start = create(pending, by=clerk, sets=[payment, amount], when=amount <= payment.amount)
    is_settled = transition(pending, to=settled, on=pay_back.done)
    is_failed = transition(pending, to=failed, on=pay_back.failed)


app = system("shop", Sums, Order, Payment, Fulfillment, Refund)
