"""A destination that keeps failing is left alone, for longer each time, until it answers."""

from __future__ import annotations

from avow.engine.workers.breaker import FAULTS_MAX, OPEN_S, OPEN_S_MAX, Breaker


def test_it_opens_after_faults_in_a_row_and_for_twice_as_long_each_time() -> None:
    now = [0.0]
    breaker = Breaker(lambda: now[0])
    for _ in range(FAULTS_MAX):
        assert breaker.closed("psp")
        breaker.note("psp", failed=True)
    for open_s in (OPEN_S, 2 * OPEN_S, 4 * OPEN_S, 8 * OPEN_S, OPEN_S_MAX, OPEN_S_MAX):
        assert breaker.closed("bank"), "one destination says nothing of another"
        assert not breaker.closed("psp")
        now[0] += open_s - 0.01
        assert not breaker.closed("psp")
        now[0] += 0.02
        assert breaker.closed("psp"), "it is tried again"
        breaker.note("psp", failed=True)


def test_an_answer_in_between_makes_it_count_anew() -> None:
    breaker = Breaker(lambda: 0.0)
    for _ in range(3):
        for _ in range(FAULTS_MAX - 1):
            breaker.note("psp", failed=True)
        breaker.note("psp", failed=False)
    assert breaker.closed("psp")


def test_calls_that_had_begun_before_it_opened_make_it_stay_open_no_longer() -> None:
    """A provider that is down for a moment fails all that is under way: that is one failure, not many."""
    now = [0.0]
    breaker = Breaker(lambda: now[0])
    for _ in range(10 * FAULTS_MAX):
        breaker.note("psp", failed=True)
    now[0] += OPEN_S
    assert breaker.closed("psp")


def test_it_is_half_open_until_a_call_has_told_how_it_is() -> None:
    now = [0.0]
    breaker = Breaker(lambda: now[0])
    for _ in range(FAULTS_MAX):
        assert not breaker.half_open("psp")
        breaker.note("psp", failed=True)
    for open_s in (OPEN_S, 2 * OPEN_S):
        assert not breaker.half_open("psp")
        now[0] += open_s
        assert breaker.half_open("psp")
        breaker.note("psp", failed=True)
    now[0] += OPEN_S_MAX
    breaker.note("psp", failed=False)
    assert (breaker.closed("psp"), breaker.half_open("psp")) == (True, False)
