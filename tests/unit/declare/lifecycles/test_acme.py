"""Every transition of accounts, orders, authorizations and challenges is walked."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from tests.unit.declare.lifecycles.acme import Issued, app
from tests.unit.declare.lifecycles.walking import Walk


def order_of(walk: Walk, *names: str) -> tuple[UUID, list[UUID]]:
    """An order, and the authorizations of its names, which last longer than it."""
    account = walk.start("Account", "register")
    day = timedelta(days=1)
    order = walk.start(
        "Order", "ask", account=account, names=list(names), unproven=len(names), expires=walk.now + day
    )
    later = walk.now + 9 * day
    return order, [walk.start("Authorization", "ask", order=order, name=n, expires=later) for n in names]


def prove(walk: Walk, authorization: UUID, outcome: str = "done") -> None:
    challenge = walk.start("Challenge", "offer", authorization=authorization)
    walk.do("Challenge", "answer", challenge)
    walk.hear("Challenge", f"ask_for_proof.{outcome}", challenge)


def ready(walk: Walk) -> tuple[UUID, UUID]:
    order, (authorization,) = order_of(walk, "a.example")
    prove(walk, authorization)
    return order, authorization


def processing(walk: Walk) -> tuple[UUID, UUID]:
    order, authorization = ready(walk)
    assert walk.do("Order", "finalize", order, csr_names=["a.example"]) == "processing"
    return order, authorization


def test_every_transition_is_walked() -> None:
    walk = Walk(app)
    order, (one, other) = order_of(walk, "a.example", "b.example")
    prove(walk, one)
    prove(walk, one)  # any one of its challenges is enough
    assert walk.state("Order", order) == "pending"
    prove(walk, other)
    assert walk.state("Order", order) == "ready"
    assert walk.refused("Order", "finalize", order, csr_names=["c.example"]) == "refused"
    assert walk.do("Order", "finalize", order, csr_names=["b.example", "a.example"]) == "processing"
    assert walk.hear("Order", "issue.done", order, result=Issued("12")) == "valid"
    assert walk.do("Authorization", "revoke", one, "ca", "authority") == "revoked"
    assert walk.state("Order", order) == "valid"

    order, _ = processing(walk)
    assert walk.hear("Order", "issue.failed", order) == "invalid"

    order, (one,) = order_of(walk, "a.example")
    prove(walk, one, "failed")
    assert (walk.state("Authorization", one), walk.state("Order", order)) == ("invalid", "invalid")

    order, authorization = ready(walk)
    assert walk.do("Authorization", "deactivate", authorization) == "deactivated"
    assert walk.state("Order", order) == "invalid"

    order, authorization = processing(walk)
    assert walk.wait("Authorization", "lapse", authorization) == "expired"
    assert walk.state("Order", order) == "giving_up"
    assert walk.hear("Order", "issue.done", order, result=Issued("13")) == "issued_in_vain"

    order, _ = ready(walk)
    assert walk.wait("Order", "lapse", order) == "invalid"
    order, _ = processing(walk)
    assert walk.wait("Order", "lapse_late", order) == "giving_up"
    assert walk.hear("Order", "issue.failed", order) == "invalid"

    order, _ = ready(walk)
    account = walk.value("Order", order, "account")
    assert walk.do("Account", "deactivate", account) == "deactivated"
    assert walk.refused("Order", "finalize", order, csr_names=["a.example"]) == "guard-failed"
    assert walk.do("Account", "revoke", walk.start("Account", "register"), "ca", "authority") == "revoked"
    assert walk.not_walked() == []
