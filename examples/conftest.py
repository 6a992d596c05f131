"""Tests of the examples are coroutines on asyncio, as the server is."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
