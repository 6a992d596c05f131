"""A checkout backend: an order reserves stock, takes money and is shipped; or all of it is undone.

Amounts are whole cents.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from avow import Call, Declined, Entity, NotDone, State, Subject, Unclear, World, actor, always
from avow import authenticated, create, days, effect, field, forever, in_state, internal, invariant, missing
from avow import not_, nothing, now, performed, private, quota, read, ref, refuse, reveal, role, saga, seconds
from avow import sender, sometimes, standard_webhooks, step, system, task, transition

shopkeeper, privacy = role("shopkeeper"), role("privacy")
owed = task(role("finance"), due=days(1), escalate=shopkeeper)
"""Whoever sees to money that nobody here can tell the whereabouts of."""

UNPAID = days(14)
"""How long a transfer may take to arrive."""


@dataclass(frozen=True)
class Told:
    """What an outside service answers: the id under which it knows what it did."""

    id: str


@dataclass(frozen=True)
class Transfer:
    """What the payment provider tells of a payment: whose it is."""

    reference: UUID


psp = sender("psp", signature=standard_webhooks())
arrived = psp.event("payment.authorized", Transfer)
rejected = psp.event("payment.declined", Transfer)


def told(status: int, said: Any) -> Told:
    """The id of what was done. Raises Declined for a definite no, NotDone while a copy is still at work."""
    if status < 300:
        return Told(str(said.get("id", "done")))
    if said["code"] == "key_in_use":
        raise NotDone("a copy of this call is under way", retry_after_s=1)
    raise Declined(str(said.get("detail", "")), code=said["code"])


async def post(call: Call, path: str, **body: Any) -> Told:
    """Ask for something under the call's key."""
    answer = await call.http.post(path, json=body)
    return told(answer.status, answer.json())


async def look_up(_: Any, call: Call) -> Told | None:
    """What became of a call, asked by its key; None where it never arrived."""
    answer = await call.http.get(f"/requests/{call.key}")
    known = answer.json()
    if answer.status == 404:
        return None
    if known["state"] != "answered":
        raise Unclear("it is still being worked on")
    return told(known["status"], known["answer"])


@effect(destination="stock", lookup=look_up)
async def reserve_stock(order: "Order", call: Call) -> Told:
    """Set the pieces aside."""
    wanted = {"sku": order.sku, "quantity": order.quantity}
    return await post(call, "/stock/reserve", **wanted, reference=str(order.id))


@effect(destination="stock", retry=forever)
async def release_stock(order: "Order", call: Call) -> None:
    """Put the pieces back."""
    await post(call, "/stock/release", reference=str(order.id))


async def authorize(order: "Order", call: Call, card: str | None, cents: int) -> Told:
    """Hold an amount, or announce a transfer of it."""
    wanted = {"amount": cents, "currency": "EUR", "card": card, "reference": str(order.id)}
    return await post(call, "/payments/authorize", **wanted)


async def void(call: Call, payment: str | None) -> None:
    """Let go what was held. A payment that was refused or let go by the other side holds nothing."""
    try:
        await post(call, f"/payments/{payment}/void")
    except Declined:
        known = await call.http.get(f"/payments/{payment}")
        if known.json()["status"] not in ("voided", "declined"):
            raise


@effect(destination="payment", lookup=look_up, task=owed)
async def authorize_card(order: "Order", call: Call) -> Told:
    """Hold the money on the card."""
    return await authorize(order, call, order.card, order.card_cents)


@effect(destination="payment", lookup=look_up, task=owed)
async def authorize_second(order: "Order", call: Call) -> Told:
    """Hold the rest on another card."""
    return await authorize(order, call, order.second_card, order.second_cents)


@effect(destination="payment", lookup=look_up)
async def announce_transfer(order: "Order", call: Call) -> Told:
    """Tell the provider that this much will be transferred."""
    return await authorize(order, call, "later", order.card_cents)


@effect(destination="payment", retry=forever, task=owed)
async def confirm_transfer(order: "Order", call: Call) -> None:
    """Ask whether the money is really there: a message alone is no proof."""
    known = await call.http.get(f"/payments/{order.payment}")
    if known.json()["status"] != "authorized":
        raise Declined("The transfer isn't there.", code="transfer-missing")


@effect(destination="payment", retry=forever, task=owed)
async def void_payment(order: "Order", call: Call) -> None:
    """Let go what was held on the card, or transferred."""
    await void(call, order.payment)


@effect(destination="payment", retry=forever, task=owed)
async def void_second(order: "Order", call: Call) -> None:
    """Let go what was held on the other card."""
    await void(call, order.second_payment)


@effect(destination="payment", lookup=look_up, task=owed)
async def capture_payment(order: "Order", call: Call) -> None:
    """Take the money. From here on the order is carried out."""
    await post(call, f"/payments/{order.payment}/capture", amount=order.card_cents)


