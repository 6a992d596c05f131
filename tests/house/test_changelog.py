"""The fragments of the changelog can become one."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.house.tree import ROOT

FRAGMENT = re.compile(r"\+[a-z0-9-]+\.(added|changed|fixed|removed|security)\.md")


def test_every_fragment_is_named_for_what_it_is_about_and_its_kind() -> None:
    names = [path.name for path in (ROOT / "changelog.d").iterdir() if path.name != "README.md"]
    assert [name for name in names if not FRAGMENT.fullmatch(name)] == []


def test_the_fragments_become_a_section() -> None:
    towncrier = Path(sys.executable).parent / "towncrier"
    command = [towncrier, "build", "--draft", "--version", "1.0.0", "--date", "2026-01-01"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "## 1.0.0 (2026-01-01)" in result.stdout
    assert "No significant changes" not in result.stdout
