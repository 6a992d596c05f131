"""The rig that attacks on the real engine share, on the small system of the self-test.

async def test_something(on: Rig) -> None:
    await on.start(BOUGHT)           # where a path ends
    broken, _ = await on.judged()    # what the oracle says of it
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from avow.prove.databases import Databases, databases
from avow.prove.defect import NONE
from avow.prove.phase import Bench
from avow.prove.reference import reference
from avow.prove.rig import Rig
from avow.prove.selftest import rig_with


@pytest.fixture
async def own() -> AsyncIterator[Databases]:
    """The databases of one run."""
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(databases(Bench(reference, 1)))


@pytest.fixture
async def on(own: Databases) -> Rig:
    """A rig without a defect."""
    return await rig_with(own, NONE)
