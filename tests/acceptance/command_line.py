"""`avow` as a user runs it: a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.acceptance import forked

ROOT = Path(__file__).resolve().parents[2]
SECONDS_MAX = 180


def avow(
    *arguments: str, cwd: Path = ROOT, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `avow` to its end; its output is captured, so it isn't a terminal."""
    return forked.run(arguments, cwd, {**os.environ, **(environment or {})}, SECONDS_MAX)


def avow_from_nothing(
    *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `avow` in a process that has loaded nothing yet."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return subprocess.run(
        [sys.executable, "-m", "avow.cli", *arguments],
        cwd=ROOT,
        env={**inherited, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
