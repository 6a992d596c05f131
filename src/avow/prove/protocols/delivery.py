"""Delivery: a subscriber is told of each published entry; of one record in the order in which it happened."""

from __future__ import annotations

from collections import defaultdict
from typing import Final
from uuid import UUID

from avow.prove.protocols.protocol import LEASE_S, Change, Process, Protocol, Scene, Variant
from avow.prove.selftest import HALL
from avow.store.driver import Connection
from avow.store.trials import rehearsal
from avow.store.trials.watched import Watched

ONE, OTHER = UUID(int=1), UUID(int=2)
"""Two records."""


async def _a_subscriber(scene: Scene) -> None:
    await scene.on.start(HALL)
    await rehearsal.subscribe(scene.on.database.admin)


async def _two_to_tell(scene: Scene) -> None:
    await _a_subscriber(scene)
    for version in (1, 2):
        await rehearsal.publish(scene.on.database.admin, ONE, version)


async def _one_was_told(scene: Scene) -> None:
    await _a_subscriber(scene)
    await rehearsal.publish(scene.on.database.admin, ONE, 1)
    await _tell_all(Scene(scene.on), scene.on.database.admin)


async def _tell_all(scene: Scene, session: Connection) -> None:
    while await _tell(scene, session):
        pass


async def _tell(scene: Scene, session: Connection) -> bool:
    """Take what is to be told, and tell it, as a worker does; whether there was anything."""
    rows = await rehearsal.take(session, [rehearsal.SUBSCRIBER], LEASE_S)
    for row in rows:
        scene.note("begins", (row["id"], row["version"]))
    for row in rows:
        await rehearsal.give_back(session, row["work"], row["fence"])
        scene.note("told", (row["id"], row["version"]))
    return bool(rows)


async def _teller(scene: Scene, session: Watched) -> None:
    await _tell(scene, session)


def _writes(record: UUID, version: int, *, slowly: bool) -> Process:
    """A command that publishes; slowly: a while passes until it is kept."""

    async def write(scene: Scene, session: Watched) -> None:
        if slowly:
            await session.execute(rehearsal.BEGIN)
        await rehearsal.publish(session, record, version)
        if slowly:
            await session.execute(rehearsal.COMMIT)

    return write


async def _replayer(scene: Scene, session: Watched) -> None:
    await rehearsal.replay(session)


async def _all_told(scene: Scene) -> str:
    """Nothing is left out, whatever was kept in which order; and nothing is told twice."""
    await _tell_all(scene, scene.on.database.admin)
    told = sorted(scene.of("told"))
    return "" if told == [(ONE, 1), (OTHER, 1)] else f"Of two events, {len(told)} were told."


async def _told_in_order(scene: Scene) -> str:
    """Of one record, nothing is begun to be told before what happened earlier was told."""
    told = defaultdict[UUID, int](int)
    for what, (record, version) in scene.seen:
        if what == "begins" and version != told[record] + 1:
            return f"Version {version} of a record was told after version {told[record]}."
        if what == "told":
            told[record] = version
    return ""


async def _newest_told_last(scene: Scene) -> str:
    """Whatever is told again, what a record has come to is told last."""
    await _tell_all(scene, scene.on.database.admin)
    last = scene.of("told")[-1][1]
    return "" if last == 2 else f"Version {last} of a record was told after all others."


DELIVERY: Final = (
    Protocol(
        "events are told while others are written",
        (_writes(ONE, 1, slowly=True), _writes(OTHER, 1, slowly=False), _teller), _all_told,
        (
            Variant(
                "deliveries by highest number",
                (
                    Change("give_back_work", "given.attempt", "p_work::integer"),
                    Change(
                        "take_work", "(r.line = ''", f"r.work > {rehearsal.HIGHEST_TOLD} AND (r.line = ''"
                    ),
                ),
            ),
        ),
        _a_subscriber,
    ),
    Protocol(
        "two tell of one record", (_teller, _teller), _told_in_order,
        (
            Variant(
                "told side by side",
                (Change("take_work", "(r.line = ''", "(true"), Change("put_behind", "NOT r.taken", "false")),
            ),
        ),
        _two_to_tell,
    ),
    Protocol(
        "a subscription is replayed while its record is written",
        (_writes(ONE, 2, slowly=True), _replayer, _teller), _newest_told_last,
        (
            Variant("replayed without a lock", (Change("go_on_replaying", " FOR UPDATE;", ";"),)),
            Variant("published without a lock", (Change("put_deliveries", " FOR KEY SHARE", ""),)),
        ),
        _one_was_told,
    ),
)  # fmt: skip
