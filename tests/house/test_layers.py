"""The contracts in .importlinter catch what they are for: each planted import breaks the one named."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tree import ROOT

PLANTED = [
    ("model/entity.py", "avow.kernel.decide", "Arrows point down only"),
    ("kernel/decide.py", "avow.evidence", "Arrows point down only"),
    ("kernel/decide.py", "time", "Pure rooms"),
    ("declare/build.py", "asyncpg", "Pure rooms"),
    ("api/problems.py", "asyncpg", "Only the store"),
    ("api/problems.py", "avow.store.transaction", "One door for writing"),
    ("api/problems.py", "avow.store.log.sealing", "One door for writing"),
    ("testing/client.py", "avow.api.problems", "Arrows point down only"),
    ("testing/client.py", "asyncpg", "Only the store"),
    ("helpers/__init__.py", "avow.errors", "Arrows point down only"),
]
NEW_ROOM = "- avow.helpers"
SECTION = re.compile(r"^(?P<contract>\S.*)\n-+\n\n(?P<said>(?:(?!^.+\n---).*\n)*)", re.MULTILINE)


def lint(folder: Path) -> tuple[int, str]:
    """Whether all contracts are kept, as an exit code, and what is said of them."""
    command = [Path(sys.executable).parent / "lint-imports", "--no-logo", "--no-cache"]
    settings = {"PYTHONPATH": str(folder / "src")}
    result = subprocess.run(
        command, cwd=folder, env=os.environ | settings, capture_output=True, text=True, check=False
    )
    return result.returncode, result.stdout


def copy_to(folder: Path) -> Path:
    """A copy of the source and of the contracts."""
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", folder)
    return folder


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What is said of each broken contract, where everything is planted at once."""
    copy = copy_to(tmp_path_factory.mktemp("planted"))
    for place, imported, _ in PLANTED:
        target = copy / "src" / "avow" / place
        target.parent.mkdir(exist_ok=True)
        with target.open("a") as file:
            file.write(f"\nimport {imported}\n")
    _, said = lint(copy)
    _, _, details = said.partition("Broken contracts\n----------------\n")
    return {found["contract"]: found["said"] for found in SECTION.finditer(details)}


def test_the_source_keeps_every_contract(tmp_path: Path) -> None:
    code, said = lint(copy_to(tmp_path))
    assert (code, "BROKEN" in said) == (0, False), said


@pytest.mark.parametrize(("place", "imported", "contract"), PLANTED)
def test_a_planted_import_breaks_its_contract(
    broken: dict[str, str], place: str, imported: str, contract: str
) -> None:
    module = "avow." + place.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    (said,) = (said for name, said in broken.items() if name.startswith(contract))
    named = NEW_ROOM if module == "avow.helpers" else f"{module} -> {imported} (l."
    assert named in said
