"""The engine's own protocols, explored in lock step: claim, lease, recovery, parking, sealing.

Several processes do what workers, senders and sealers do, on connections of their own, in every order of
their statements; each protocol has variants that are known to be broken, and must not hold.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from avow.model.system import System
from avow.prove.databases import Databases, databases
from avow.prove.defect import NONE, Defect
from avow.prove.finding import ALL, Finding, PhaseReport, Tally, sampled
from avow.prove.lockstep import Lockstep
from avow.prove.orders import Orders
from avow.prove.phase import Bench, Budget
from avow.prove.reference import reference
from avow.prove.rig import Rig
from avow.prove.schedule import Schedule
from avow.prove.selftest import BOUGHT, HALL, rig_with
from avow.store import trial
from avow.store.driver import Connection
from avow.store.watched import Watched

LEASE_S: Final = 30
ORDERS_MAX: Final = 200


@dataclass(slots=True)
class Scene:
    """One execution of a protocol. seen: what its processes have seen, in the order of time."""

    on: Rig
    seen: list[tuple[str, Any]] = field(default_factory=list[tuple[str, Any]])

    def note(self, what: str, value: Any) -> None:
        self.seen.append((what, value))

    def of(self, what: str) -> list[Any]:
        """What was seen of one kind."""
        return [value for name, value in self.seen if name == what]


Process = Callable[[Scene, Watched], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Variant:
    """A way to build it wrongly: words of one function of the database that are replaced."""

    name: str
    function: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Protocol:
    """What several processes do at once, and what must be true whatever their order.

    set: sets the scene. wrong: what isn't as it must be at the end; empty where all is.
    """

    name: str
    processes: tuple[Process, ...]
    wrong: Callable[[Scene], Awaitable[str]]
    variants: tuple[Variant, ...]
    set: Callable[[Scene], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Explored:
    """How a protocol was explored. wrong: the first thing that didn't hold; empty where all did."""

    orders: int
    exhausted: bool
    wrong: str


async def explore(on: Rig, protocol: Protocol) -> Explored:
    """Run a protocol in every order, until something is wrong."""
    orders, count = Orders(), 0
    while orders.more and count < ORDERS_MAX:
        scene = Scene(on)
        await protocol.set(scene)
        step = Lockstep(on.system, on.database.admin, len(protocol.processes))
        sessions = [await on.database.open_as_owner(lane) for lane in step.lanes]
        step.sessions = lambda sessions=sessions: [session.process for session in sessions]
        works = [_to_its_end(p, scene, s) for p, s in zip(protocol.processes, sessions, strict=True)]
        whole = await step.run(works, orders.choose)
        orders.ran(step.ops)
        for session in sessions:
            session.terminate()
        count += 1
        errors = [lane.task.exception() for lane in step.lanes if lane.task and not lane.task.cancelled()]
        failed = next((f"{type(error).__name__}: {error}" for error in errors if error is not None), "")
        if whole and (wrong := failed or await protocol.wrong(scene)):
            return Explored(count, False, wrong)
    return Explored(count, not orders.more and not orders.strayed, "")


async def _to_its_end(process: Process, scene: Scene, session: Watched) -> None:
    try:
        await process(scene, session)
    except Exception:
        await session.execute(trial.ROLL_BACK)
        raise


# --- claim, lease, recovery ---------------------------------------------------------------------------


async def _one_call(scene: Scene) -> None:
    await scene.on.start(BOUGHT)


async def _take(scene: Scene, session: Watched) -> tuple[int, int] | None:
    """Take the call, as a worker does."""
    for row in await trial.take(session, ["", *_destinations(scene)], LEASE_S):
        if row["name"] == "charge":
            scene.note("taken", (row["fence"], row["unclear"]))
            return row["work"], row["fence"]
    return None


def _destinations(scene: Scene) -> list[str]:
    entities = scene.on.declared.entities.values()
    return sorted({effect.destination for entity in entities for effect in entity.effects.values()})


async def _claims(scene: Scene, session: Watched) -> None:
    await _take(scene, session)


async def _claims_slowly(scene: Scene, session: Watched) -> None:
    """In a transaction, so that the others can stand within the claim."""
    await session.execute(trial.BEGIN)
    await _take(scene, session)
    await session.execute(trial.COMMIT)


async def _twice_at_once(scene: Scene) -> str:
    count = len(scene.of("taken"))
    return "" if count == 1 else f"One call was taken {count} times within one lease."


async def _slow(scene: Scene, session: Watched) -> None:
    """A worker that gives back what it has taken, however long that took."""
    taken = await _take(scene, session)
    if taken is not None:
        scene.note("given back", (taken[1], await trial.give_back(session, *taken)))


async def _time_passes(scene: Scene, session: Watched) -> None:
    """The lease runs out."""
    database = scene.on.database
    await trial.stop_clock(session, database.now + timedelta(seconds=LEASE_S + 1))
    database.now += timedelta(seconds=LEASE_S + 1)


async def _given_back_by_its_last_taker(scene: Scene) -> str:
    """Fencing: from when a later one has taken it, nobody else can say how it ended."""
    newest = 0
    for what, value in scene.seen:
        if what == "taken":
            newest = max(newest, value[0])
        elif what == "given back" and value[1] and value[0] != newest:
            return f"Taking {value[0]} of a call was settled after taking {newest} had begun."
    return ""


