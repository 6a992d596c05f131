"""Plant corruptions one after the other, and ask `verify` about each; or ask it about a world in motion."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random

from avow.engine.log.outside import known_outside
from avow.engine.log.sealer import Sealer
from avow.engine.verify import verify
from avow.store.pool import connect
from avow.testing.databases import Database
from bench.corruptions.hand import UNLOCK, Joined
from bench.corruptions.handed import HANDED, hand_out
from bench.corruptions.kinds import KINDS
from bench.corruptions.world import Acting, World, sealed_world
from examples.enrollment.system import app

SORTS = (*KINDS, *HANDED)
SEAL_EVERY_S = 0.01
ROUND = 50
"""So many clean runs look at one world, which grows meanwhile; then another one is made."""
ENDED = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'avow sealer'
"""
KILL_EVERY = 5
"""After so many clean runs the sealer loses its connection."""


@dataclass
class Tally:
    """How many were planted of each sort, and those that weren't found, or not by name."""

    planted: Counter[str] = field(default_factory=Counter[str])
    missed: list[str] = field(default_factory=list[str])

    @property
    def total(self) -> int:
        """How many there were."""
        return self.planted.total()


async def corrupt(made: Database, folder: Path, number: int, seed: int, say: Callable[[int], None]) -> Tally:
    """Plant so many corruptions: each sort in its turn, its place by chance.

    What is done in the database is undone with its transaction, in which it is also looked for.
    """
    tally, chance = Tally(), Random(seed)
    async with sealed_world(made, folder) as world:
        await demand_clean(world)
        handed = await hand_out(world, folder / "export")
        await world.admin.execute(UNLOCK)
        for place in range(number):
            name = SORTS[place % len(SORTS)]
            if name in HANDED:
                said = None if HANDED[name](handed, chance) else "nobody noticed"
            else:
                said = await _planted(world, name, chance)
            if said is not None:
                tally.missed.append(f"{place}: {name}: {said}")
            tally.planted[name] += 1
            say(place + 1)
        await demand_clean(world)
    return tally


async def _planted(world: World, name: str, chance: Random) -> str | None:
    """Plant one corruption in the database, and ask about it; None where it is found by name."""
    await world.admin.execute("BEGIN")
    try:
        record = await KINDS[name](world.admin, chance)
        result = await verify(Joined(world.admin), app, outside=world.outside)
    finally:
        await world.admin.execute("ROLLBACK")
    named = {finding.id for finding in result.findings}
    if named and (record is None or record in named):
        return None
    codes = sorted({finding.code for finding in result.findings})
    return f"of {record}: {', '.join(codes) or 'nothing was found'}"


async def demand_clean(world: World) -> None:
    """What nobody has touched holds. Raises ValueError with what was found in it."""
    result = await verify(world.admin, app, outside=world.outside)
    if result.found or not result.complete:
        raise ValueError(f"found without a cause: {result.findings[:3]}")


async def clean(made: Database, folder: Path, runs: int, say: Callable[[int], None]) -> list[str]:
    """Verify so often while commands are executed and sealed, and the sealer is killed; gives back false
    alarms."""
    alarms = list[str]()
    async with sealed_world(made, folder) as world:
        await world.served.close()  # or the sealer would stand by
        sealer = Sealer(app.name, made.application_url, world.key, SEAL_EVERY_S)
        sealer.start()
        admin, ending = await connect(made.admin_url), asyncio.Event()
        load = asyncio.create_task(_load(Acting(world.engine), ending))
        try:
            for number in range(runs):
                if number % KILL_EVERY == 0:
                    await admin.execute(ENDED)
                result = await verify(admin, app, outside=known_outside(world.key, [], []))
                alarms += [f"{number}: {finding.code} {finding.detail}" for finding in result.findings]
                say(number + 1)
        finally:
            ending.set()
            await load
            await admin.close()
            await asyncio.to_thread(sealer.stop)
        if sealer.refused is not None:
            alarms.append(f"the sealer refused: {sealer.refused}")
    return alarms


async def _load(act: Acting, ending: asyncio.Event) -> None:
    """Commands, one after the other, until the end."""
    course = await act.do("Course", "announce", None, {"title": "busy", "seats": 9}, "registrar")
    for number in count():
        if ending.is_set():
            return
        who = f"busy-{number}"
        record = await act.do("Enrollment", "start", None, {"course": course}, who)
        await act.do("Enrollment", "submit", record, {"essay": "so"}, who)