@effect(destination="payment", lookup=look_up, task=owed)
async def capture_second(order: "Order", call: Call) -> None:
    """Take the rest."""
    await post(call, f"/payments/{order.second_payment}/capture", amount=order.second_cents)


@effect(destination="shipping", lookup=look_up)
async def ship(order: "Order", call: Call) -> Told:
    """Hand the pieces to the carrier."""
    return await post(call, "/shipments", reference=str(order.id), address=call.private.address)


@effect(destination="payment", retry=forever, task=owed)
async def send_back(refund: "Refund", call: Call) -> Told:
    """Give money back to the card that it came from."""
    order = refund.order
    payment = order.second_payment if refund.on_second else order.payment
    return await post(call, f"/payments/{payment}/refund", amount=refund.on_first + refund.on_second)


class Coupon(Entity):
    """A price reduction that is granted so many times and no more."""

    code: str = field(max_length=40)
    cents: int = field(ge=1)
    limit: int = field(ge=1)
    used: int = field(default=0, ge=0)
    until: datetime = field()
    used_at: datetime = field(default=now)
    never_more_often = invariant(used <= limit, "The coupon is used up.")
    in_time = always((used == 0) | (used_at < until), "No coupon is used when its time is over.")
    visible = read(by=authenticated)

    issued, withdrawn = State(initial=True), State(final=True)

    issue = create(issued, by=shopkeeper, sets=[code, cents, limit, until])
    withdraw = transition(issued, to=withdrawn, by=shopkeeper, when=used == 0)

    @transition(issued, to=issued, by=internal, when=now < until)
    def use(self) -> None:
        self.used += 1
        self.used_at = self.now

    @transition(issued, to=issued, by=internal)
    def give_back(self) -> None:
        self.used -= 1


class GiftCard(Entity):
    """Money that was paid before. spent: what orders hold of it, or have used up."""

    holder: Subject = field()
    sold: int = field(default=0, ge=0)
    balance: int = field(ge=0)
    spent: int = field(default=0, ge=0)
    into: "GiftCard | None" = ref()
    visible = read(by=(actor == holder) | shopkeeper)

    live, void = State(initial=True), State(final=True)
    poured_out = always(
        not_(in_state(void)) | (balance + spent == 0), "What is on a card isn't lost with it."
    )

    @create(live, by=shopkeeper, sets=[holder, balance])
    def sell(self) -> None:
        self.sold = self.balance

    @transition(live, to=live, by=internal)
    def take(self, cents: int) -> None:
        self.balance -= cents
        self.spent += cents

    @transition(live, to=live, by=internal)
    def put_back(self, cents: int) -> None:
        self.balance += cents
        self.spent -= cents

    @transition(live, to=live, by=internal)
    def load(self, cents: int) -> None:
        self.balance += cents

    @transition(live, to=void, by=actor == holder, sets=[into], uses=into, when=spent == 0)
    def pour(self) -> None:
        """Put several cards together: this one ends, and its money is on the other."""
        if self.into is None or self.into.id == self.id:
            raise refuse("Name another card.")
        self.into.load(self.balance)
        self.balance = 0


