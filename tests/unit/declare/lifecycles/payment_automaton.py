"""Seven operations on a payment, all of one shape, and which of them may follow which.

| not there | why |
|---|---|
| a machine that retries an operation | that is the effect's `retry=`; what is given up is `failed` |
| any number of operations named by data | each is declared: a template makes an entity for each of them |
| an operation refers to the one before it | the payment keeps what may follow; the log has who did what |
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from avow import (
    Call,
    Entity,
    Policy,
    State,
    create,
    effect,
    field,
    in_state,
    internal,
    one_of,
    read,
    ref,
    role,
    system,
    transition,
)

clerk, gateway = role("clerk"), role("gateway")


class Standing(StrEnum):
    """What the provider says of an operation that it has taken on."""

    SUCCESS = "success"
    PENDING = "pending"


@dataclass(frozen=True)
class Reply:
    """The provider's answer; a no is raised, and anything else is unclear."""

    standing: Standing


class Payment(Entity):
    """Money of one customer; its state says which operation was the last to succeed."""

    amount: int = field(ge=1)
    visible = read(by=clerk | gateway)

    started = State(initial=True)
    authorized, captured, purchased, credited = State(), State(), State(), State(final=True)
    refunded, charged_back, reversed = State(), State(), State()
    voided, closed = State(final=True), State(final=True)

    begin = create(started, by=clerk, sets=[amount])
    authorize = transition(started, to=authorized, by=internal)
    purchase = transition(started, to=purchased, by=internal)
    credit = transition(started, to=credited, by=internal)
    capture = transition([authorized, captured], to=captured, by=internal)
    void = transition(authorized, to=voided, by=internal)
    refund = transition([captured, purchased, refunded, reversed], to=refunded, by=internal)
    chargeback = transition([captured, purchased, refunded, charged_back], to=charged_back, by=internal)
    reverse = transition([captured, purchased, refunded, charged_back], to=reversed, by=internal)
    close = transition([captured, purchased, refunded, charged_back, reversed], to=closed, by=clerk)


TAKEN_BACK = (Payment.captured, Payment.purchased, Payment.refunded, Payment.charged_back)
MAY_FOLLOW = {
    "Authorize": (Payment.started,),
    "Purchase": (Payment.started,),
    "Credit": (Payment.started,),
    "Capture": (Payment.authorized, Payment.captured),
    "Void": (Payment.authorized,),
    "Refund": (Payment.captured, Payment.purchased, Payment.refunded, Payment.reversed),
}


def operation(name: str, after: tuple[State, ...]) -> type[Entity]:
    """The machine that all operations with a provider have in common."""

    async def ask(operation: Any, call: Call) -> Reply:
        raise NotImplementedError

    async def look_up(operation: Any, call: Call) -> Reply:
        raise NotImplementedError

    perform = effect(keyed=False)(ask)
    inquire = effect()(look_up)

    class Operation(Entity):
        payment: Payment = ref()
        visible = read(by=clerk | gateway)

        init = State(initial=True, invoke=perform)
        pending, errored = State(), State()
        asking = State(invoke=inquire)
        success, failed = State(final=True), State(final=True)

        start = create(init, by=clerk, sets=[payment], when=in_state(*after, of=payment))

        pended = transition(
            init, to=pending, on=perform.done, when=perform.result.standing == Standing.PENDING
        )
        errors = transition(init, to=errored, on=perform.unknown)
        fails = transition(init, to=failed, on=perform.failed)
        fails_later = transition(pending, to=failed, by=gateway, command="report_failure")
        errors_later = transition(pending, to=errored, by=gateway, command="report_error")

        @transition(init, to=success, on=perform.done, uses=payment, when=_succeeded(perform))
        def succeeds(self) -> None:
            _move(self.payment, name)

        @transition(pending, to=success, by=gateway, uses=payment)
        def report_success(self) -> None:
            _move(self.payment, name)

        inspect = transition(errored, to=asking, after=timedelta(hours=1))
        """The janitor: where nobody knew, it asks again later, until somebody knows."""
        inspected_in_vain = transition(
            asking, to=errored, on=inquire.done, when=inquire.result.standing == Standing.PENDING
        )
        found_failed = transition(asking, to=failed, on=inquire.failed)

        @transition(asking, to=success, on=inquire.done, uses=payment, when=_succeeded(inquire))
        def found_done(self) -> None:
            _move(self.payment, name)

    Operation.__name__ = name
    Operation.__doc__ = f"{name} the money of a payment."
    return Operation


def _succeeded(call: Any) -> Policy:
    return one_of(call.result.standing, Standing.SUCCESS)


def _move(payment: Payment, name: str) -> None:
    """What succeeded outside moves the payment, by the transition of the operation's name."""
    getattr(payment, name.lower())()


class Chargeback(Entity):
    """The bank has taken the money back. The provider reports it, and it is never pending."""

    payment: Payment = ref()
    visible = read(by=clerk | gateway)
    init = State(initial=True)
    success, failed, errored = State(final=True), State(final=True), State(final=True)

    start = create(init, by=gateway, sets=[payment], when=in_state(*TAKEN_BACK, of=payment))

    @transition(init, to=success, by=gateway, uses=payment)
    def succeed(self) -> None:
        self.payment.chargeback()

    @transition(init, to=failed, by=gateway, uses=payment)
    def fail(self) -> None:
        """The chargeback was reversed."""
        self.payment.reverse()

    err = transition(init, to=errored, by=gateway)


OPERATIONS = [operation(name, after) for name, after in MAY_FOLLOW.items()]
app = system("payments", Payment, *OPERATIONS, Chargeback)
