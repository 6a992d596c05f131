"""Claims: one way of writing each, and what an entry makes of it."""

from __future__ import annotations

import pytest

from avow.evidence.verifier import Invalid
from avow.evidence.verifier.claim import holds, parse_claim, written
from tests.unit.evidence.receipts import header

TRUE = [
    "state = captured", "state != open", "amount = 25 EUR", "amount < 25.01 EUR", "amount != 25.00 USD",
    "count = 3", "count > 2.9", "rate = 0.05", "rate <= 0.0500", 'code = "7"', "code = 7", "code != eight",
    "paid = true", "paid != false", "note = none", "paid != none", 'place.city = "Łódź"',
    "amount.currency = EUR", "captured_at > 2023-11-14T22:13:19.499999Z",
    "captured_at < 2023-11-15T00:00:00.000000Z", "state = captured & count = 3 & paid = true",
]  # fmt: skip

FALSE = [
    "state = open", "amount = 25.01 EUR", "amount = 25.00 USD", "count != 3", "count > 3", "rate = 0.5",
    'code = "07"', "paid = false", "paid = none", "note != none", "note = x", "note != x",
    "state = captured & count = 4",
]  # fmt: skip

REFUSED = [
    "", " ", "state", "state =", "= captured", "state captured", "state = captured &", "& state = captured",
    "state = captured amount = 3", "state = captured | state = open", "state = captured, amount = 3",
    "state => captured", "state = 'a", 'state = "a', 'state = "\\x"', "1state = a", "state = a b",
    "sta-te = a", "state = ü", "state = a\n", "state = a\u2028", "a..b = c", ".a = b", "not state = a",
    f"state = {'a' * 2_000}",
]  # fmt: skip

UNTOLD = [
    ("weight = 3", "version 7 didn't set weight"),
    ("letter = x", "only the hash of letter"),
    ("to = captured", "didn't set to"),
    ("place.street = x", "no member street"),
    ("state.x = y", "didn't set state"),
    ("state = 3", "state isn't a number"),
    ("paid = 1", "paid isn't a number"),
    ("count = three", "count isn't a text"),
    ("count = 3 EUR", "count isn't an amount"),
    ("amount = 25.00", "amount isn't a number"),
    ("amount < 25.00 USD", "other currencies"),
    ("state > a", "state can't be ordered"),
    ("captured_at > 2023-11-14", "can't be ordered"),
    ("paid > false", "paid can't be ordered"),
    ("state = open & weight = 3", "didn't set weight"),
]  # fmt: skip
NEITHER = [claim for claim, _ in UNTOLD]


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("state = captured", "state = captured"),
        ("state==captured", "state = captured"),
        ("  state  =  'captured'  ", "state = captured"),
        ('code = "7"', 'code = "7"'),
        ("code = '7'", 'code = "7"'),
        ("amount >= 25.00   EUR", "amount >= 25.00 EUR"),
        ("amount >= 25 EUR&count<4", "amount >= 25 EUR & count < 4"),
        ("note = none & paid = true", "note = none & paid = true"),
        ("note = 'none'", 'note = "none"'),
        ("place.city = 'Łódź'", 'place.city = "Łódź"'),
        ('code = "a \\" b & c = d"', 'code = "a \\" b & c = d"'),
        ("at < 2023-11-14T22:13:19.500000Z", "at < 2023-11-14T22:13:19.500000Z"),
        ("rate = -0.050", "rate = -0.050"),
    ],
)
def test_a_claim_has_one_way_of_being_written(given: str, canonical: str) -> None:
    assert written(parse_claim(given)) == canonical
    assert written(parse_claim(canonical)) == canonical


@pytest.mark.parametrize("given", REFUSED)
def test_what_is_no_claim_is_refused(given: str) -> None:
    with pytest.raises(Invalid, match=r"condition|printable characters|text as JSON"):
        parse_claim(given)


@pytest.mark.parametrize("claim", TRUE)
def test_a_true_claim_holds(claim: str) -> None:
    assert holds(parse_claim(claim), header())


@pytest.mark.parametrize("claim", FALSE)
def test_a_false_claim_does_not_hold(claim: str) -> None:
    assert not holds(parse_claim(claim), header())


@pytest.mark.parametrize(("claim", "why"), UNTOLD)
def test_a_claim_about_which_the_entry_says_nothing_is_neither(claim: str, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        holds(parse_claim(claim), header())
