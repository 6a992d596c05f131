"""Whatever a word is given, the answer is a list of mistakes: never a fault of ours."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import pytest

import avow
from avow.errors import DeclarationError

VALUES = (3, float("nan"), "x", {3: 4}, avow.role("r"))

SOURCE = """
from avow import *
clerk = role("clerk")
@effect({effect})
async def pay(order: "Order", call: Call) -> Told: ...
@effect()
async def post(order: "Order", call: Call) -> None: ...
signed = hmac_signature("x-sign", **{{"id_header": "x-id", **dict({hmac})}})
shop = sender("shop", signature=signed, **dict({sender}))
paid = shop.event("paid", Told, {event})
class Order(Entity, **dict({entity})):
    amount: int = field(default=0, {field})
    exact: Decimal = field(default=Decimal(0), **dict({exact}))
    price: Money = field(default=Money(Decimal(0), "EUR"), **{{"currency": "EUR", **dict({money})}})
    name: str = field(default="", **{{"max_length": 100, **dict({text})}})
    starts: datetime = field(default=now)
    ends: datetime = field(default=now)
    who: Subject = field(default=actor)
    parent: "Order | None" = ref({ref})
    passport: str | None = private(of=who, {private})
    key: UUID | None = field()
    visible = read(by=clerk)
    new, half, sending, done = State(initial=True), State(), State(), State(final=True)
    paying = State(**{{"invoke": pay, **dict({state})}})
    one = unique(name, {unique})
    apart = exclude(name, overlapping=(starts, ends), {exclude})
    few = quota(parent, among=[new], limit=parent.amount, **dict({quota}))
    low = invariant(amount >= 0, {invariant})
    al = always(amount >= 0, {always})
    make = create(new, by=clerk, {create})
    see = reveal(passport, by=clerk, {reveal})
    go = transition(new, to=paying, by=clerk, {transition})
    late = transition(half, to=done, after=days(3), {timed})
    ask = transition(new, to=half, by=clerk, task=task(clerk, {task}))
    ok = transition(paying, to=done, on=pay.done, {outcome})
    no = transition(paying, to=done, on=pay.failed)
    told = transition(new, to=done, on=paid, match=name == paid.data.name)
    out = publish(make, by=clerk, {publish})
    send = transition(new, to=sending, by=clerk)
    sent = saga(step(post, undo=nothing, {step}), start=sending, done=done, failed=done, {saga})
    @transition(new, to=done, by=clerk)
    def end(self, size: Annotated[int, limits({limits})]) -> None: ...
app = system("app", Order, **dict({system}))
"""

WORDS: dict[str, tuple[Any, frozenset[str]]] = {
    "effect": (avow.effect, frozenset()),
    "hmac": (avow.hmac_signature, frozenset({"header"})),
    "sender": (avow.sender, frozenset({"name", "signature"})),
    "event": (avow.sender("x", signature=avow.standard_webhooks()).event, frozenset({"name", "data"})),
    "entity": (avow.Entity.__init_subclass__, frozenset()),
    "field": (avow.field, frozenset({"default"})),
    "exact": (avow.field, frozenset({"default"})),
    "money": (avow.field, frozenset({"default"})),
    "text": (avow.field, frozenset({"default"})),
    "ref": (avow.ref, frozenset()),
    "private": (avow.private, frozenset({"of"})),
    "state": (avow.State, frozenset()),
    "unique": (avow.unique, frozenset({"fields"})),
    "exclude": (avow.exclude, frozenset({"fields", "overlapping"})),
    "quota": (avow.quota, frozenset({"per", "among", "limit"})),
    "invariant": (avow.invariant, frozenset({"condition"})),
    "always": (avow.always, frozenset({"condition"})),
    "create": (avow.create, frozenset({"to", "by"})),
    "reveal": (avow.reveal, frozenset({"fields", "by"})),
    "transition": (avow.transition, frozenset({"sources", "to", "by"})),
    "timed": (avow.transition, frozenset({"sources", "to", "after"})),
    "outcome": (avow.transition, frozenset({"sources", "to", "on"})),
    "task": (avow.task, frozenset({"role"})),
    "publish": (avow.publish, frozenset({"transitions", "by"})),
    "step": (avow.step, frozenset({"effect", "undo"})),
    "saga": (avow.saga, frozenset({"steps", "start", "done", "failed"})),
    "limits": (avow.limits, frozenset()),
    "system": (avow.system, frozenset({"name", "entities"})),
}


@dataclass(frozen=True)
class Told:
    """What the other side says."""

    name: str


def declare(slot: str, given: str, value: object) -> None:
    """Declare all of it, with one argument of one word more."""
    scope: dict[str, Any] = {"Annotated": Annotated, "Decimal": Decimal, "UUID": UUID, "Told": Told}
    scope |= {"datetime": datetime, "VALUE": value, "__name__": "declared"}
    exec(SOURCE.format(**{**dict.fromkeys(WORDS, ""), slot: given}), scope)  # noqa: S102


def arguments() -> Iterator[tuple[str, str]]:
    for slot, (word, taken) in WORDS.items():
        for name in inspect.signature(word).parameters:
            if name not in taken:
                yield slot, name


def test_the_declaration_without_them_is_sound() -> None:
    """Otherwise nothing below would get as far as it should."""
    declare("effect", "", None)


@pytest.mark.parametrize(("slot", "name"), list(arguments()))
def test_a_value_of_another_type_is_a_mistake_and_no_fault(slot: str, name: str) -> None:
    for value in VALUES:
        with suppress(DeclarationError):
            declare(slot, f"{name}=VALUE", value)


def test_what_is_found_while_building_is_told_of_this_system_and_not_of_the_next() -> None:
    with pytest.raises(DeclarationError):
        declare("system", "promises=VALUE", avow.role("r"))
    declare("effect", "", None)
