"""Disclosures and their digests are those of RFC 9901."""

from __future__ import annotations

import json

import pytest

from avow.evidence.disclosure import SALT_BYTES, digest, disclosed, disclosure

EXAMPLE = "WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsICJmYW1pbHlfbmFtZSIsICJNw7ZiaXVzIl0"
"""The disclosure of RFC 9901, section 4.2.1, and below the digest of it that section 4.2.3 gives."""
EXAMPLE_DIGEST = "X9yH0Ajrdm1Oij4tWso9UzzKJvPoDxwmuEcO3XAdRC0"


def test_the_example_of_the_standard_has_its_digest() -> None:
    assert digest(EXAMPLE) == EXAMPLE_DIGEST


def test_the_example_of_the_standard_says_what_it_says_there() -> None:
    assert disclosed(EXAMPLE)[1:] == ("family_name", "Möbius")


@pytest.mark.parametrize("value", ["X123", 7, True, ["a", "b"], {"town": "Ulm", "floor": None}, "ein Ö"])
def test_a_disclosure_says_what_was_put_in(value: object) -> None:
    salt = bytes(range(SALT_BYTES))
    assert disclosed(disclosure(salt, "passport", value)) == (salt, "passport", value)  # type: ignore[arg-type]


def test_equal_values_with_other_salts_have_other_digests() -> None:
    texts = {disclosure(bytes([n] * SALT_BYTES), "passport", "X123") for n in range(100)}
    assert len({digest(text) for text in texts}) == 100


@pytest.mark.parametrize("text", ["", "e30", "W10", "WyJhIiwiYiJd", "!"])
def test_what_is_no_disclosure_is_refused(text: str) -> None:
    with pytest.raises((ValueError, json.JSONDecodeError)):
        disclosed(text)
