"""Parking: an event that comes before its record is tried once more when that is written, and isn't lost."""

from __future__ import annotations

from typing import Final

from avow.prove.protocols.protocol import LEASE_S, Change, Protocol, Scene, Variant
from avow.store.trials import rehearsal
from avow.store.trials.watched import Watched


async def _nothing_yet(scene: Scene) -> None:
    await scene.on.start(())


async def _sender(scene: Scene, session: Watched) -> None:
    """Looks for the record, parks the event where it isn't there, and looks once more, as a worker does."""
    if await rehearsal.record_is_there(session):
        scene.note("applied", True)
        return
    await rehearsal.park(session)
    taken = await rehearsal.take_parked(session, LEASE_S)
    if taken is None:
        return
    if await rehearsal.record_is_there(session):
        scene.note("applied", True)
        return
    await rehearsal.park_again(session, *taken)


async def _creator(scene: Scene, session: Watched) -> None:
    """One statement, within which nobody can stand: an event parked during it may rest for one pause."""
    await rehearsal.make_record_and_wake(session)


async def _lost(scene: Scene) -> str:
    """The record is there by now: the event has happened, or is ready to."""
    if scene.of("applied") or await rehearsal.parked_is_ready(scene.on.database.admin):
        return ""
    return "An event rests although its record was written."


PARKING: Final = (
    Protocol(
        "an event arrives while its record is created", (_sender, _creator), _lost,
        (
            Variant(
                "parked to rest",
                (Change("park_event", "THEN moment ELSE", "THEN moment + interval '1 h' ELSE"),),
            ),
            Variant("woken under its number", (Change("wake_events", ", fence = w.fence + 1", ""),)),
            Variant("nobody is woken", (Change("wake_events", "w.topic <> ''", "false"),)),
        ),
        _nothing_yet,
    ),
)  # fmt: skip
