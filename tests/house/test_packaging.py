"""What is installed is what was declared."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.house.tree import ROOT, files

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def locked(group: str) -> set[str]:
    text = (ROOT / f"requirements-{group}.lock").read_text()
    return set(re.findall(r"^([a-z0-9._-]+)==", text, re.MULTILINE))


def name_of(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower()


@pytest.mark.parametrize("group", ["demo", "dev"])
def test_the_lock_has_every_package_that_is_declared(group: str) -> None:
    wanted = {name_of(one) for one in PROJECT["dependencies"] + PROJECT["optional-dependencies"][group]}
    assert wanted - locked(group) - {"avow"} == set(), "make it again: scripts/lock.sh"


@pytest.mark.parametrize("group", ["demo", "dev"])
def test_every_locked_package_has_a_hash(group: str) -> None:
    entries = re.split(
        r"^(?=[a-z0-9])", (ROOT / f"requirements-{group}.lock").read_text(), flags=re.MULTILINE
    )
    assert [entry.split(" ")[0] for entry in entries if "==" in entry and "--hash=sha256:" not in entry] == []


def test_the_demo_uses_the_versions_that_were_tested() -> None:
    pins = [set(re.findall(r"^\S+==\S+", (ROOT / f"requirements-{group}.lock").read_text(), re.MULTILINE))
            for group in ("demo", "dev")]  # fmt: skip
    assert pins[0] <= pins[1]


def test_every_declared_package_has_a_floor_and_a_ceiling() -> None:
    for requirement in PROJECT["dependencies"]:
        assert ">=" in requirement, requirement
        assert "<" in requirement, requirement


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    source = {
        path.relative_to(ROOT / "src").as_posix() for path in files() if path.is_relative_to(ROOT / "src")
    }
    assert held == source
    assert "avow/py.typed" in held
