"""A remembered token is believed no longer than a token that is verified each time, and at most a minute."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from avow.api import verified
from avow.api.bearer import Validity
from avow.api.verified import BELIEVED_S, VerifiedTokens
from avow.model.actor import Actor
from avow.model.values import Subject

ANN = Actor(Subject("ann"), "main", frozenset({"clerk"}), "token")
TOKEN = b"Bearer a.b.c"
START_S = 1_795_000_000


@dataclass
class Clock:
    """A clock under the test's control."""

    at_s: float = 0.0

    def __call__(self) -> float:
        return self.at_s


@pytest.fixture(name="wall")
def fixture_wall() -> Clock:
    return Clock(START_S)


@pytest.fixture(name="monotonic")
def fixture_monotonic() -> Clock:
    return Clock()


@pytest.fixture(name="tokens")
def fixture_tokens(wall: Clock, monotonic: Clock) -> VerifiedTokens:
    return VerifiedTokens(wall, monotonic)


def test_a_token_is_believed_for_a_minute(tokens: VerifiedTokens, monotonic: Clock) -> None:
    """Then its signature is verified again, with the keys that its issuer then has."""
    assert tokens.find(TOKEN) is None
    tokens.add(TOKEN, ANN, Validity(None, START_S + 10_000), 0.0)
    monotonic.at_s = BELIEVED_S - 0.001
    assert tokens.find(TOKEN) is ANN
    assert BELIEVED_S <= 60
    monotonic.at_s = BELIEVED_S
    assert tokens.find(TOKEN) is None
    monotonic.at_s = 0.0
    assert tokens.find(TOKEN) is None, "it was forgotten"


def test_a_minute_begins_before_the_keys_are_asked_for(tokens: VerifiedTokens, monotonic: Clock) -> None:
    tokens.add(TOKEN, ANN, Validity(None, START_S + 10_000), -BELIEVED_S)
    assert tokens.find(TOKEN) is None
    assert monotonic.at_s == 0.0


def test_a_token_ends_at_its_end(tokens: VerifiedTokens, wall: Clock) -> None:
    tokens.add(TOKEN, ANN, Validity(START_S, START_S + 5), 0.0)
    wall.at_s = START_S + 4.999
    assert tokens.find(TOKEN) is ANN
    wall.at_s = START_S + 5
    assert tokens.find(TOKEN) is None


def test_a_token_does_not_begin_before_its_start(tokens: VerifiedTokens, wall: Clock) -> None:
    """Also when the clock is set back after it was verified."""
    tokens.add(TOKEN, ANN, Validity(START_S, START_S + 5), 0.0)
    wall.at_s = START_S - 0.001
    assert tokens.find(TOKEN) is None


def test_another_text_is_another_token(tokens: VerifiedTokens) -> None:
    tokens.add(TOKEN, ANN, Validity(None, START_S + 5), 0.0)
    for other in (TOKEN + b"x", TOKEN[:-1], TOKEN.lower(), b""):
        assert tokens.find(other) is None


def test_only_so_many_are_remembered(tokens: VerifiedTokens, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest goes first; no token's text is kept."""
    monkeypatch.setattr(verified, "TOKENS_MAX", 3)
    for number in range(5):
        tokens.add(b"%d" % number, ANN, Validity(None, START_S + 5), 0.0)
    assert [tokens.find(b"%d" % number) is ANN for number in range(5)] == [False, False, True, True, True]
    tokens.add(b"4", ANN, Validity(None, START_S + 5), 0.0)
    assert tokens.find(b"2") is ANN, "a token that is verified again takes no other's place"
    assert TOKEN not in repr(vars(tokens)).encode()
