"""The command line answers at once: budgets in CPU time, each against what Python itself takes to begin.

The two are measured in turns, so that neither a slow machine nor a busy one is taken for a slow answer.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from statistics import median

import pytest

from tests.acceptance.command_line import avow_from_nothing

RUNS = 9


def spent_s() -> float:
    """The CPU time of all children so far, theirs included."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def times_python(*arguments: str) -> float:
    """How often Python alone could have begun in the CPU time of one run of `avow`."""
    before_s = spent_s()
    subprocess.run([sys.executable, "-c", ""], check=True)
    between_s = spent_s()
    assert avow_from_nothing(*arguments).returncode == 0
    return (spent_s() - between_s) / (between_s - before_s)


@pytest.mark.parametrize(("argument", "most"), [("--version", 5.0), ("--help", 10.0)])
def test_the_first_answer_stays_within_its_budget(argument: str, most: float) -> None:
    """On a machine on which Python begins in 16 ms: 80 ms and 160 ms."""
    times_python(argument)  # the first run may have to compile
    assert median(times_python(argument) for _ in range(RUNS)) < most
