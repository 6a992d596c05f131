"""A destination that keeps failing is left alone, for longer each time, until it answers."""

from __future__ import annotations

from avow.engine.breaker import FAULTS_MAX, OPEN_S, OPEN_S_MAX, Breaker


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