async def _recovered_as_unclear(scene: Scene) -> str:
    """Whoever takes a dead worker's call is told that it may have been made."""
    taken = sorted(scene.of("taken"))
    wrong = any(unclear != (place > 0) for place, (_, unclear) in enumerate(taken))
    return "A call that an earlier worker may have made was taken as a new one." if wrong else ""


# --- an event and its record --------------------------------------------------------------------------


async def _nothing_yet(scene: Scene) -> None:
    await scene.on.start(())


async def _sender(scene: Scene, session: Watched) -> None:
    """Looks for the record, parks the event where it isn't there, and looks once more, as a worker does."""
    if await trial.record_is_there(session):
        scene.note("applied", True)
        return
    await trial.park(session)
    taken = await trial.take_parked(session, LEASE_S)
    if taken is None:
        return
    if await trial.record_is_there(session):
        scene.note("applied", True)
        return
    await trial.park_again(session, *taken)


async def _creator(scene: Scene, session: Watched) -> None:
    """One statement, within which nobody can stand: an event parked during it may rest for one pause."""
    await trial.make_record_and_wake(session)


async def _lost(scene: Scene) -> str:
    """The record is there by now: the event has happened, or is ready to."""
    if scene.of("applied") or await trial.parked_is_ready(scene.on.database.admin):
        return ""
    return "An event rests although its record was written."


# --- sealing ------------------------------------------------------------------------------------------


async def _a_log(scene: Scene) -> None:
    await scene.on.start(HALL)
    await trial.begin_log(scene.on.database.admin)


async def _slow_writer(scene: Scene, session: Watched) -> None:
    """Draws a number for an entry, and commits it a while later."""
    await trial.begin_a_record(session)
    await session.execute(trial.COMMIT)


async def _writer(scene: Scene, session: Watched) -> None:
    await trial.make_record(session)


async def _sealer(scene: Scene, session: Watched) -> None:
    await trial.seal(session)


async def _all_have_a_leaf(scene: Scene) -> str:
    admin = scene.on.database.admin
    for _ in range(4):
        await trial.seal(admin)
    without = await trial.entries_without_leaf(admin)
    return f"{without} entries were never sealed." if without else ""


PROTOCOLS: Final = (
    Protocol(
        "two workers claim one call", (_claims_slowly, _claims_slowly), _twice_at_once,
        (
            Variant("claim without a lock", "take_work", "room FOR UPDATE OF r SKIP LOCKED", "room"),
        ),
        _one_call,
    ),
    Protocol(
        "a lease runs out while its worker still works", (_slow, _time_passes, _slow),
        _given_back_by_its_last_taker,
        (
            Variant(
                "lease without fencing", "give_back_work",
                "w.work = p_work AND w.fence = p_fence", "w.work = p_work",
            ),
        ),
        _one_call,
    ),
    Protocol(
        "a dead worker's call is taken again", (_claims, _time_passes, _claims), _recovered_as_unclear,
        (
            Variant(
                "a dead worker's call as new", "take_work",
                "unclear = w.unclear OR w.taken", "unclear = w.unclear",
            ),
        ),
        _one_call,
    ),
    Protocol(
        "an event arrives while its record is created", (_sender, _creator), _lost,
        (
            Variant(
                "parked to rest", "park_event",
                "IS NULL THEN moment ELSE", "IS NULL THEN moment + interval '1 h' ELSE",
            ),
            Variant("woken under its number", "wake_events", ", fence = w.fence + 1", ""),
            Variant("nobody is woken", "wake_events", "w.topic <> ''", "false"),
        ),
        _nothing_yet,
    ),
    Protocol(
        "entries are sealed while others are written", (_slow_writer, _writer, _sealer), _all_have_a_leaf,
        (
            Variant(
                "cursor by highest number", "seal_leaves",
                "unnest(state.settling + state.unseen)", "unnest('{}'::int8multirange)",
            ),
        ),
        _a_log,
    ),
    Protocol(
        "two seal at once", (_sealer, _sealer), _all_have_a_leaf,
        (Variant("sealing without a lock", "seal_leaves", " FOR UPDATE SKIP LOCKED", ""),),
        _a_log,
    ),
)  # fmt: skip
"""All of them."""


def as_defect(variant: Variant) -> Defect:
    """A variant as a defect, to be planted in a database of its own."""

    async def alter(connection: Connection, _: System) -> None:
        await trial.alter_function(connection, f"avow.{variant.function}", variant.old, variant.new)

    return Defect(variant.name, alter=alter)


# --- the phase ----------------------------------------------------------------------------------------

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


async def _is_caught(own: Databases, protocol: Protocol, variant: Variant, bench: Bench) -> bool:
    on = await rig_with(own, as_defect(variant))
    found = await explore(on, protocol)
    await on.database.close()
    if not found.wrong:
        bench.unfit.append(f"a broken variant was not caught: {variant.name}")
    return bool(found.wrong)


_NOT_TRIED = (
    "An event that is parked within the statement that creates its record: it rests for one pause.",
)
