"""Sealing: each entry gets a leaf, whoever writes late, seals at once, or dies meanwhile."""

from __future__ import annotations

from typing import Final

from avow.prove.protocols.protocol import Change, Protocol, Scene, Variant, ends_the_first, mortal
from avow.prove.selftest import HALL
from avow.store.trials import rehearsal
from avow.store.trials.watched import Watched


async def _a_log(scene: Scene) -> None:
    await scene.on.start(HALL)
    await rehearsal.begin_log(scene.on.database.admin)


async def _slow_writer(scene: Scene, session: Watched) -> None:
    """Draws a number for an entry, and commits it a while later."""
    await rehearsal.begin_a_record(session)
    await session.execute(rehearsal.COMMIT)


async def _writer(scene: Scene, session: Watched) -> None:
    await rehearsal.make_record(session)


async def _sealer(scene: Scene, session: Watched) -> None:
    await rehearsal.seal(session)


async def _sealer_apart(scene: Scene, session: Watched) -> None:
    """Leaves, and then a checkpoint over them."""
    await rehearsal.seal(rehearsal.apart(session))


async def _all_have_a_leaf(scene: Scene) -> str:
    admin = scene.on.database.admin
    for _ in range(4):
        await rehearsal.seal(admin)
    if without := await rehearsal.entries_without_leaf(admin):
        return f"{without} entries were never sealed."
    bare = await rehearsal.leaves_without_checkpoint(admin)
    return f"{bare} leaves are under no checkpoint." if bare else ""


SEALING: Final = (
    Protocol(
        "entries are sealed while others are written", (_slow_writer, _writer, _sealer), _all_have_a_leaf,
        (
            Variant(
                "cursor by highest number",
                (
                    Change(
                        "seal_leaves", "unnest(state.settling + state.unseen)", "unnest('{}'::int8multirange)"
                    ),
                ),
            ),
        ),
        _a_log,
    ),
    Protocol(
        "two seal at once", (_sealer, _sealer), _all_have_a_leaf,
        (Variant("sealing without a lock", (Change("seal_leaves", " FOR UPDATE SKIP LOCKED", ""),)),), _a_log,
    ),
    Protocol(
        "a sealer dies wherever it stands", (mortal(_sealer), ends_the_first), _all_have_a_leaf,
        (
            Variant(
                "leaves without their checkpoint", processes=(mortal(_sealer_apart), ends_the_first)
            ),
        ),
        _a_log,
    ),
)  # fmt: skip
