"""Every transition of the payment is walked."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.unit.declare.lifecycles.payment_intent import Confirmation, Reply, Status, app
from tests.unit.declare.lifecycles.walking import Walk


def confirming(walk: Walk, **given: Any) -> Any:
    intent = walk.start("Intent", "ask", "shop", "merchant", customer="cleo", amount=100, **given)
    assert walk.do("Intent", "attach", intent, "cleo", method="card") == "requires_confirmation"
    assert walk.do("Intent", "confirm", intent, "cleo") == "confirming"
    return intent


def reply(walk: Walk, intent: Any, status: Status) -> str:
    return walk.hear("Intent", "charge.done", intent, result=Reply(status))


def test_every_transition_is_walked() -> None:
    walk = Walk(app)
    paid = confirming(walk)
    assert reply(walk, paid, Status.ACTION) == "requires_action"
    assert walk.refused("Intent", "finish_action", paid, "shop", "merchant") == "forbidden"
    assert walk.do("Intent", "finish_action", paid, "cleo") == "confirming"
    assert reply(walk, paid, Status.SUCCEEDED) == "succeeded"
    assert walk.refused("Intent", "cancel", paid, "shop", "merchant") == "state-conflict"

    manual = confirming(walk, confirmation=Confirmation.MANUAL)
    reply(walk, manual, Status.ACTION)
    assert walk.do("Intent", "finish_action", manual, "cleo") == "requires_confirmation"
    walk.do("Intent", "confirm", manual, "shop", "merchant")
    assert reply(walk, manual, Status.AUTHORIZED) == "requires_capture"
    more = {"amount_to_capture": 101}
    assert walk.refused("Intent", "capture", manual, "shop", "merchant", **more) == "invariant-violated"
    assert walk.do("Intent", "capture", manual, "shop", "merchant", amount_to_capture=60) == "capturing"
    assert walk.hear("Intent", "collect.failed", manual) == "requires_capture"
    walk.do("Intent", "capture", manual, "shop", "merchant", amount_to_capture=60)
    assert walk.hear("Intent", "collect.done", manual) == "succeeded"

    slow = confirming(walk)
    assert reply(walk, slow, Status.PROCESSING) == "processing"
    assert walk.do("Intent", "reject", slow, "net", "network") == "requires_payment_method"
    walk.do("Intent", "attach", slow, "cleo", method="other")
    walk.do("Intent", "confirm", slow, "cleo")
    reply(walk, slow, Status.PROCESSING)
    assert walk.value("Intent", slow, "attempts") == 1, "a late no counts like any other"
    assert walk.do("Intent", "settle", slow, "net", "network") == "succeeded"

    poor = confirming(walk, attempts_most=2)
    assert walk.hear("Intent", "charge.failed", poor) == "requires_payment_method"
    walk.do("Intent", "attach", poor, "cleo", method="other")
    walk.do("Intent", "confirm", poor, "cleo")
    assert walk.hear("Intent", "charge.failed", poor) == "canceled"

    for_later = confirming(walk)
    reply(walk, for_later, Status.AUTHORIZED)
    assert walk.wait("Intent", "lapse", for_later, timedelta(days=7)) == "canceled"

    at_once = {"customer": "cleo", "amount": 5, "method": "card"}
    idle = walk.start("Intent", "ask_and_confirm", "shop", "merchant", **at_once)
    assert walk.state("Intent", idle) == "confirming"
    reply(walk, idle, Status.ACTION)
    assert walk.do("Intent", "cancel", idle, "shop", "merchant") == "canceled"

    assert walk.not_walked() == [f"Intent.{name}" for name in (
        "cancel_attempt", "charged_all_the_same", "never_charged", "not_charged_yet",
    )]  # fmt: skip
    race_with_success(walk)
    assert walk.not_walked() == []


def race_with_success(walk: Walk) -> None:
    """A cancel while the charge is under way ends as the charge does."""
    for status, end in ((Status.SUCCEEDED, "succeeded"), (Status.AUTHORIZED, "canceled"), (None, "canceled")):
        intent = confirming(walk)
        assert walk.do("Intent", "cancel", intent, "shop", "merchant") == "withdrawing"
        heard = (
            walk.hear("Intent", "charge.failed", intent) if status is None else reply(walk, intent, status)
        )
        assert heard == end
