"""The server of one process alone: what becomes of it when that process is killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from avow.store.trials.trial import SETTLED_S

CHILD: Final = """
import sys
from avow.store.trials import trial
print(trial.own_server().data_dir, flush=True)
sys.stdin.read()
"""


def own_server() -> tuple[subprocess.Popen[str], Path]:
    """A process with a server of its own, and the folder of that; it ends with its standard input."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    data_dir = Path(child.stdout.readline().strip())
    return child, next(folder for folder in data_dir.parents if folder.name.startswith("avow-trial-"))


def grow_old(folder: Path) -> None:
    made = time.time() - 2 * SETTLED_S
    os.utime(folder, (made, made))


def test_what_a_killed_process_has_left_is_put_away_by_the_next_and_nobody_elses() -> None:
    killed, left = own_server()
    living, used = own_server()
    killed.kill()
    killed.communicate()
    assert left.exists()
    for folder in (left, used):
        grow_old(folder)
    another, own = own_server()
    assert (left.exists(), used.exists(), own.exists()) == (False, True, True)
    for child in (living, another):
        child.communicate()
    assert (used.exists(), own.exists()) == (False, False)
