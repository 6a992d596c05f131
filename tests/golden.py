"""Golden files: what a projection of the model looked like when somebody last read it."""

from __future__ import annotations

import os
from pathlib import Path

REWRITE = "AVOW_REWRITE_GOLDEN"


def assert_golden(path: Path, text: str) -> None:
    """Compare with the file. With AVOW_REWRITE_GOLDEN=1 write it; then read the difference in review."""
    if os.environ.get(REWRITE):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    assert path.exists(), f"{path.name} is missing: run the test with {REWRITE}=1"
    assert text == path.read_text(encoding="utf-8"), f"{path.name} differs: run with {REWRITE}=1, then review"
