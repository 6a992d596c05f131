"""What the documentation shows was run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import zip_longest
from pathlib import Path

import pytest

from tests.acceptance import forked
from tests.docs.blocks import MARKS, ROOT, Block, blocks_of, pages

RUN_TIMEOUT_S = 600
TRIED = ("python", "sh")


def with_blocks_to_run() -> list[str]:
    """The pages with at least one block that is tried by running it."""
    found: list[str] = []
    for page in pages():
        for block in blocks_of(page):
            if (block.language == "python" and block.mark != "sketch") or block.mark == "run":
                found.append(page.relative_to(ROOT).as_posix())
                break
    return found


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folders that programs are looked for in."""
    own = tmp_path_factory.mktemp("bin")
    forked.program(own)
    return os.pathsep.join([str(own), str(Path(sys.executable).parent), os.environ["PATH"]])


def run(block: Block, command: list[str], folder: Path, programs: str) -> None:
    settings = {
        "PATH": programs,
        "PYTHONPATH": str(folder),
    }
    result = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
        check=False,
    )
    assert result.returncode == 0, f"{block.page}:{block.line}\n{result.stdout}{result.stderr}"


@pytest.mark.parametrize("name", with_blocks_to_run())
def test_the_blocks_of_a_page_run_in_their_order(name: str, tmp_path: Path, programs: str) -> None:
    """One that the next one continues runs as the beginning of that one's program."""
    before = ""
    tried = [block for block in blocks_of(ROOT / name) if block.language in TRIED and block.mark != "sketch"]
    for number, (block, following) in enumerate(zip_longest(tried, tried[1:])):
        if block.language == "python" and block.file:
            target = tmp_path / block.file
            assert target.resolve().is_relative_to(tmp_path.resolve()), f"{block.page}:{block.line}"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.code)
        elif block.language == "python":
            before = f"{before}\n{block.code}" if block.mark == "continue" else block.code
            if following is not None and following.mark == "continue":
                continue
            script = tmp_path / f"block_{number}.py"
            script.write_text(before)
            run(block, [sys.executable, script.name], tmp_path, programs)
        elif block.mark == "run":
            run(block, ["sh", "-eu", "-c", block.code], tmp_path, programs)


def test_every_block_of_python_is_valid_python() -> None:
    for page in pages():
        for block in blocks_of(page):
            if block.language == "python":
                compile(block.code, f"{block.page}:{block.line}", "exec", dont_inherit=True)


def test_every_mark_is_one_of_the_convention() -> None:
    unknown = [
        f"{block.page}:{block.line} {block.language} {block.mark}"
        for page in pages()
        for block in blocks_of(page)
        if block.language in TRIED and block.mark not in MARKS[block.language]
        if not (block.language == "python" and block.file)
    ]
    assert unknown == []


def test_every_program_of_this_folder_that_a_page_calls_is_there() -> None:
    missing: list[str] = []
    for page in pages():
        for block in blocks_of(page):
            if block.language != "sh":
                continue
            for line in block.code.splitlines():
                word = line.strip().removeprefix("$ ").split(" ")[0]
                if word.startswith("./") and not os.access(ROOT / word, os.X_OK):
                    missing.append(f"{block.page}:{block.line} {word}")
    assert missing == []


def test_every_link_inside_the_documentation_leads_somewhere() -> None:
    broken: list[str] = []
    for page in pages():
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            if "://" in target or target.startswith(("#", "mailto:")):
                continue
            if not (page.parent / target.partition("#")[0]).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []
