"""Certificates for names of which control has been shown: accounts, orders, authorizations, challenges.

| not there | why |
|---|---|
| an authorization that serves several orders | who moves it would have to move all of them: see below |
| an account that is closed closes its orders | no transition moves all records that refer to its own; the |
| | orders look at their account instead, and can't go on without it |
| asking for a challenge again, as a self loop | that is the retry of the effect |
| what belongs to an account found by its key | that is authentication |
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from avow import (
    Call,
    Entity,
    State,
    Subject,
    actor,
    authenticated,
    backoff,
    create,
    effect,
    field,
    in_state,
    internal,
    read,
    ref,
    refuse,
    role,
    system,
    transition,
)

authority = role("authority")


@dataclass(frozen=True)
class Issued:
    """A certificate."""

    serial: str


@effect(retry=backoff(5))
async def ask_for_proof(challenge: Challenge, call: Call) -> None:
    raise NotImplementedError


@effect()
async def issue(order: Order, call: Call) -> Issued:
    raise NotImplementedError


class Account(Entity):
    """Who asks for certificates."""

    holder: Subject = field(default=actor)
    visible = read(by=(actor == holder) | authority)
    valid = State(initial=True)
    deactivated, revoked = State(final=True), State(final=True)
    register = create(valid, by=authenticated)
    deactivate = transition(valid, to=deactivated, by=actor == holder)
    revoke = transition(valid, to=revoked, by=authority)


class Order(Entity):
    """A certificate for some names, once each of them is authorized."""

    holder: Subject = field(default=actor)
    account: Account = ref()
    names: list[str] = field(max_items=10)
    unproven: int = field(ge=1)
    expires: datetime = field()
    serial: str | None = field(max_length=100)
    visible = read(by=(actor == holder) | authority)

    pending, ready = State(initial=True), State()
    processing = State(invoke=issue)
    giving_up = State(invoke=issue, withdraw=True)
    valid, invalid = State(final=True), State(final=True)
    issued_in_vain = State(final=True)
    """It became invalid while the certificate was issued, which only a revocation takes back."""

    ask = create(
        pending, by=actor == account.holder, sets=[account, names, unproven, expires],
        when=in_state(Account.valid, of=account),
    )  # fmt: skip

    @transition(pending, to=pending, by=internal)
    def hear_of_proof(self) -> None:
        """One more name is proven; when all are, the order is ready."""
        if self.unproven == 1:
            self.become_ready()
        else:
            self.unproven -= 1

    become_ready = transition(pending, to=ready, by=internal)

    @transition(ready, to=processing, by=actor == holder, when=in_state(Account.valid, of=account))
    def finalize(self, csr_names: list[str]) -> None:
        """The request has to be for the same names."""
        if sorted(csr_names) != sorted(self.names):
            raise refuse("The request is for other names than the order.")

    issued = transition(processing, to=valid, on=issue.done, sets={serial: issue.result.serial})
    not_issued = transition(processing, to=invalid, on=issue.failed)

    fail = transition([pending, ready], to=invalid, by=internal)
    fail_late = transition(processing, to=giving_up, by=internal)
    lapse = transition([pending, ready], to=invalid, at=expires)
    lapse_late = transition(processing, to=giving_up, at=expires)
    given_up = transition(giving_up, to=invalid, on=issue.failed)
    too_late = transition(giving_up, to=issued_in_vain, on=issue.done, sets={serial: issue.result.serial})


class Authorization(Entity):
    """One name of an order, proven by any one of its challenges."""

    holder: Subject = field(default=actor)
    order: Order = ref()
    name: str = field(max_length=253)
    expires: datetime = field()
    visible = read(by=(actor == holder) | authority)

    pending, valid = State(initial=True), State()
    invalid, expired, deactivated, revoked = (
        State(final=True),
        State(final=True),
        State(final=True),
        State(final=True),
    )

    ask = create(pending, by=actor == order.holder, sets=[order, name, expires])

    @transition(pending, to=valid, by=internal, uses=order)
    def prove(self) -> None:
        if self.order.state == "pending":
            self.order.hear_of_proof()

    @transition(pending, to=invalid, by=internal, uses=order)
    def fail(self) -> None:
        _lose(self.order)

    @transition([pending, valid], to=expired, at=expires, uses=order)
    def lapse(self) -> None:
        """The diagram of the standard has it from `pending` too, its text only from `valid`."""
        _lose(self.order)

    @transition(valid, to=deactivated, by=actor == holder, uses=order)
    def deactivate(self) -> None:
        _lose(self.order)

    @transition(valid, to=revoked, by=authority, uses=order)
    def revoke(self) -> None:
        _lose(self.order)


def _lose(order: Order) -> None:
    """An order whose authorization is gone is invalid, unless it has ended already."""
    if order.state in ("pending", "ready"):
        order.fail()
    elif order.state == "processing":
        order.fail_late()


class Challenge(Entity):
    """One way to show control of a name."""

    holder: Subject = field(default=actor)
    authorization: Authorization = ref()
    visible = read(by=(actor == holder) | authority)

    pending = State(initial=True)
    processing = State(invoke=ask_for_proof)
    valid, invalid = State(final=True), State(final=True)

    offer = create(pending, by=actor == authorization.holder, sets=[authorization])
    answer = transition(pending, to=processing, by=actor == holder)

    @transition(processing, to=valid, on=ask_for_proof.done, uses=authorization)
    def shown(self) -> None:
        if self.authorization.state == "pending":  # another challenge may have shown it already
            self.authorization.prove()

    @transition(processing, to=invalid, on=ask_for_proof.failed, uses=authorization)
    def not_shown(self) -> None:
        if self.authorization.state == "pending":
            self.authorization.fail()


app = system("certificates", Account, Order, Authorization, Challenge)
