"""Why a call wasn't done is kept and logged: never with what the call was told in confidence."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace

import pytest

from avow.engine.workers.calls import DontKnow, Ending, No, NotYet, Result
from avow.engine.workers.doing import _without  # pyright: ignore[reportPrivateUsage]

PRIVATE = SimpleNamespace(passport="X-123", visa="X-123-9", born=date(1980, 2, 3), nothing=None)


@pytest.mark.parametrize(
    "ending", [No("bad", "X-123-9"), NotYet("for X-123-9"), DontKnow("X-123-9 of 1980-02-03")]
)
def test_a_reason_says_nothing_private(ending: Ending) -> None:
    reason = getattr(_without(PRIVATE, ending), "reason")  # noqa: B009
    assert "[private]" in reason
    assert "X-123" not in reason
    assert "1980" not in reason


def test_other_reasons_and_results_are_left_alone() -> None:
    for ending in (Result("X-123"), NotYet("the other side is away", 3.0), No("None", "None")):
        assert _without(PRIVATE, ending) == ending
