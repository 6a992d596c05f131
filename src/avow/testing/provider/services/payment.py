"""Payments: authorized, captured once, given back in parts, never more than was captured."""

from __future__ import annotations

from collections.abc import Sequence

from avow.testing.provider.ledger import Deed
from avow.testing.provider.services.service import (
    Call,
    Done,
    Event,
    Ids,
    Json,
    Refusal,
    Route,
    Service,
    found,
    of_reference,
    open_one,
)

DECLINED = {"declined": "The card was declined.", "insufficient": "The card doesn't hold enough."}
LATER = "later"
"""A card whose authorization stays pending until it is settled."""


class Payment(Service):
    """A payment provider."""

    name = "payment"

    def __init__(self, ids: Ids) -> None:
        super().__init__(ids)
        self._payments: dict[str, dict[str, Json]] = {}

    @property
    def routes(self) -> Sequence[Route]:
        """Its operations."""
        return (
            Route("POST", "/payments/authorize", "authorize", self.authorize),
            Route("POST", "/payments/{id}/capture", "capture", self.capture),
            Route("POST", "/payments/{id}/void", "void", self.void),
            Route("POST", "/payments/{id}/refund", "refund", self.refund),
            Route("GET", "/payments", "find", self.find),
            Route("GET", "/payments/{id}", "get", self.get),
        )

    def authorize(self, call: Call) -> Done:
        """Hold an amount on a card."""
        amount, currency = call.whole("amount"), call.text("currency")
        card, reference = call.text("card"), call.text("reference")
        if card in DECLINED:
            raise Refusal(402, card, DECLINED[card])
        payment: dict[str, Json] = {
            "id": self.ids.next("pay"), "status": "pending" if card == LATER else "authorized",
            "amount": amount, "currency": currency, "reference": reference, "captured": 0, "refunded": 0,
        }  # fmt: skip
        self._payments[payment["id"]] = payment
        if card == LATER:
            return Done(dict(payment), 202)
        return self._done(payment, "authorize", amount, "payment.authorized", 201)

    def capture(self, call: Call) -> Done:
        """Take what was authorized, or less; what is left of it is let go."""
        payment = self._in(call, "authorized")
        amount = call.whole("amount", payment["amount"])
        if amount > payment["amount"]:
            raise Refusal(422, "above_authorized", "More was asked for than was authorized.")
        payment.update(status="captured", captured=amount, amount=amount)
        return self._done(payment, "capture", amount, "payment.captured")

    def void(self, call: Call) -> Done:
        """Let go what was authorized."""
        payment = self._in(call, "authorized", "pending")
        payment["status"] = "voided"
        return self._done(payment, "void", payment["amount"], "payment.voided")

    def refund(self, call: Call) -> Done:
        """Give back what was captured, or a part of it."""
        payment = self._in(call, "captured", "refunded")
        left = payment["captured"] - payment["refunded"]
        amount = call.whole("amount", left or None)
        if amount > left:
            raise Refusal(422, "above_captured", "More was asked for than was captured and not given back.")
        payment["refunded"] += amount
        payment["status"] = "refunded" if amount == left else "captured"
        done = self._done(payment, "refund", amount, "payment.refunded")
        return Done({**done.body, "amount": amount}, 200, done.deed, done.events)

    def find(self, call: Call) -> Done:
        """The payments of a reference, oldest first."""
        return of_reference(self._payments, call)

    def get(self, call: Call) -> Done:
        """One payment."""
        return Done(dict(found(self._payments, call.id)))

    def settle(self, reference: str, result: str | None) -> Done:
        """End a pending authorization: `authorized` (also where nothing is said) or `declined`."""
        payment = open_one(self._payments, reference, "pending")
        if result in (None, "authorized"):
            payment["status"] = "authorized"
            return self._done(payment, "authorize", payment["amount"], "payment.authorized")
        if result == "declined":
            payment["status"] = "declined"
            return Done(dict(payment), events=(Event("payment.declined", dict(payment)),))
        raise Refusal(400, "invalid", "A payment ends as `authorized` or `declined`.")

    def _in(self, call: Call, *statuses: str) -> dict[str, Json]:
        payment = found(self._payments, call.id)
        if payment["status"] not in statuses:
            raise Refusal(409, "wrong_status", f"The payment is {payment['status']}.")
        return payment

    def _done(
        self, payment: dict[str, Json], operation: str, amount: int, event: str, status: int = 200
    ) -> Done:
        shown = dict(payment)
        deed = Deed(operation, payment["reference"], amount, id=payment["id"])
        return Done(shown, status, deed, (Event(event, shown),))
