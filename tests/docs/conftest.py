"""What a page of the documentation starts is ended after its test, however that went."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from avow.store.server import cluster


@pytest.fixture(autouse=True)
def _nothing_left_running(tmp_path: Path) -> Iterator[None]:
    """Servers whose number a page keeps in a file `*.pid`, and the database below `.avow`."""
    yield
    for file in tmp_path.glob("*.pid"):
        try:
            os.kill(int(file.read_text()), signal.SIGTERM)
        except (ProcessLookupError, ValueError):
            continue
    if (tmp_path / ".avow").exists():
        cluster.destroy(tmp_path / ".avow")
