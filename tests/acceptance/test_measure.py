"""The smallest slice of the benchmark, from outside: one second of commands in process."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.house.tree import ROOT

SLICE = ("engine", "--seconds", "1", "--tasks", "4", "--records", "64")


def test_the_engine_is_measured_and_every_command_is_accounted_for() -> None:
    """It ends with 0 only if a commit is durable there and there is one entry for each command."""
    said = subprocess.run(
        [sys.executable, "-m", "bench.speed", *SLICE], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    measured = json.loads(said.stdout)
    assert measured["commands"] > 0
    assert all(measured[cost] > 0 for cost in ("python_us", "postgres_us", "wal_bytes"))


def test_a_part_that_does_not_exist_is_refused_with_the_names_of_those_that_do() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "bench.speed", "http_vs_magic"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 2
    assert "http_vs_pgbench" in said.stderr
