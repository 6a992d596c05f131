"""Where this project lies, and where the real inputs are."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def data_file(*place: str) -> Path:
    """A file of the real inputs: below AVOW_DATA, or `../shared/data` beside this project."""
    data = os.environ.get("AVOW_DATA")
    folder = Path(data) if data else ROOT.parent / "shared" / "data"
    return folder.joinpath(*place)
