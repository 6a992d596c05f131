"""A cursor continues the one query that it was made for, and cannot be made or changed by a client."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avow.api import cursor
from avow.errors import ProblemError

OLD, NEW = b"o" * 32, b"n" * 32
BOUND = b"tenant\x00/enrollments?state=draft\x00changed_at"
ASCII_OR_NOT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def _refused(text: str, keys: tuple[bytes, ...] = (NEW,), bound_to: bytes = BOUND) -> bool:
    with pytest.raises(ProblemError) as caught:
        cursor.decode(text, keys, bound_to)
    assert len(text) < 20 or text not in json.dumps(dict(caught.value.problem.extra))
    return caught.value.problem.code == "cursor-invalid"


@given(st.dictionaries(ASCII_OR_NOT, st.none() | st.booleans() | st.integers() | ASCII_OR_NOT, max_size=5))
def test_a_cursor_reads_back(payload: dict[str, cursor.CursorValue]) -> None:
    assert cursor.decode(cursor.encode(payload, NEW, BOUND), (NEW,), BOUND) == payload


def test_a_cursor_is_bound_to_its_query() -> None:
    text = cursor.encode({"after": "x"}, NEW, BOUND)
    assert _refused(text, bound_to=BOUND + b"x")
    assert _refused(text, bound_to=b"")
    assert _refused(text, bound_to=BOUND.swapcase())


def test_the_bound_and_the_payload_cannot_be_shifted_into_one_another() -> None:
    sealed = base64.urlsafe_b64decode(cursor.encode({"a": 1}, NEW, b"") + "==")
    moved = base64.urlsafe_b64encode(sealed[:32] + sealed[33:]).rstrip(b"=").decode()
    assert _refused(moved, bound_to=sealed[32:33])


def test_an_older_key_still_opens_and_a_removed_one_does_not() -> None:
    text = cursor.encode({"after": 1}, OLD, BOUND)
    assert cursor.decode(text, (NEW, OLD), BOUND) == {"after": 1}
    assert _refused(text, (NEW,))


def test_every_changed_character_is_noticed() -> None:
    text = cursor.encode({"after": 12345, "id": "abc"}, NEW, BOUND)
    for at, character in enumerate(text):
        other = "A" if character != "A" else "B"
        assert _refused(text[:at] + other + text[at + 1 :])
    for at in range(len(text)):
        assert _refused(text[:at])


def test_a_cursor_has_one_spelling() -> None:
    text = cursor.encode({"ab": 1}, NEW, BOUND)
    assert len(text) % 4, "choose a payload whose last character has stray bits"
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    stray = text[:-1] + alphabet[alphabet.index(text[-1]) ^ 1]
    decoded = base64.urlsafe_b64decode(stray + "=" * (-len(stray) % 4))
    assert decoded == base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    for spelling in (
        stray,
        text + "=",
        text + "\n",
        " " + text,
        text.replace("-", "+").replace("_", "/") + "=",
    ):
        assert _refused(spelling)


@given(st.text(max_size=60) | st.text("ABCabc012-_=", max_size=3000))
def test_any_text_is_refused_in_one_way(text: str) -> None:
    assert _refused(text)


def test_our_own_mistakes_are_errors_not_answers() -> None:
    with pytest.raises(ValueError, match="32"):
        cursor.encode({}, b"short", BOUND)
    with pytest.raises(ValueError, match="more than"):
        cursor.encode({"a": "x" * 3000}, NEW, BOUND)
    with pytest.raises(ValueError, match="no key"):
        cursor.decode("", (), BOUND)
