"""A process that is forked has open what it was given, under the numbers that its maker has for it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from tests.acceptance.forked import Forked
from tests.acceptance.polling import PATIENCE_S

TELLS = """
import os

def main(arguments):
    os.write(int(arguments[0]), b"here")
    return 0
"""


@pytest.mark.parametrize("number", [20, 100, 101, 102, 103, 104])
def test_a_file_comes_under_its_number_however_many_are_open(number: int, tmp_path: Path) -> None:
    (tmp_path / "tells.py").write_text(TELLS)
    source, target = os.pipe()
    passed = fcntl.fcntl(target, fcntl.F_DUPFD, number)
    os.close(target)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with open(os.devnull, "r+") as nothing:
        made = Forked("tells", [str(passed)], tmp_path, environment, [nothing.fileno()] * 3, [passed])
        os.close(passed)
        assert made.wait(PATIENCE_S) == 0
    with open(source, "rb") as told:
        assert told.read() == b"here"
