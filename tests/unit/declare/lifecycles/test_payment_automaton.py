"""Every transition of every operation is walked, and what may not follow is refused."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from tests.unit.declare.lifecycles.payment_automaton import MAY_FOLLOW, Reply, Standing, app
from tests.unit.declare.lifecycles.walking import Walk

SUCCESS, PENDING = Reply(Standing.SUCCESS), Reply(Standing.PENDING)


def begun(walk: Walk, *done: str) -> UUID:
    """A payment on which these operations have succeeded."""
    payment = walk.start("Payment", "begin", "cleo", "clerk", amount=5)
    for name in done:
        succeed(walk, name, payment)
    return payment


def start(walk: Walk, name: str, payment: UUID) -> UUID:
    return walk.start(name, "start", "cleo", "clerk", payment=payment)


def succeed(walk: Walk, name: str, payment: UUID) -> None:
    if name in ("Chargeback", "Reversal"):
        chargeback = walk.start("Chargeback", "start", "psp", "gateway", payment=payment)
        walk.do("Chargeback", "succeed" if name == "Chargeback" else "fail", chargeback, "psp", "gateway")
        return
    made = start(walk, name, payment)
    assert walk.hear(name, "ask.done", made, result=SUCCESS) == "success"


BEFORE = {
    "Authorize": (),
    "Purchase": (),
    "Credit": (),
    "Capture": ("Authorize",),
    "Void": ("Authorize",),
    "Refund": ("Purchase",),
}


def walk_operation(walk: Walk, name: str) -> None:
    succeed(walk, name, begun(walk, *BEFORE[name]))
    payment = begun(walk, *BEFORE[name])
    made = start(walk, name, payment)
    assert walk.hear(name, "ask.done", made, result=PENDING) == "pending"
    assert walk.do(name, "report_success", made, "psp", "gateway") == "success"

    payment = begun(walk, *BEFORE[name])
    assert walk.hear(name, "ask.failed", start(walk, name, payment)) == "failed"
    made = start(walk, name, payment)
    walk.hear(name, "ask.done", made, result=PENDING)
    assert walk.do(name, "report_failure", made, "psp", "gateway") == "failed"
    made = start(walk, name, payment)
    walk.hear(name, "ask.done", made, result=PENDING)
    assert walk.do(name, "report_error", made, "psp", "gateway") == "errored"
    assert walk.wait(name, "inspect", made, timedelta(hours=1)) == "asking"
    assert walk.hear(name, "look_up.failed", made) == "failed"

    made = start(walk, name, payment)
    assert walk.hear(name, "ask.unknown", made) == "errored"
    walk.wait(name, "inspect", made, timedelta(hours=1))
    assert walk.hear(name, "look_up.done", made, result=PENDING) == "errored"
    walk.wait(name, "inspect", made, timedelta(hours=1))
    assert walk.hear(name, "look_up.done", made, result=SUCCESS) == "success"


def test_every_transition_is_walked() -> None:
    walk = Walk(app)
    for name in MAY_FOLLOW:
        walk_operation(walk, name)
    payment = begun(walk, "Authorize", "Capture", "Capture", "Refund", "Refund", "Chargeback", "Chargeback")
    succeed(walk, "Reversal", payment)
    assert walk.state("Payment", payment) == "reversed"
    succeed(walk, "Refund", payment)
    assert walk.do("Payment", "close", payment, "cleo", "clerk") == "closed"
    chargeback = walk.start("Chargeback", "start", "psp", "gateway", payment=begun(walk, "Purchase"))
    assert walk.do("Chargeback", "err", chargeback, "psp", "gateway") == "errored"
    assert walk.not_walked() == []


def test_what_may_not_follow_is_refused() -> None:
    walk = Walk(app)
    captured = begun(walk, "Authorize", "Capture")
    for name in ("Void", "Authorize", "Purchase", "Credit"):
        assert walk.not_started(name, "start", "cleo", "clerk", payment=captured) == "guard-failed"
    for name in ("Capture", "Void", "Refund"):
        refused = walk.not_started(name, "start", "cleo", "clerk", payment=begun(walk))
        assert refused == "guard-failed"
