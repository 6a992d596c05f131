"""What a server process holds in memory: little, and no more for having answered much."""

from __future__ import annotations

import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.contract.fix_server import Caller, Server, Tenancy

MEGABYTES_MAX = 120
GROWTH_MEGABYTES_MAX = 12
REQUESTS = 400
AT_ONCE = 16


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the process's memory from /proc")
def test_a_server_process_stays_below_120_megabytes_and_does_not_grow(spare: Tenancy) -> None:
    spare.server.kill()
    spare.server.start(from_nothing=True)
    clerk = spare.actor("ann", "clerk")
    _load(clerk, "north")
    before = _resident_megabytes(spare.server)
    _load(clerk, "south")
    after = _resident_megabytes(spare.server)
    assert after < MEGABYTES_MAX
    assert after - before < GROWTH_MEGABYTES_MAX


def _load(clerk: Caller, wing: str) -> None:
    def create(number: int) -> int:
        return clerk.post("/rooms", {"name": f"{wing} {number}", "places": 4}).status_code

    with ThreadPoolExecutor(AT_ONCE) as threads:
        assert set(threads.map(create, range(REQUESTS))) == {201}


def _resident_megabytes(server: Server) -> float:
    assert server.process is not None
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    held = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    assert held is not None
    return int(held[1]) / 1024
