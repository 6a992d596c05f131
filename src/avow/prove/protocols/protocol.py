"""What a protocol is, and how it is explored: in every order of the statements of its processes.

Several processes do what workers, senders and sealers do, on connections of their own; a protocol has
variants that are known to be broken, and must not hold.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final, NamedTuple

from avow.model.system import System
from avow.prove.defect import NONE, Defect
from avow.prove.execution import CUT_OFF
from avow.prove.lockstep import Lockstep
from avow.prove.orders import Orders
from avow.prove.rig import Rig
from avow.store.driver import Connection
from avow.store.trials import rehearsal, trial
from avow.store.trials.watched import Watched

LEASE_S: Final = 30
ORDERS_MAX: Final = 200


@dataclass(slots=True)
class Scene:
    """One execution of a protocol.

    seen: what its processes have seen, in the order of time. sessions: the ids of theirs on the server.
    dead: those of them that the server has ended.
    """

    on: Rig
    seen: list[tuple[str, Any]] = field(default_factory=list[tuple[str, Any]])
    sessions: list[int] = field(default_factory=list[int])
    dead: set[int] = field(default_factory=set[int])

    def note(self, what: str, value: Any) -> None:
        self.seen.append((what, value))

    def of(self, what: str) -> list[Any]:
        """What was seen of one kind."""
        return [value for name, value in self.seen if name == what]

    async def pass_time(self, seconds: float, by: Connection) -> None:
        """Let time pass, by a statement of whoever does it."""
        database = self.on.database
        await trial.stop_clock(by, database.now + timedelta(seconds=seconds))
        database.now += timedelta(seconds=seconds)


Process = Callable[[Scene, Watched], Awaitable[None]]


class Change(NamedTuple):
    """Words of one function of the database that are replaced."""

    function: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Variant:
    """A way to build a protocol wrongly: by other words in the database, or by other processes."""

    name: str
    changes: tuple[Change, ...] = ()
    processes: tuple[Process, ...] = ()


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

    def built(self, variant: Variant) -> Protocol:
        """This protocol as a variant of it does it."""
        return replace(self, processes=variant.processes or self.processes)


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
        scene.sessions = [session.process for session in sessions]
        step.sessions = lambda scene=scene: scene.sessions
        works = [_to_its_end(p, scene, s) for p, s in zip(protocol.processes, sessions, strict=True)]
        whole = await step.run(works, orders.choose)
        orders.ran(step.ops)
        for session, its_id in zip(sessions, scene.sessions, strict=True):
            (session.lose if its_id in scene.dead else session.terminate)()
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
        if not session.is_closed():
            await session.execute(rehearsal.ROLL_BACK)
        raise


def mortal(process: Process) -> Process:
    """A process that may be ended, wherever it stands."""

    async def until_then(scene: Scene, session: Watched) -> None:
        with suppress(*CUT_OFF):
            await process(scene, session)

    return until_then


async def ends_the_first(scene: Scene, session: Watched) -> None:
    """The first process dies, and with it all that it has open."""
    scene.dead.add(scene.sessions[0])
    await rehearsal.end_session(session, scene.sessions[0])


def as_defect(variant: Variant) -> Defect:
    """What a variant says in the database, as a defect to be planted in one of its own."""

    async def alter(connection: Connection, _: System) -> None:
        for function, old, new in variant.changes:
            await trial.alter_function(connection, f"avow.{function}", old, new)

    return Defect(variant.name, alter=alter if variant.changes else NONE.alter)
