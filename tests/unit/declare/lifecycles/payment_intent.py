"""A payment that a merchant asks for, a customer confirms, and a network settles.

| not there | why |
|---|---|
| the answer of `confirm` in the same request | a call follows the commit: `confirming` is a state |
| `processing` on the way of a capture | that call has a state of its own, `capturing` |
| an attempt as a record of its own | a body can't create records; the log has each attempt |
| the network's message as an event | it is a command of a role here |
| releasing an authorization that is canceled | the lifecycle says nothing of it; one more effect |
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from avow import (
    Call,
    Entity,
    State,
    Subject,
    actor,
    create,
    effect,
    field,
    invariant,
    limits,
    read,
    role,
    system,
    transition,
)

merchant, network = role("merchant"), role("network")


class Status(StrEnum):
    """What the network makes of a confirmation."""

    ACTION = "action"
    PROCESSING = "processing"
    AUTHORIZED = "authorized"
    SUCCEEDED = "succeeded"


class Confirmation(StrEnum):
    """Who confirms again once the customer has done what was asked."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"


@dataclass(frozen=True)
class Reply:
    """The network's answer."""

    status: Status


@effect()
async def charge(intent: Intent, call: Call) -> Reply:
    raise NotImplementedError


@effect()
async def collect(intent: Intent, call: Call) -> None:
    raise NotImplementedError


class Intent(Entity):
    """One payment, however many attempts it takes."""

    customer: Subject = field()
    amount: int = field(ge=1)
    collected: int = field(default=0, ge=0)
    method: str | None = field(max_length=50)
    confirmation: Confirmation = field(default=Confirmation.AUTOMATIC)
    attempts: int = field(default=0)
    attempts_most: int = field(default=3, ge=1)
    within = invariant(collected <= amount, "No more is collected than was authorized.")
    visible = read(by=(actor == customer) | merchant | network)

    requires_payment_method, requires_confirmation = State(initial=True), State()
    requires_action, processing, requires_capture = State(), State(), State()
    confirming = State(invoke=charge)
    withdrawing = State(invoke=charge, withdraw=True)
    capturing = State(invoke=collect)
    succeeded, canceled = State(final=True), State(final=True)

    ask = create(requires_payment_method, by=merchant, sets=[customer, amount, confirmation, attempts_most])
    attach = transition(
        requires_payment_method, to=requires_confirmation, by=(actor == customer) | merchant, sets=[method]
    )
    confirm = transition(requires_confirmation, to=confirming, by=(actor == customer) | merchant)

    @create(requires_payment_method, by=merchant, sets=[customer, amount])
    def ask_and_confirm(self, method: str) -> None:
        """Everything in one call: it goes as far as it can."""
        self.attach(method=method)
        self.confirm()

    action_needed = transition(
        confirming, to=requires_action, on=charge.done, when=charge.result.status == Status.ACTION
    )
    settling = transition(
        confirming, to=processing, on=charge.done, when=charge.result.status == Status.PROCESSING
    )
    authorized = transition(
        confirming, to=requires_capture, on=charge.done, when=charge.result.status == Status.AUTHORIZED
    )
    paid = transition(confirming, to=succeeded, on=charge.done, when=charge.result.status == Status.SUCCEEDED)
    declined = transition(
        confirming, to=requires_payment_method, on=charge.failed, when=attempts + 1 < attempts_most,
        sets={attempts: attempts + 1},
    )  # fmt: skip
    declined_for_good = transition(
        confirming, to=canceled, on=charge.failed, when=attempts + 1 >= attempts_most,
        sets={attempts: attempts + 1},
    )  # fmt: skip

    authenticate = transition(
        requires_action, to=confirming, by=actor == customer, command="finish_action",
        when=confirmation == Confirmation.AUTOMATIC,
    )  # fmt: skip
    authenticate_and_wait = transition(
        requires_action, to=requires_confirmation, by=actor == customer, command="finish_action",
        when=confirmation == Confirmation.MANUAL,
    )  # fmt: skip

    settle = transition(processing, to=succeeded, by=network)
    reject = transition(processing, to=requires_payment_method, by=network, sets={attempts: attempts + 1})

    @transition(requires_capture, to=capturing, by=merchant)
    def capture(self, amount_to_capture: Annotated[int, limits(ge=1)]) -> None:
        """All of it, or less; it is bounded by what was authorized."""
        self.collected = amount_to_capture

    captured = transition(capturing, to=succeeded, on=collect.done)
    not_captured = transition(capturing, to=requires_capture, on=collect.failed)
    lapse = transition(requires_capture, to=canceled, after=timedelta(days=7))

    cancel = transition(
        [requires_payment_method, requires_confirmation, requires_action, requires_capture],
        to=canceled, by=merchant,
    )  # fmt: skip
    cancel_attempt = transition(confirming, to=withdrawing, by=merchant, command="cancel")
    never_charged = transition(withdrawing, to=canceled, on=charge.failed)
    charged_all_the_same = transition(
        withdrawing, to=succeeded, on=charge.done, when=charge.result.status == Status.SUCCEEDED
    )
    not_charged_yet = transition(
        withdrawing, to=canceled, on=charge.done, when=charge.result.status != Status.SUCCEEDED
    )


app = system("intents", Intent)
