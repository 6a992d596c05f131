"""A reference backend for what is looked at first and done later: coupons, stock and gift cards.

Each does right by looking again in the transaction that acts. What was seen before is kept as well, so that
a mutant can rely on it instead, as the stores did whose faults these are.
"""

from __future__ import annotations

from collections import Counter

from avow import (
    Entity,
    State,
    Subject,
    World,
    actor,
    always,
    authenticated,
    create,
    field,
    internal,
    read,
    ref,
    refuse,
    role,
    sometimes,
    system,
    transition,
)

clerk = role("clerk")


class Coupon(Entity):
    """A reduction that may be used so many times."""

    limit: int = field(ge=1)
    used: int = field(default=0, ge=0)
    visible = read(by=authenticated)
    never_more_often = always(used <= limit, "A coupon isn't used more often than it was granted.")

    issued, withdrawn = State(initial=True), State(final=True)
    issue = create(issued, by=clerk, sets=[limit])
    withdraw = transition(issued, to=withdrawn, by=clerk)

    @transition(issued, to=issued, by=internal)
    def use(self) -> None:
        self.used += 1


class Basket(Entity):
    """What somebody buys with a coupon."""

    buyer: Subject = field(default=actor)
    coupon: Coupon = ref()
    seen: int = field(default=0, ge=0)
    visible = read(by=(actor == buyer) | clerk)

    filled = State(initial=True)
    paid, left = State(final=True), State(final=True)
    leave = transition(filled, to=left, by=actor == buyer)

    @create(filled, by=authenticated, sets=[coupon], uses=coupon)
    def fill(self) -> None:
        self.seen = self.coupon.used

    @transition(filled, to=paid, by=actor == buyer, uses=coupon)
    def pay(self) -> None:
        if self.coupon.used >= self.coupon.limit:
            raise refuse("The coupon is used up.")
        self.coupon.use()


class Item(Entity):
    """Pieces on a shelf."""

    pieces: int = field(ge=1, le=3)
    stock: int = field(default=0)
    visible = read(by=authenticated)
    never_negative = always(stock >= 0, "There are never fewer than no pieces.")

    offered, gone = State(initial=True), State(final=True)
    remove = transition(offered, to=gone, by=clerk)

    @create(offered, by=clerk, sets=[pieces])
    def offer(self) -> None:
        self.stock = self.pieces

    @transition(offered, to=offered, by=internal)
    def leave(self, stock: int) -> None:
        self.stock = stock


class Sale(Entity):
    """Pieces that somebody takes."""

    buyer: Subject = field(default=actor)
    item: Item = ref()
    pieces: int = field(ge=1, le=3)
    seen: int = field(default=0, ge=0)
    visible = read(by=(actor == buyer) | clerk)
    can_be_sold = sometimes(pieces > 1, "Several pieces can be taken at once.")

    wanted = State(initial=True)
    sold, left = State(final=True), State(final=True)
    leave = transition(wanted, to=left, by=actor == buyer)

    @create(wanted, by=authenticated, sets=[item, pieces], uses=item)
    def want(self) -> None:
        self.seen = self.item.stock

    @transition(wanted, to=sold, by=actor == buyer, uses=item)
    def take(self) -> None:
        if self.pieces > self.item.stock:
            raise refuse("There aren't so many left.")
        self.item.leave(self.item.stock - self.pieces)


class Card(Entity):
    """Money that was paid before."""

    sold_for: int = field(ge=1)
    balance: int = field(default=0, ge=0)
    visible = read(by=authenticated)

    live, void = State(initial=True), State(final=True)
    end = transition(live, to=void, by=clerk)

    @create(live, by=clerk, sets=[sold_for])
    def sell(self) -> None:
        self.balance = self.sold_for

    @transition(live, to=live, by=internal)
    def hold(self, cents: int) -> None:
        self.balance = cents


class Move(Entity):
    """All that is on one card, moved to another."""

    source: Card = ref()
    target: Card = ref()
    seen: int = field(default=0, ge=0)
    visible = read(by=authenticated)

    asked = State(initial=True)
    moved, dropped = State(final=True), State(final=True)
    drop = transition(asked, to=dropped, by=authenticated)

    @create(asked, by=authenticated, sets=[source, target], uses=source)
    def ask(self) -> None:
        self.seen = self.source.balance

    @transition(asked, to=moved, by=authenticated, uses=[source, target])
    def carry_out(self) -> None:
        if self.source.id == self.target.id:
            raise refuse("Name another card.")
        self.target.hold(self.target.balance + self.source.balance)
        self.source.hold(0)


@always("What is left of an item is what was offered, less what was sold.")
def stock_adds_up(world: World) -> bool:
    sold = Counter[Item]()
    for sale in world.all(Sale):
        sold[sale.item] += sale.pieces if sale.state == "sold" else 0
    return all(item.stock == item.pieces - sold[item] for item in world.all(Item))


@always("Money on cards is what was paid for them.")
def money_adds_up(world: World) -> bool:
    cards = world.all(Card)
    return sum(card.balance for card in cards) == sum(card.sold_for for card in cards)


coupons = system("coupons", Coupon, Basket)
shelf = system("shelf", Item, Sale, promises=[stock_adds_up])
cards = system("cards", Card, Move, promises=[money_adds_up])
