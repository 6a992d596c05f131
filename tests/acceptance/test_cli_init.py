"""`avow init`: a working application, and nothing overwritten."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.command_line import ROOT, avow

FILES = ["system.py", "test_system.py", "README.md", "pyproject.toml", ".gitignore"]


def test_what_init_makes_holds_is_tested_and_can_be_drawn(tmp_path: Path) -> None:
    made = avow("init", "My Shop-2", cwd=tmp_path)
    assert made.returncode == 0
    folder = tmp_path / "My Shop-2"
    assert {path.name for path in folder.iterdir()} == set(FILES)
    assert made.stdout.splitlines() == [f"My Shop-2/{name}" for name in FILES]
    checked = json.loads(avow("check", "--json", "--strict", cwd=folder).stdout)
    assert (checked["system"], checked["ok"]) == ("my_shop_2", True)
    assert avow("diagram", "-o", "states.svg", cwd=folder).returncode == 0
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert tested.returncode == 0, tested.stdout
    assert "4 passed" in tested.stdout


def test_what_to_do_next_can_be_copied_as_it_is_shown(tmp_path: Path) -> None:
    made = avow("init", "it's $HOME", cwd=tmp_path)
    told = made.stderr.partition("Next: ")[2]
    assert shlex.split(told) == ["avow", "check", "it's $HOME"]


def test_a_link_that_leads_nowhere_is_not_taken_for_a_free_place(tmp_path: Path) -> None:
    (tmp_path / "system.py").symlink_to("nowhere")
    ended = avow("init", cwd=tmp_path)
    assert ended.returncode == 2
    assert [path.name for path in tmp_path.iterdir()] == ["system.py"]


def test_an_application_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "system.py").write_text("mine")
    ended = avow("init", cwd=tmp_path)
    assert ended.returncode == 2
    assert [path.name for path in tmp_path.iterdir()] == ["system.py"]
    assert (tmp_path / "system.py").read_text() == "mine"


def test_other_files_that_are_there_stay_and_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    ended = avow("init", "--json", cwd=tmp_path)
    shown = json.loads(ended.stdout)
    assert shown["kept"] == ["README.md"]
    assert shown["made"] == [name for name in FILES if name != "README.md"]
    assert (tmp_path / "README.md").read_text() == "mine"
    assert "README.md was there" in ended.stderr


def test_a_folder_that_can_not_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in ("file/below", "x" * 300):
        ended = avow("init", folder, cwd=tmp_path)
        assert ended.returncode == 2
        assert "can't be written" in ended.stderr
        assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("checker", ["pyright", "mypy"])
def test_the_scaffold_is_clean_under_strict_type_checkers(tmp_path: Path, checker: str) -> None:
    avow("init", "shop", cwd=tmp_path)
    kept = ["--cache-dir", str(ROOT / ".avow" / "cache" / "mypy")]
    options = {"mypy": ["--strict", *kept], "pyright": ["--pythonpath", sys.executable]}[checker]
    if checker == "pyright":
        (tmp_path / "shop" / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    checked = subprocess.run(
        [sys.executable, "-m", checker, *options, "system.py", "test_system.py"],
        cwd=tmp_path / "shop", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout
