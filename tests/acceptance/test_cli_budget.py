"""The command line answers at once: budgets in CPU time, which other processes hardly change."""

from __future__ import annotations

import resource
from statistics import median

import pytest

from tests.acceptance.command_line import avow_from_nothing

RUNS = 7


def cpu_ms(*arguments: str) -> float:
    """The CPU time of one run of `avow`, its children included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert avow_from_nothing(*arguments).returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


@pytest.mark.parametrize(("argument", "budget_ms"), [("--version", 150), ("--help", 250)])
def test_the_first_answer_stays_within_its_budget(argument: str, budget_ms: int) -> None:
    cpu_ms(argument)  # the first run may have to compile
    assert median(cpu_ms(argument) for _ in range(RUNS)) < budget_ms
