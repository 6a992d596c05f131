"""Times: one that was listed comes only while it is waited for, and never before it is due."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

from avow.prove.act import Ref
from avow.prove.protocols.protocol import LEASE_S, Change, Protocol, Scene, Variant
from avow.prove.selftest import HELD
from avow.store.trials import rehearsal
from avow.store.trials.watched import Watched

HELD_FOR: Final = timedelta(minutes=31)
"""By then a ticket of the reference has lapsed that nobody has bought."""


async def _a_time_has_come(scene: Scene) -> None:
    await scene.on.start(HELD)
    await scene.pass_time(HELD_FOR.total_seconds(), scene.on.database.admin)


def _ticket(scene: Scene) -> UUID:
    return scene.on.execution.id_of(Ref("Ticket", 1))


async def _worker(scene: Scene, session: Watched) -> None:
    """Lists what is due, and lets each of it come by a command of its own."""
    for row in await rehearsal.take(session, [""], LEASE_S):
        await session.execute(rehearsal.BEGIN)
        if await rehearsal.settle_time(session, row["work"], row["fence"]):
            scene.note("came", row["due"])
        await session.execute(rehearsal.COMMIT)


async def _leaves(scene: Scene, session: Watched) -> None:
    """A command that leaves the state; a while passes until it is kept."""
    await session.execute(rehearsal.BEGIN)
    await rehearsal.stop_waiting(session, _ticket(scene))
    scene.note("left", None)
    await session.execute(rehearsal.COMMIT)


async def _waits_anew(scene: Scene, session: Watched) -> None:
    """A command that comes to the state once more: what was due is due an hour later."""
    await session.execute(rehearsal.BEGIN)
    await rehearsal.wait_anew(session, _ticket(scene))
    scene.note("left", None)
    await session.execute(rehearsal.COMMIT)


async def _came_in_vain(scene: Scene) -> str:
    """What came after the state was left came from a list that was out of date."""
    order = [what for what, _ in scene.seen]
    if "left" in order and "came" in order[order.index("left") :]:
        return "A time came that nothing waited for any more."
    return ""


TIMES: Final = (
    Protocol(
        "a time comes while its state is left", (_worker, _leaves), _came_in_vain,
        (
            Variant(
                "a time from a stale list",
                (Change("settle_work", "AND g.work NOT IN", "AND false AND g.work NOT IN"),),
            ),
        ),
        _a_time_has_come,
    ),
    Protocol(
        "a time comes while it is set anew", (_worker, _waits_anew), _came_in_vain,
        (
            Variant("a time without fencing", (Change("settle_work", " AND o.fence = g.fence", ""),)),
            Variant(
                "set anew under its number", (Change("put_work", "fence = w.fence + 1", "fence = w.fence"),)
            ),
        ),
        _a_time_has_come,
    ),
)  # fmt: skip