class Order(Entity):
    """Something that is bought: paid by coupon, gift card, one or two cards, or a transfer."""

    buyer: Subject = field(default=actor)
    sku: str = field(max_length=64)
    quantity: int = field(ge=1, le=1_000)
    price: int = field(ge=1)
    address: str | None = private(of=buyer, max_length=500)
    email: str | None = private(of=buyer, max_length=254)
    coupon: Coupon | None = ref()
    gift_card: GiftCard | None = ref()
    gift_cents: int = field(default=0, ge=0)
    card: str | None = field(max_length=64)
    second_card: str | None = field(max_length=64)
    second_cents: int = field(default=0, ge=0)
    coupon_cents: int = field(default=0, ge=0)
    card_cents: int = field(default=0, ge=0)
    later: bool = field(default=False)
    payment: str | None = field(max_length=64)
    second_payment: str | None = field(max_length=64)
    shipment: str | None = field(max_length=64)
    problem: str | None = field(max_length=100)
    adds_up = invariant(
        coupon_cents + gift_cents + card_cents + second_cents == price, "What is paid adds up to the price."
    )
    from_gift_card = invariant((gift_cents == 0) | ~missing(gift_card), "Without a gift card none is used.")
    on_second_card = invariant((second_cents == 0) | ~missing(second_card), "Another card has to be named.")
    on_card = invariant((card_cents == 0) | later | ~missing(card), "The rest has to be paid by card.")
    visible = read(by=(actor == buyer) | shopkeeper)

    placed, announced = State(initial=True), State(initial=True, invoke=announce_transfer)
    calling_off = State(invoke=announce_transfer, withdraw=True)
    awaiting, undone = State(), State()
    withdrawing = State(invoke=void_payment, owed=True)
    completed, cancelled = State(final=True), State(final=True)
    can_be_carried_out = sometimes(in_state(completed), "An order can be carried out.")
    paid_for = always(
        not_(in_state(completed))
        | (((card_cents == 0) | ~missing(payment)) & ((second_cents == 0) | ~missing(second_payment))),
        "What was carried out was paid for.",
    )  # fmt: skip
    can_be_called_off = sometimes(in_state(cancelled), "An order can be called off.")
    can_be_split = sometimes(
        in_state(completed) & ~missing(second_payment), "An order can be paid with two cards."
    )  # fmt: skip

    @create(
        placed, by=authenticated, uses=[coupon, gift_card],
        sets=[
            sku, quantity, price, address, email, coupon, gift_card, gift_cents, card, second_card,
            second_cents,
        ],
    )  # fmt: skip
    def place(self) -> None:
        """Buy, and pay now."""
        take(self)

    @create(
        announced, by=authenticated, uses=[coupon, gift_card],
        sets=[sku, quantity, price, address, email, coupon, gift_card, gift_cents],
    )  # fmt: skip
    def place_by_transfer(self) -> None:
        """Buy, and pay within two weeks."""
        take(self)
        if self.card_cents == 0:
            raise refuse("Nothing is left to transfer.")
        self.later = True

    announce = transition(
        announced, to=awaiting, on=announce_transfer.done, sets={payment: announce_transfer.result.id}
    )
    call_off = transition(announced, to=calling_off, by=actor == buyer, command="cancel")
    called_off = transition(
        calling_off, to=undone, on=announce_transfer.done, sets={payment: announce_transfer.result.id}
    )
    not_announced = transition([announced, calling_off], to=undone, on=announce_transfer.failed)
    pay = transition(awaiting, to=placed, on=arrived, match=arrived.data.reference)
    reject = transition(awaiting, to=undone, on=rejected, match=rejected.data.reference)
    lapse = transition(awaiting, to=undone, after=UNPAID)
    give_up = transition(awaiting, to=undone, by=actor == buyer, command="cancel")

    fulfil = saga(
        step(reserve_stock, undo=release_stock),
        step(authorize_card, undo=void_payment, when=not_(later) & (card_cents > 0),
             sets={payment: authorize_card.result.id}),
        step(confirm_transfer, undo=nothing, when=later),
        step(authorize_second, undo=void_second, when=second_cents > 0,
             sets={second_payment: authorize_second.result.id}),
        step(capture_payment, pivot=True, when=card_cents > 0),
        step(capture_second, retry=forever, when=second_cents > 0),
        step(ship, retry=forever, sets={shipment: ship.result.id}, reveals=address),
        start=placed, done=completed, failed=undone, cancel=actor == buyer, reason=problem,
    )  # fmt: skip

    see_contact = reveal(address, email, by=(actor == buyer) | shopkeeper, among=[awaiting, completed])

    transferred = later & not_(missing(payment))
    withdraw = transition(undone, to=withdrawing, after=seconds(0), when=transferred)
    withdrawn = transition(withdrawing, to=undone, on=void_payment.done, sets={payment: None})

    @transition(undone, to=cancelled, after=seconds(0), when=not_(transferred), uses=[coupon, gift_card])
    def give_back(self) -> None:
        """The coupon may be used again, and the gift card has its money back."""
        if self.coupon is not None:
            self.coupon.give_back()
        if self.gift_card is not None and self.gift_cents > 0:
            self.gift_card.put_back(self.gift_cents)


def take(order: Any) -> None:
    """Use the coupon and the gift card; what is left is for the card."""
    if order.coupon is not None:
        order.coupon.use()
        order.coupon_cents = min(order.coupon.cents, order.price - order.gift_cents - order.second_cents)
    if order.gift_card is not None:
        if order.gift_card.holder != order.buyer:
            raise refuse("The gift card is somebody else's.")
        order.gift_card.take(order.gift_cents)
    order.card_cents = order.price - order.coupon_cents - order.gift_cents - order.second_cents


