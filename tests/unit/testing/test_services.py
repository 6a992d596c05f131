"""Each service keeps the rules that make its ledger add up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from avow.testing.provider.services import every_service
from avow.testing.provider.services.service import Call, Done, Ids, Refusal, Service

CARD = {"amount": 900, "currency": "EUR", "card": "4242", "reference": "a"}
SERVICES = Mapping[str, Service]


@pytest.fixture
def services() -> SERVICES:
    return every_service(Ids("run"))


def ask(services: SERVICES, service: str, operation: str, of: str = "", **body: Any) -> Done:
    route = next(route for route in services[service].routes if route.operation == operation)
    return route.run(Call(service, operation, of, body))


def refused(services: SERVICES, service: str, operation: str, of: str = "", **body: Any) -> tuple[int, str]:
    with pytest.raises(Refusal) as refusal:
        ask(services, service, operation, of, **body)
    return refusal.value.status, refusal.value.code


def test_never_more_is_given_back_than_was_captured(services: SERVICES) -> None:
    payment = ask(services, "payment", "authorize", **CARD).body["id"]
    ask(services, "payment", "capture", payment, amount=700)
    assert ask(services, "payment", "refund", payment, amount=200).body["refunded"] == 200
    assert refused(services, "payment", "refund", payment, amount=501) == (422, "above_captured")
    assert ask(services, "payment", "refund", payment).body["amount"] == 500
    assert refused(services, "payment", "refund", payment, amount=1) == (422, "above_captured")


def test_a_payment_is_captured_once_and_not_above_what_was_authorized(services: SERVICES) -> None:
    payment = ask(services, "payment", "authorize", **CARD).body["id"]
    assert refused(services, "payment", "capture", payment, amount=901) == (422, "above_authorized")
    ask(services, "payment", "capture", payment)
    assert refused(services, "payment", "capture", payment) == (409, "wrong_status")
    assert refused(services, "payment", "void", payment) == (409, "wrong_status")


@pytest.mark.parametrize("card", ["declined", "insufficient"])
def test_a_card_that_is_refused_leaves_nothing(services: SERVICES, card: str) -> None:
    assert refused(services, "payment", "authorize", **{**CARD, "card": card}) == (402, card)


@pytest.mark.parametrize("amount", [0, -1, 1.5, "9", True, None])
def test_an_amount_is_a_whole_number_above_0(services: SERVICES, amount: Any) -> None:
    assert refused(services, "payment", "authorize", **{**CARD, "amount": amount}) == (400, "invalid")


def test_a_pending_payment_is_authorized_when_it_is_settled(services: SERVICES) -> None:
    pending = ask(services, "payment", "authorize", **{**CARD, "card": "later"})
    assert (pending.body["status"], pending.deed) == ("pending", None)
    settled = services["payment"].settle("a", None)
    assert [event.type for event in settled.events] == ["payment.authorized"]
    ask(services, "payment", "capture", pending.body["id"])


def test_stock_ends_and_comes_back(services: SERVICES) -> None:
    services["stock"].set_free({"chair": 2})  # type: ignore[attr-defined]
    ask(services, "stock", "reserve", sku="chair", quantity=2, reference="a")
    assert refused(services, "stock", "reserve", sku="chair", quantity=1, reference="b") == (409, "sold_out")
    assert ask(services, "stock", "release", reference="a").body["quantity"] == 2
    ask(services, "stock", "reserve", sku="chair", quantity=2, reference="b")


def test_releasing_nothing_does_nothing(services: SERVICES) -> None:
    assert ask(services, "stock", "release", reference="a").deed is None
    ask(services, "stock", "reserve", sku="chair", quantity=1, reference="a")
    ask(services, "stock", "release", reference="a")
    assert ask(services, "stock", "release", reference="a").deed is None


def test_which_of_several_is_released_must_be_said(services: SERVICES) -> None:
    for sku in ("chair", "table"):
        ask(services, "stock", "reserve", sku=sku, quantity=1, reference="a")
    assert refused(services, "stock", "release", reference="a") == (400, "invalid")
    assert ask(services, "stock", "release", reference="a", sku="table").body["quantity"] == 1


def test_what_is_delivered_cannot_be_cancelled(services: SERVICES) -> None:
    shipment = ask(services, "shipping", "ship", reference="a").body["id"]
    services["shipping"].settle("a", None)
    assert refused(services, "shipping", "cancel", shipment) == (409, "wrong_status")


@pytest.mark.parametrize(
    ("document", "result"), [("fine", "passed"), ("forged", "failed"), ("unclear", "review")]
)
def test_the_document_says_how_a_check_ends(services: SERVICES, document: str, result: str) -> None:
    done = ask(services, "identity", "check", subject="ann", document=document, kind="passport")
    assert (done.body["status"], done.body["result"]) == ("pending", None)
    assert [event.data["result"] for event in done.events] == [result]
    assert "document" not in done.events[0].data


def test_a_check_may_be_answered_at_once_or_when_told(services: SERVICES) -> None:
    asked = {"subject": "ann", "document": "fine", "kind": "passport"}
    services["identity"].results = "at_once"
    assert ask(services, "identity", "check", **asked).body["result"] == "passed"
    services["identity"].results = "told"
    assert ask(services, "identity", "check", **asked).events == ()
    assert services["identity"].settle("ann", "review").body["result"] == "review"


def test_what_was_found_may_be_corrected_under_the_next_revision(services: SERVICES) -> None:
    done = ask(services, "identity", "check", subject="ann", document="risky", kind="passport")
    told = [done.events[0].data, services["identity"].settle("ann", "failed").body]
    assert [(t["result"], t["risk"], t["revision"]) for t in told] == [("passed", 90, 1), ("failed", 90, 2)]


def test_a_check_is_cancelled_until_it_is_completed(services: SERVICES) -> None:
    services["identity"].results = "told"
    asked = {"subject": "ann", "document": "fine", "kind": "passport"}
    stopped, other = (ask(services, "identity", "check", **asked).body["id"] for _ in range(2))
    assert ask(services, "identity", "cancel", stopped).body["status"] == "cancelled"
    assert services["identity"].settle("ann", None).body["id"] == other
    for check in (stopped, other):
        assert refused(services, "identity", "cancel", check) == (409, "wrong_status")


def test_no_check_is_made_of_a_document_that_cannot_be_read(services: SERVICES) -> None:
    asked = {"subject": "ann", "document": "unreadable", "kind": "passport"}
    assert refused(services, "identity", "check", **asked) == (422, "unreadable")


def test_a_login_belongs_to_one_active_account(services: SERVICES) -> None:
    first = ask(services, "accounts", "create", reference="a", login="ann").body["id"]
    assert refused(services, "accounts", "create", reference="b", login="ann") == (409, "taken")
    ask(services, "accounts", "delete", first)
    ask(services, "accounts", "create", reference="b", login="ann")


def test_an_account_is_deleted_once(services: SERVICES) -> None:
    account = ask(services, "accounts", "create", reference="a", name="Ann").body
    assert account["name"] == "Ann"
    ask(services, "accounts", "delete", account["id"])
    assert refused(services, "accounts", "delete", account["id"]) == (410, "deleted")
