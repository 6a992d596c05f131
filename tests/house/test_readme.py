"""The README claims nothing that isn't there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from scripts import run_tests
from tests.house.tree import ROOT

TEXT = (ROOT / "README.md").read_text()
NOT_YET = "*not yet*"
PROMISES = [f"P{number}" for number in range(1, 16)]


def rows() -> dict[str, list[str]]:
    """The cells of the table of promises, by id."""
    found = [line.strip("| ").split(" | ") for line in TEXT.splitlines() if re.match(r"\| P\d+ ", line)]
    return {cells[0].split(" ")[0]: cells for cells in found}


def test_each_promise_has_a_row() -> None:
    assert list(rows()) == PROMISES


def test_a_promise_is_claimed_only_with_a_test_that_is_there() -> None:
    wrong: list[str] = []
    for promise, cells in rows().items():
        attacks = re.findall(r"`(tests/[^`]+)`", cells[-1])
        if NOT_YET in cells[-1] and not attacks:
            continue
        if not attacks or NOT_YET in cells[-1]:
            wrong.append(f"{promise}: name the tests that attack it, or say {NOT_YET}, not both")
        for attack in attacks:
            path, _, name = attack.partition("::")
            if not (ROOT / path).exists():
                wrong.append(f"{promise}: {path} is missing")
            elif name and f"def {name}(" not in (ROOT / path).read_text():
                wrong.append(f"{promise}: {path} has no {name}")
    assert wrong == []


def test_the_programs_it_calls_can_be_run() -> None:
    programs = set(re.findall(r"(?<![\w.])\./(\w+)", TEXT))
    assert {"demo", "test"} <= programs
    assert [name for name in programs if not os.access(ROOT / name, os.X_OK)] == []


def test_the_parts_of_the_tests_that_it_names_are_parts() -> None:
    named = set(re.findall(r"`\./test (\w+)", TEXT))
    assert named <= set(run_tests.parts())


def test_the_verbs_of_avow_that_it_names_are_verbs() -> None:
    avow = Path(sys.executable).parent / "avow"
    shown = subprocess.run([avow, "--help"], capture_output=True, text=True, check=True).stdout
    verbs = set(re.findall(r"^  (\w+)", shown, re.MULTILINE))
    assert set(re.findall(r"`avow (\w+)", TEXT)) <= verbs
