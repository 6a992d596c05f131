"""What may happen to each record, and one command in one transaction."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from .tables import Coupon, Entry, GiftCard, Order, Record, Refund, source

UNPAID = timedelta(days=14)
KINDS: dict[str, type[Any]] = {"coupons": Coupon, "gift_cards": GiftCard, "orders": Order, "refunds": Refund}


@dataclass(frozen=True)
class Actor:
    subject: str
    roles: frozenset[str] = frozenset()


ENGINE = Actor("engine")
Given = dict[str, Any]
Begins = list[tuple[str, list[Any]]]


class Refused(Exception):
    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


def demand(held: bool, code: str, status: int = 409) -> None:
    if not held:
        raise Refused(status, code)


def keeper(actor: Actor) -> bool:
    return "shopkeeper" in actor.roles


def by_engine(record: Any, actor: Actor) -> bool:
    return actor == ENGINE


def by_keeper(record: Any, actor: Actor) -> bool:
    return keeper(actor)


def by_anybody(record: Any, actor: Actor) -> bool:
    return actor != ENGINE


def by_buyer(record: Order, actor: Actor) -> bool:
    return actor.subject == record.buyer


def by_holder(record: GiftCard, actor: Actor) -> bool:
    return actor.subject == record.holder


def may_see(record: Any, actor: Actor) -> bool:
    match record:
        case Order():
            return by_buyer(record, actor) or keeper(actor)
        case GiftCard():
            return by_holder(record, actor) or keeper(actor)
        case Refund():
            return may_see(locked(Order, record.order), actor)
        case _:
            return actor != ENGINE


def locked(kind: type[Any], record: str | None) -> Any:
    found = source.sql_session().get(kind, record, with_for_update=True, populate_existing=True)
    if found is None:
        raise Refused(422, "reference-not-found")
    return found


def note(record: Record, word: str, actor: Actor, given: Given, state: str | None = None) -> None:
    record.state, record.version = state or record.state, record.version + 1
    source.sql_session().add(Entry(
        record=record.id, version=record.version, word=word, actor=actor.subject, state=record.state,
        given=given,
    ))  # fmt: skip


Act = Callable[[Any, Actor, Given], None]


@dataclass(frozen=True)
class Way:
    """How a command leads from some states on: who may, what it does, and to which state."""

    sources: tuple[str, ...]
    to: str
    may: Callable[[Any, Actor], bool]
    act: Act = lambda record, actor, given: None


def unused(coupon: Coupon, actor: Actor, given: Given) -> None:
    demand(coupon.used == 0, "guard-failed")


def pour(card: GiftCard, actor: Actor, given: Given) -> None:
    """Put several cards together."""
    demand(given.get("into") not in (None, card.id), "refused")
    demand(card.spent == 0, "guard-failed")
    into = locked(GiftCard, given["into"])
    demand(into.state == "live", "state-conflict")
    into.balance, card.balance, card.into = into.balance + card.balance, 0, into.id
    note(into, "load", ENGINE, {})


def place(order: Order, actor: Actor, given: Given) -> None:
    """Use the coupon and the gift card; what is left is for the card."""
    if order.coupon:
        coupon = locked(Coupon, order.coupon)
        demand(coupon.state == "issued" and datetime.now(UTC) < coupon.until, "guard-failed")
        demand(coupon.used < coupon.limit, "invariant-violated")
        coupon.used += 1
        order.coupon_cents = min(coupon.cents, order.price - order.gift_cents - order.second_cents)
        note(coupon, "use", ENGINE, {})
    if order.gift_card:
        card = locked(GiftCard, order.gift_card)
        demand(card.holder == order.buyer, "refused")
        demand(card.state == "live", "state-conflict")
        card.balance, card.spent = card.balance - order.gift_cents, card.spent + order.gift_cents
        note(card, "take", ENGINE, {})
    order.card_cents = order.price - order.coupon_cents - order.gift_cents - order.second_cents


def place_by_transfer(order: Order, actor: Actor, given: Given) -> None:
    order.later = True
    place(order, actor, given)


def give_back(order: Order, actor: Actor, given: Given) -> None:
    """The coupon may be used again, and the gift card has its money back."""
    if order.coupon:
        coupon = locked(Coupon, order.coupon)
        coupon.used -= 1
        note(coupon, "give_back", ENGINE, {})
    if order.gift_card:
        card = locked(GiftCard, order.gift_card)
        card.balance, card.spent = card.balance + order.gift_cents, card.spent - order.gift_cents
        note(card, "put_back", ENGINE, {})


def why(order: Order, actor: Actor, given: Given) -> None:
    order.problem = given.get("problem") or order.problem


def sold(refund: Refund) -> Order:
    """The order, locked: its refunds take turns by this row."""
    order = locked(Order, refund.order)
    demand(order.state == "completed", "guard-failed")
    return order


def ask(refund: Refund, actor: Actor, given: Given) -> None:
    order = sold(refund)
    for part, limit in (("on_first", order.card_cents), ("on_second", order.second_cents)):
        demand(given_back(refund, part) + getattr(refund, part) <= limit, "invariant-violated")
    demand((refund.on_first == 0) != (refund.on_second == 0), "input-invalid", 422)


def credit(refund: Refund, actor: Actor, given: Given) -> None:
    """What was paid by gift card goes back to it at once."""
    order = sold(refund)
    demand(refund.on_first == refund.on_second == 0, "input-invalid", 422)
    demand(order.gift_card is not None, "refused")
    demand(given_back(refund, "on_gift") + refund.on_gift <= order.gift_cents, "invariant-violated")
    card = locked(GiftCard, order.gift_card)
    card.balance, card.spent = card.balance + refund.on_gift, card.spent - refund.on_gift
    note(card, "put_back", ENGINE, {})


def given_back(refund: Refund, part: str) -> int:
    total = func.coalesce(func.sum(getattr(Refund, part)), 0)
    others = (Refund.order == refund.order, Refund.state.in_(("asked", "returned")), Refund.id != refund.id)
    return source.sql_session().scalar(select(total).where(*others)) or 0


WAYS: dict[str, dict[str, Way]] = {
    "coupons": {
        "issue": Way(("",), "issued", by_keeper),
        "withdraw": Way(("issued",), "withdrawn", by_keeper, unused),
    },
    "gift_cards": {
        "sell": Way(("",), "live", by_keeper),
        "pour": Way(("live",), "void", by_holder, pour),
    },
    "orders": {
        "place": Way(("",), "placed", by_anybody, place),
        "place_by_transfer": Way(("",), "announced", by_anybody, place_by_transfer),
        "cancel": Way(("announced", "awaiting", "placed"), "cancelling", by_buyer),
        "announce": Way(("announced",), "awaiting", by_engine),
        "pay": Way(("awaiting",), "placed", by_engine),
        "reject": Way(("awaiting",), "cancelling", by_engine),
        "lapse": Way(("awaiting",), "cancelling", by_engine),
        "capture": Way(("placed",), "capturing", by_engine),
        "complete": Way(("capturing",), "completed", by_engine),
        "fail": Way(("announced", "placed", "capturing"), "cancelling", by_engine, why),
        "give_back": Way(("cancelling",), "cancelled", by_engine, give_back),
    },
    "refunds": {
        "ask": Way(("",), "asked", by_keeper, ask),
        "credit": Way(("",), "returned", by_keeper, credit),
        "done": Way(("asked",), "returned", by_engine),
        "no": Way(("asked",), "refused", by_engine, why),
    },
}
BEGINS = {
    ("orders", "place"): "fulfil", ("orders", "pay"): "fulfil", ("orders", "place_by_transfer"): "announce",
    ("refunds", "ask"): "send_back",
}  # fmt: skip
"""The commands that something follows from by itself."""


def follows(kind: str, record: Record, word: str, was: str) -> Begins:
    if flow := BEGINS.get((kind, word)):
        return [(flow, [record.id])]
    if was == "awaiting" and record.state == "cancelling":
        return [("let_go", [record.id])]
    return [("wait", [record.id, "lapse", UNPAID.total_seconds()])] if record.state == "awaiting" else []


def move(kind: str, record_id: str, word: str, actor: Actor, given: Given, told: Given) -> dict[str, Any]:
    """Give a command; its answer, and what is to be begun. A refusal is written down and is an answer too.

    told: what an outside service has said, to be kept with it.
    """
    session, way = source.sql_session(), WAYS[kind][word]
    try:
        with session.begin_nested():
            made = "" in way.sources
            record = _made(kind, record_id, actor, given) if made else session.get(
                KINDS[kind], record_id, with_for_update=True, populate_existing=True
            )  # fmt: skip
            demand(record is not None, "not-found", 404)
            demand(actor == ENGINE or may_see(record, actor) or made, "not-found", 404)
            demand(way.may(record, actor), "forbidden", 403)
            was = record.state
            demand(was in way.sources, "state-conflict")
            way.act(record, actor, given)
            for name, value in told.items():
                setattr(record, name, value)
            session.add(record)
            note(record, word, actor, given, way.to)
            session.flush()
    except (Refused, IntegrityError) as error:
        refused = error if isinstance(error, Refused) else Refused(409, "invariant-violated")
        session.add(Entry(
            record=record_id, word=word, actor=actor.subject, given=given, refused=refused.code
        ))  # fmt: skip
        return {"status": refused.status, "body": {"code": refused.code}, "begins": []}
    begins = follows(kind, record, word, was)
    return {"status": 201 if made else 200, "body": shown(record), "begins": begins}


def _made(kind: str, record_id: str, actor: Actor, given: Given) -> Any:
    values = {k: datetime.fromisoformat(v) if k == "until" else v for k, v in given.items()}
    columns = KINDS[kind].__table__.columns
    zero = {c.key: c.default.arg for c in columns if c.default is not None and c.default.is_scalar}
    return KINDS[kind](
        **zero | values, id=record_id, **({"buyer": actor.subject} if kind == "orders" else {})
    )


def shown(record: Any) -> dict[str, Any]:
    found = {column.key: getattr(record, column.key) for column in record.__table__.columns}
    return {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in found.items()
    }
