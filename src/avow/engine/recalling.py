"""What was written last before this process was there: remembered from its start, a few records at a time.

Without it the first command on each record takes a second round trip, for long after each start where
there are many. No promise rests on it, as none rests on what is remembered: it may fail, or never end.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from avow.engine.memory import RECORDS_MAX, Memory
from avow.engine.plan import ExecutionPlans
from avow.errors import ProblemError
from avow.model.system import System
from avow.store import driver
from avow.store.loading import LoadPlan
from avow.store.transaction import Transactions

AT_ONCE: Final = 32
"""How many records are loaded in one round trip: few, since commands wait behind it."""

_log = logging.getLogger("avow.engine")


async def recall(system: System, transactions: Transactions, plans: ExecutionPlans, memory: Memory) -> None:
    """Load the records that the newest entries are of, and remember them."""
    loads = _loads(system, plans)
    if not loads:
        return
    try:
        latest = await transactions.written_last(RECORDS_MAX)
        wanted = [(tenant, key) for tenant, key in latest if key[0] in loads]
        for start in range(0, len(wanted), AT_ONCE):
            some = wanted[start : start + AT_ONCE]
            loading = (transactions.load(loads[kind], tenant, (None, of)) for tenant, (kind, of) in some)
            for (tenant, key), loaded in zip(some, await asyncio.gather(*loading), strict=True):
                if key in loaded.records:
                    memory.recall(tenant, loaded.records[key])
    except (ProblemError, TimeoutError, driver.DatabaseError, *driver.Lost) as error:
        _log.info("what was written last wasn't remembered: %s", type(error).__name__)


def _loads(system: System, plans: ExecutionPlans) -> dict[str, LoadPlan]:
    """Of each entity the load of a command that rests on no record but its own, if it has one."""
    return {
        entity: plan.load
        for (entity, word), plan in plans.items()
        if plan.recallable and not system.entities[entity].of_command(word)[0].creation
    }
