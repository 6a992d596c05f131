"""Claim, lease and recovery: one worker at a time does a call, and another one where that one is gone."""

from __future__ import annotations

from typing import Final

from avow.prove.protocols.protocol import (
    LEASE_S,
    Change,
    Protocol,
    Scene,
    Variant,
    ends_the_first,
    mortal,
)
from avow.prove.selftest import BOUGHT
from avow.store.driver import Connection
from avow.store.trials import rehearsal
from avow.store.trials.watched import Watched


async def _one_call(scene: Scene) -> None:
    await scene.on.start(BOUGHT)


async def _take(scene: Scene, session: Connection) -> tuple[int, int] | None:
    """Take the call, as a worker does."""
    for row in await rehearsal.take(session, ["", *_destinations(scene)], LEASE_S):
        if row["name"] == "charge":
            scene.note("taken", (row["fence"], row["unclear"], scene.on.database.now))
            return row["work"], row["fence"]
    return None


def _destinations(scene: Scene) -> list[str]:
    entities = scene.on.declared.entities.values()
    return sorted({effect.destination for entity in entities for effect in entity.effects.values()})


async def _claims(scene: Scene, session: Watched) -> None:
    await _take(scene, session)


async def _claims_slowly(scene: Scene, session: Watched) -> None:
    """In a transaction, so that the others can stand within the claim."""
    await session.execute(rehearsal.BEGIN)
    await _take(scene, session)
    await session.execute(rehearsal.COMMIT)


async def _claims_and_dies(scene: Scene, session: Watched) -> None:
    """The same, told of only once it is kept: before that, a death takes it back."""
    unseen = Scene(scene.on)
    await session.execute(rehearsal.BEGIN)
    await _take(unseen, session)
    await session.execute(rehearsal.COMMIT)
    scene.seen += unseen.seen


async def _slow(scene: Scene, session: Watched) -> None:
    """A worker that gives back what it has taken, however long that took."""
    taken = await _take(scene, session)
    if taken is not None:
        scene.note("settled", (taken[1], await rehearsal.give_back(session, *taken)))


async def _keeps(scene: Scene, session: Watched) -> None:
    """A worker that keeps what it has taken for longer, and writes down how far it has come."""
    taken = await _take(scene, session)
    if taken is None:
        return
    if await rehearsal.keep(session, *taken, LEASE_S):
        scene.note("kept", (taken[1], scene.on.database.now))
    scene.note("settled", (taken[1], await rehearsal.checkpoint(session, *taken)))


async def _lease_ends(scene: Scene, session: Watched) -> None:
    await scene.pass_time(LEASE_S + 1, session)


async def _lease_ends_slowly(scene: Scene, session: Watched) -> None:
    """In two steps, so that a lease can be kept between them."""
    for _ in range(2):
        await scene.pass_time((LEASE_S + 2) / 2, session)


async def _twice_at_once(scene: Scene) -> str:
    count = len(scene.of("taken"))
    return "" if count == 1 else f"One call was taken {count} times within one lease."


async def _only_its_last_taker_counts(scene: Scene) -> str:
    """Fencing: from when a later one has taken it, nobody else can say how it goes or ended."""
    newest = 0
    for what, value in scene.seen:
        if what == "taken":
            newest = max(newest, value[0])
        elif (what == "kept" or value[1]) and value[0] != newest:
            return f"Taking {value[0]} of a call counted after taking {newest} had begun."
    return ""


async def _held_while_it_is_kept(scene: Scene) -> str:
    """And nobody takes it before the lease of whoever has it is over."""
    last = None
    for what, value in scene.seen:
        if what == "taken" and last is not None and (value[-1] - last).total_seconds() < LEASE_S:
            return "A call was taken from a worker that had kept it."
        if what in ("taken", "kept"):
            last = value[-1]
    return await _only_its_last_taker_counts(scene)


async def _recovered_as_unclear(scene: Scene) -> str:
    """Whoever takes a dead worker's call, as somebody does, is told that it may have been made."""
    admin = scene.on.database.admin
    await scene.pass_time(LEASE_S + 1, admin)
    if await _take(scene, admin) is None:
        return "A call that a dead worker had taken is never taken again."
    taken = sorted(scene.of("taken"))
    wrong = any(unclear != (place > 0) for place, (_, unclear, _) in enumerate(taken))
    return "A call that an earlier worker may have made was taken as a new one." if wrong else ""


_AS_NEW = Variant(
    "a dead worker's call as new",
    (Change("take_work", "unclear = w.unclear OR w.taken", "unclear = w.unclear"),),
)
_WITHOUT_END = Variant(
    "lease without end", (Change("take_work", "ready_at = moment + taken_by", "ready_at = 'infinity'"),)
)

CLAIMS: Final = (
    Protocol(
        "two workers claim one call", (_claims_slowly, _claims_slowly), _twice_at_once,
        (
            Variant(
                "claim without a lock", (Change("take_work", "room FOR UPDATE OF r SKIP LOCKED", "room"),)
            ),
        ),
        _one_call,
    ),
    Protocol(
        "a lease runs out while its worker still works", (_slow, _lease_ends, _slow),
        _only_its_last_taker_counts,
        (
            Variant(
                "lease without fencing",
                (Change("give_back_work", "w.work = p_work AND w.fence = p_fence", "w.work = p_work"),),
            ),
        ),
        _one_call,
    ),
    Protocol(
        "a worker keeps what it has taken", (_keeps, _lease_ends_slowly, _claims), _held_while_it_is_kept,
        (
            Variant(
                "kept without fencing",
                (Change("keep_work", "w.work = g.work AND w.fence = g.fence", "w.work = g.work"),),
            ),
            Variant(
                "progress without fencing",
                (Change("checkpoint_work", "w.work = p_work AND w.fence = p_fence", "w.work = p_work"),),
            ),
            Variant(
                "kept for no longer",
                (Change("keep_work", "avow.now() + p_lease_ms * interval '1 ms'", "w.ready_at"),),
            ),
        ),
        _one_call,
    ),
    Protocol(
        "a dead worker's call is taken again", (_claims, _lease_ends, _claims), _recovered_as_unclear,
        (_AS_NEW,), _one_call,
    ),
    Protocol(
        "a worker dies wherever it stands", (mortal(_claims_and_dies), ends_the_first, _claims),
        _recovered_as_unclear, (_WITHOUT_END,), _one_call,
    ),
)  # fmt: skip
