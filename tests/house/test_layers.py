"""The contracts in .importlinter catch what they are for: each planted import breaks the one named."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tree import ROOT

PLANTED = [
    ("model/entity.py", "import avow.kernel.decide", "Arrows point down only"),
    ("kernel/decide.py", "import avow.evidence", "Arrows point down only"),
    ("kernel/decide.py", "import time", "Pure rooms"),
    ("declare/build.py", "import asyncpg", "Pure rooms"),
    ("api/problems.py", "import asyncpg", "Only the store"),
    ("api/problems.py", "import avow.store.transaction", "One door for writing"),
    ("api/problems.py", "import avow.store.sealing", "One door for writing"),
    ("testing/client.py", "import avow.api.problems", "Arrows point down only"),
    ("testing/client.py", "import asyncpg", "Only the store"),
    ("helpers/__init__.py", "import avow.errors", "Arrows point down only"),
]


def lint(folder: Path) -> str:
    """The names of the contracts that are broken, one a line; empty when all are kept."""
    command = [Path(sys.executable).parent / "lint-imports", "--no-logo", "--no-cache"]
    settings = {"PYTHONPATH": str(folder / "src")}
    result = subprocess.run(
        command, cwd=folder, env=os.environ | settings, capture_output=True, text=True, check=False
    )
    broken = [line for line in result.stdout.splitlines() if line.endswith("BROKEN")]
    return "\n".join(broken) if broken or not result.returncode else result.stdout


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the source and of the contracts."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", tmp_path)
    return tmp_path


def test_the_source_keeps_every_contract(copy: Path) -> None:
    assert lint(copy) == ""


@pytest.mark.parametrize(("place", "planted", "contract"), PLANTED)
def test_a_planted_import_breaks_its_contract(copy: Path, place: str, planted: str, contract: str) -> None:
    target = copy / "src" / "avow" / place
    target.parent.mkdir(exist_ok=True)
    before = target.read_text() if target.exists() else ""
    target.write_text(f"{before}\n{planted}\n")
    assert contract in lint(copy)
