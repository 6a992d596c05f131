"""An API key is one exact text; what is stored of it does not let anybody in."""

from __future__ import annotations

import contextlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avow.api import api_keys
from avow.errors import ProblemError

PEPPER = b"p" * 32
RANDOM = random.Random(7).randbytes(api_keys.RANDOM_BYTES)
KEY = api_keys.new("live", RANDOM, PEPPER)


def _refused(text: str) -> bool:
    with pytest.raises(ProblemError) as caught:
        api_keys.parse(text)
    assert len(text) < 20 or text not in str(caught.value)
    return caught.value.problem.code == "unauthenticated"


@given(st.binary(min_size=44, max_size=44))
def test_a_new_key_reads_back_and_matches_what_is_stored(random_bytes: bytes) -> None:
    made = api_keys.new("dev", random_bytes, PEPPER)
    read = api_keys.parse(made.text)
    assert (read.environment, read.public_id) == ("dev", made.public_id)
    assert api_keys.matches(read, (made.digest,), PEPPER)
    assert api_keys.looks_like_key(made.text)


def test_different_randomness_gives_different_keys() -> None:
    """All 256 bits of the secret are in the text."""
    texts = {KEY.text}
    for bit in range(api_keys.RANDOM_BYTES * 8):
        flipped = (int.from_bytes(RANDOM, "big") ^ (1 << bit)).to_bytes(len(RANDOM), "big")
        texts.add(api_keys.new("live", flipped, PEPPER).text)
    assert len(texts) == 1 + api_keys.RANDOM_BYTES * 8


def test_every_changed_character_breaks_the_checksum() -> None:
    for at, character in enumerate(KEY.text):
        assert _refused(KEY.text[:at] + ("a" if character != "a" else "b") + KEY.text[at + 1 :])
        assert _refused(KEY.text[:at])
    for text in (
        KEY.text + "x",
        KEY.text + "\n",
        " " + KEY.text,
        KEY.text.upper(),
        KEY.text.replace("live", "dev"),
    ):
        assert _refused(text)


@given(st.text() | st.from_regex(r"avow_[a-z]+_\w{17}_\w{49}"))
def test_any_text_is_refused_in_one_way(text: str) -> None:
    with contextlib.suppress(ProblemError):
        api_keys.parse(text)


def test_a_digest_is_bound_to_its_secret_its_row_its_environment_and_the_pepper() -> None:
    read = api_keys.parse(KEY.text)
    other = api_keys.parse(api_keys.new("live", bytes(44), PEPPER).text)
    assert not api_keys.matches(read, (), PEPPER)
    assert not api_keys.matches(read, (api_keys.UNKNOWN,), PEPPER)
    assert not api_keys.matches(read, (KEY.digest,), b"q" * 32)
    assert not api_keys.matches(api_keys.ApiKey("live", read.public_id, other.secret), (KEY.digest,), PEPPER)
    assert not api_keys.matches(api_keys.ApiKey("live", other.public_id, read.secret), (KEY.digest,), PEPPER)
    assert not api_keys.matches(api_keys.ApiKey("dev", read.public_id, read.secret), (KEY.digest,), PEPPER)


def test_two_secrets_are_accepted_while_a_key_is_rotated() -> None:
    read = api_keys.parse(KEY.text)
    assert api_keys.matches(read, (b"x" * 32, KEY.digest), PEPPER)
    assert api_keys.matches(read, (KEY.digest, b"x" * 32), PEPPER)


def test_no_representation_shows_the_secret() -> None:
    read = api_keys.parse(KEY.text)
    assert read.secret not in repr(read) + str(read)
    assert read.secret not in repr(KEY) + str(KEY)
    assert read.secret.encode() not in KEY.digest


@pytest.mark.parametrize(
    ("environment", "random_bytes", "pepper"),
    [("live", bytes(43), PEPPER), ("Live", RANDOM, PEPPER), ("", RANDOM, PEPPER), ("live", RANDOM, b"short")],
)
def test_our_own_mistakes_are_errors(environment: str, random_bytes: bytes, pepper: bytes) -> None:
    with pytest.raises(ValueError, match=r"bytes|letters"):
        api_keys.new(environment, random_bytes, pepper)