class Refund(Entity):
    """Money that is given back of an order that was carried out, to where it came from."""

    order: Order = ref()
    on_first: int = field(default=0, ge=0)
    on_second: int = field(default=0, ge=0)
    on_gift: int = field(default=0, ge=0)
    receipt: str | None = field(max_length=64)
    problem: str | None = field(max_length=100)
    visible = read(by=shopkeeper | (actor == order.buyer))

    asked = State(initial=True, invoke=send_back)
    returned, refused = State(initial=True, final=True), State(final=True)

    sold = in_state(Order.completed, of=order)
    of_what_was_sold = always(sold, "Only what was carried out is refunded.")
    of_card = quota(order, among=[asked, returned], limit=order.card_cents, weight=on_first)
    of_second = quota(order, among=[asked, returned], limit=order.second_cents, weight=on_second)
    of_gift = quota(order, among=[returned], limit=order.gift_cents, weight=on_gift)

    ask = create(asked, by=shopkeeper, sets=[order, on_first], when=sold & (on_first > 0))
    ask_second = create(asked, by=shopkeeper, sets=[order, on_second], when=sold & (on_second > 0))

    @create(returned, by=shopkeeper, sets=[order, on_gift], uses=order, when=sold & (on_gift > 0))
    def credit(self) -> None:
        """What was paid by gift card goes back to it at once."""
        if self.order.gift_card is None:
            raise refuse("No gift card was used.")
        self.order.gift_card.put_back(self.on_gift)

    done = transition(asked, to=returned, on=send_back.done, sets={receipt: send_back.result.id})

    @transition(asked, to=refused, on=send_back.failed)
    def no(self, code: str) -> None:
        self.problem = code


class Erasure(Entity):
    """That somebody is to be forgotten: asked for by one, agreed to by another."""

    person: Subject = field()
    grounds: str = field(max_length=500)
    visible = read(by=privacy)

    asked, erased = State(initial=True), State(final=True)

    ask = create(asked, by=privacy, sets=[person, grounds])
    agree = transition(asked, to=erased, by=privacy & ~performed(ask), erases=person)


@always("A coupon is used by as many orders as it counts.")
def coupons_add_up(world: World) -> bool:
    orders = Counter(one.coupon for one in world.all(Order) if one.state != "cancelled")
    return all(coupon.used == orders[coupon] <= coupon.limit for coupon in world.all(Coupon))


@always("What is spent of a gift card is what orders hold of it, less what was credited.")
def gift_cards_add_up(world: World) -> bool:
    held = Counter[GiftCard | None]()
    for order in world.all(Order):
        held[order.gift_card] += order.gift_cents if order.state != "cancelled" else 0
    for refund in world.all(Refund):
        held[refund.order.gift_card] -= refund.on_gift if refund.state == "returned" else 0
    return all(card.spent == held[card] for card in world.all(GiftCard))


@always("No cent of a gift card is made, lost or spent twice.")
def gift_cards_keep_their_worth(world: World) -> bool:
    cards = world.all(GiftCard)
    worth = sum(card.balance + card.spent for card in cards)
    return worth == sum(card.sold for card in cards) and all(card.balance >= 0 for card in cards)


@always("Nobody but the buyer calls an order off, and nobody but its holder pours a gift card.")
def by_own_hand(world: World) -> bool:
    off = (Order.call_off, Order.give_up)
    return all(
        world.performers(one, step) <= {one.buyer} for one in world.all(Order) for step in off
    ) and all(world.performers(card, GiftCard.pour) <= {card.holder} for card in world.all(GiftCard))


@always("What was let go stays so, whatever arrives later.")
def let_go_stays(world: World) -> bool:
    ways = (Order.lapse, Order.give_up, Order.reject, Order.called_off)
    return all(
        one.state in ("undone", "withdrawing", "cancelled")
        for one in world.all(Order)
        if any(world.performers(one, way) for way in ways)
    )


@always("Nobody pays with somebody else's gift card.")
def own_gift_cards(world: World) -> bool:
    return all(one.gift_card is None or one.gift_card.holder == one.buyer for one in world.all(Order))


@always("Not more is given back to a card, or to a gift card, than was paid from it.")
def refunds_fit(world: World) -> bool:
    first, second, gift = Counter[Order](), Counter[Order](), Counter[Order]()
    for refund in (one for one in world.all(Refund) if one.state != "refused"):
        first[refund.order] += refund.on_first
        second[refund.order] += refund.on_second
        gift[refund.order] += refund.on_gift
    return all(
        first[one] <= one.card_cents and second[one] <= one.second_cents and gift[one] <= one.gift_cents
        for one in world.all(Order)
    )


@always("It takes two people for somebody to be forgotten.")
def forgotten_by_two(world: World) -> bool:
    return not any(
        world.performers(one, Erasure.ask) & world.performers(one, Erasure.agree)
        for one in world.all(Erasure)
    )


app = system(
    "checkout",
    Coupon,
    GiftCard,
    Order,
    Refund,
    Erasure,
    promises=[
        coupons_add_up,
        gift_cards_add_up,
        gift_cards_keep_their_worth,
        by_own_hand,
        let_go_stays,
        own_gift_cards,
        refunds_fit,
        forgotten_by_two,
    ],
    operators=role("operator"),
)
