"""The database's clock as a process knows it: never ahead of it, and only while readings bear it out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from avow.store.clock import FRESH_S, PROOF_S, TRIP_S_MAX, DatabaseClock

START = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
TRIP_S = 0.01


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def proven() -> DatabaseClock:
    """A clock that was read at 0 and at PROOF_S, when it had gone on as much."""
    clock = DatabaseClock()
    clock.read(START, -TRIP_S, 0.0)
    clock.read(after(PROOF_S), PROOF_S - TRIP_S, PROOF_S)
    return clock


def test_one_reading_is_no_proof() -> None:
    clock = DatabaseClock()
    assert clock.now(0.0) is None
    clock.read(START, -TRIP_S, 0.0)
    clock.read(after(PROOF_S / 2), PROOF_S / 2 - TRIP_S, PROOF_S / 2)
    assert clock.now(PROOF_S / 2) is None


def test_it_goes_on_from_the_last_reading() -> None:
    assert proven().now(PROOF_S + 0.25) == after(PROOF_S + 0.25)


def test_a_reading_counts_for_a_while() -> None:
    clock = proven()
    assert clock.now(PROOF_S + FRESH_S) is not None
    assert clock.now(PROOF_S + FRESH_S + 0.001) is None


def test_it_never_goes_back() -> None:
    clock = proven()
    given = clock.now(PROOF_S + 0.1)
    clock.read(after(PROOF_S + 0.1 - TRIP_S), PROOF_S + 0.1 - TRIP_S, PROOF_S + 0.1)
    assert clock.now(PROOF_S + 0.1) == given


def test_a_clock_that_stands_still_is_not_believed() -> None:
    clock = DatabaseClock()
    for reading in range(200):
        clock.read(START, reading / 100 - TRIP_S, reading / 100)
        assert clock.now(reading / 100) is None


def test_a_clock_that_jumped_is_not_believed_until_it_goes_on_alike() -> None:
    for jump_s in (-3_600.0, -0.1, 0.1, 3_600.0):
        clock, at_s = proven(), 2 * PROOF_S
        clock.read(after(at_s + jump_s), at_s - TRIP_S, at_s)
        assert clock.now(at_s) is None, jump_s
        clock.read(after(at_s + jump_s + PROOF_S), at_s + PROOF_S - TRIP_S, at_s + PROOF_S)
        assert clock.now(at_s + PROOF_S) == after(at_s + jump_s + PROOF_S), jump_s


def test_a_reading_that_took_too_long_says_nothing() -> None:
    clock = DatabaseClock()
    clock.read(START, -TRIP_S, 0.0)
    clock.read(after(PROOF_S), PROOF_S - TRIP_S_MAX - 0.001, PROOF_S)
    assert clock.now(PROOF_S) is None
