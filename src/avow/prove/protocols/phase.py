"""The phase: every protocol in every order, then each as its broken variants do it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Final

from avow.prove.databases import Databases, databases
from avow.prove.defect import NONE
from avow.prove.finding import ALL, Finding, PhaseReport, Tally, sampled
from avow.prove.phase import Bench, Budget
from avow.prove.protocols.claims import CLAIMS
from avow.prove.protocols.delivery import DELIVERY
from avow.prove.protocols.parking import PARKING
from avow.prove.protocols.protocol import Explored, Protocol, Variant, as_defect, explore
from avow.prove.protocols.sealing import SEALING
from avow.prove.protocols.times import TIMES
from avow.prove.reference import reference
from avow.prove.schedule import Schedule
from avow.prove.selftest import rig_with

PROTOCOLS: Final = (*CLAIMS, *TIMES, *PARKING, *DELIVERY, *SEALING)
"""All of them."""

HOLDS, BROKEN = "the engine's own protocols, in every order", "broken variant of a protocol"


class Protocols:
    """The phase. It is about the engine, and so is the same for every application."""

    name, share, quick = "protocols", 1.0, False

    async def run(self, bench: Bench, budget: Budget) -> PhaseReport:
        """Explore each protocol, then its broken variants; one that isn't as it must be leaves no verdict."""
        orders = caught = tried = 0
        left = [*PROTOCOLS, *((protocol, one) for protocol in PROTOCOLS for one in protocol.variants)]
        async with AsyncExitStack() as stack:
            own = await stack.enter_async_context(databases(Bench(reference, bench.seed, bench.url)))
            sound = await rig_with(own, NONE)
            while left and not budget.spent:
                following = left.pop(0)
                if isinstance(following, Protocol):
                    explored = await explore(sound, following)
                    orders += explored.orders
                    if explored.wrong:
                        bench.unfit.append(f"{following.name}: {explored.wrong}")
                else:
                    tried += 1
                    caught += await _is_caught(own, *following, bench)
                budget.advance(left=len(left))
        reach = sampled(f"{len(left)} left") if left else ALL
        tallies = (
            Tally(HOLDS, orders, orders, 0, reach),
            Tally(BROKEN, tried, caught, tried - caught, reach),
        )
        return PhaseReport(tallies, (), _NOT_TRIED)

    async def replay(self, bench: Bench, schedule: Schedule) -> Finding | None:
        """There is nothing to replay: it is about the run."""
        return None


async def explore_broken(own: Databases, protocol: Protocol, variant: Variant) -> Explored:
    """Explore a protocol as a broken variant does it, in a database of its own."""
    on = await rig_with(own, as_defect(variant))
    try:
        return await explore(on, protocol.built(variant))
    finally:
        if variant.changes:
            await on.database.close()


async def _is_caught(own: Databases, protocol: Protocol, variant: Variant, bench: Bench) -> bool:
    found = await explore_broken(own, protocol, variant)
    if not found.wrong:
        bench.unfit.append(f"a broken variant was not caught: {variant.name}")
    return bool(found.wrong)


_NOT_TRIED = (
    "An event that is parked within the statement that creates its record: it rests for one pause.",
)
