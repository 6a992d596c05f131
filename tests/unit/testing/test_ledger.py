"""What the outside did is counted once, in its order, and what it did too often is found."""

from __future__ import annotations

import json

from avow.testing import Ledger
from avow.testing.provider.ledger import Deed


def ledger(*done: tuple[str, str | None, Deed]) -> Ledger:
    made = Ledger()
    for service, key, deed in done:
        made.append(service, key, deed)
    return made


def paid(
    operation: str, amount: int, key: str | None = None, reference: str = "a"
) -> tuple[str, str | None, Deed]:
    return "payment", key, Deed(operation, reference, amount)


def test_the_balance_is_what_was_captured_and_not_given_back() -> None:
    kept = ledger(
        paid("authorize", 900), paid("capture", 700), paid("refund", 200), paid("capture", 50, reference="b")
    )
    assert kept.balance("a") == 500
    assert kept.balance() == 550
    assert kept.balance("unheard of") == 0


def test_what_was_released_is_reserved_no_more() -> None:
    kept = ledger(
        ("stock", "1", Deed("reserve", "a", 3, "chair")),
        ("stock", "2", Deed("reserve", "b", 2, "chair")),
        ("stock", "3", Deed("release", "a", 3, "chair")),
    )
    assert (kept.reserved("a"), kept.reserved("b"), kept.reserved()) == (0, 2, 2)


def test_once_each_is_not_doubled() -> None:
    kept = ledger(paid("authorize", 9, "1"), paid("capture", 9, "2"), paid("capture", 9, "3", "b"))
    assert kept.doubled() == []


def test_the_same_under_two_keys_is_doubled() -> None:
    kept = ledger(paid("capture", 9, "1"), paid("capture", 9, "2"))
    (doubled,) = kept.doubled()
    assert (doubled.service, doubled.operation, doubled.reference) == ("payment", "capture", "a")
    assert [entry.key for entry in doubled.entries] == ["1", "2"]


def test_the_same_twice_without_a_key_is_doubled() -> None:
    assert len(ledger(paid("capture", 9), paid("capture", 9)).doubled()) == 1


def test_as_often_as_intended_is_not_doubled_but_once_more_is() -> None:
    kept = ledger(paid("refund", 4, "1"), paid("refund", 5, "2"))
    assert kept.doubled({"payment.refund": 2}) == []
    kept.append(*paid("refund", 1, "3"))
    assert len(kept.doubled({"payment.refund": 2})) == 1


def test_twice_under_one_key_is_doubled_however_often_was_intended() -> None:
    assert len(ledger(paid("refund", 4, "1"), paid("refund", 4, "1")).doubled({"payment.refund": 9})) == 1


def test_two_skus_of_one_order_are_two_things() -> None:
    kept = ledger(
        ("stock", "1", Deed("reserve", "a", 1, "chair")), ("stock", "2", Deed("reserve", "a", 1, "table"))
    )
    assert kept.doubled() == []


def test_entries_are_numbered_in_order_and_can_be_asked_for() -> None:
    kept = ledger(paid("authorize", 9), paid("capture", 9), paid("capture", 9, reference="b"))
    assert [entry.number for entry in kept] == [1, 2, 3]
    assert [entry.number for entry in kept.of("payment", "capture")] == [2, 3]
    assert kept.count("payment", "capture", "b") == 1
    assert kept.references() == ["a", "b"]
    assert kept.sums() == {"a": {"payment.authorize": 9, "payment.capture": 9}, "b": {"payment.capture": 9}}


def test_a_ledger_survives_the_wire() -> None:
    kept = ledger(paid("capture", 9, "1"), ("shipping", None, Deed("ship", "a", id="shp_1")))
    assert list(Ledger.read(json.loads(json.dumps(kept.document())))) == list(kept)
