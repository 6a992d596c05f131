"""Lanes: phases side by side, each lane in a process of its own with a server of its own.

The first lane is this process. The others load the declaration again, are given the paths through the model,
and send back how far they are, what the engine logs, and in the end what their phases have to say. One that
dies says nothing about the application: then the run has no verdict.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from threading import Lock
from types import FrameType
from typing import Any, Final, TypeAlias

from avow.model.system import System
from avow.prove.coverage import coverage_from, coverage_json
from avow.prove.patience import patient
from avow.prove.phase import Bench, Phase, Progress
from avow.prove.phases import PHASES
from avow.prove.turns import Said, in_turn

LANES_MAX: Final = 4
LANE_S_MIN: Final = 15.0
"""With less time than this, another process isn't worth its start."""
TERMINATED: Final = 143
END_S_MAX: Final = 20.0
"""How long a process may take to put away its server when nobody waits for it any more."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a system is loaded from, in whichever process: `load(name)`."""

    load: Callable[[str], System]
    name: str


@dataclass(frozen=True, slots=True)
class _Given:
    """What a process is given. coverage: as JSON, since it holds values of types that the system brings."""

    source: Source
    fingerprint: bytes
    seed: int
    url: str | None
    touched: frozenset[str] | None
    alone: bool
    coverage: Mapping[str, Any]
    phases: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class _Done:
    """What a process has to say in the end."""

    said: list[Said]
    unfit: list[str]
    postgresql: str


_Progress: TypeAlias = tuple[str, int, int | None]
_Message: TypeAlias = _Progress | logging.LogRecord | _Done


def lanes_for(phases: Sequence[Phase], seconds: float) -> int:
    """How many lanes are worth it, on this machine."""
    return max(1, min(os.cpu_count() or 1, LANES_MAX, len(phases))) if seconds >= LANE_S_MIN else 1


def lanes_of(phases: Sequence[Phase], count: int) -> list[list[Phase]]:
    """Phases in lanes that take about as long as each other, each in the order of the phases."""
    lanes = [list[Phase]() for _ in range(count)]
    for phase in sorted(phases, key=lambda phase: -phase.share):
        min(lanes, key=lambda lane: sum(one.share for one in lane)).append(phase)
    return [sorted(lane, key=phases.index) for lane in lanes]


async def side_by_side(
    bench: Bench, source: Source, phases: Sequence[Phase], count: int, seconds: float, progress: Progress
) -> list[Said]:
    """What phases say that run in so many lanes."""
    own, *others = lanes_of(phases, count)
    lanes = [_Lane(_given(bench, source, lane, seconds), progress) for lane in others]
    try:
        reading = [asyncio.ensure_future(lane.read()) for lane in lanes]
        said = await in_turn(bench, own, seconds, progress)
        for done in await asyncio.gather(*reading):
            said += done.said
            bench.unfit += done.unfit
            bench.postgresql = bench.postgresql or done.postgresql
    finally:
        await asyncio.to_thread(_end, lanes)
    return said


def _given(bench: Bench, source: Source, lane: Sequence[Phase], seconds: float) -> _Given:
    return _Given(
        source, bench.system.fingerprint, bench.seed, bench.url, bench.touched, bench.alone,
        coverage_json(bench.system, bench.coverage), tuple(phase.name for phase in lane), seconds,
    )  # fmt: skip


class _Lane:
    """A process at work, and what comes from it."""

    def __init__(self, given: _Given, progress: Progress) -> None:
        context = get_context("spawn")
        self.phases, self._given, self._progress = given.phases, given, progress
        self.receiver, sender = context.Pipe(duplex=False)
        # What it is given is more than a pipe holds: handed over with the start, it would never be taken from
        # this process's hands if that one died before.
        taker, self._giver = context.Pipe(duplex=False)
        self.process: SpawnProcess = context.Process(target=_go, args=(taker, sender))
        self.process.start()
        self.done = False
        sender.close()  # so that its end is seen, as by whoever gives
        taker.close()

    async def read(self) -> _Done:
        """Give it what it is to do, and pass on what it tells, until it is done."""
        with suppress(OSError):
            await asyncio.to_thread(self._giver.send, self._given)
        while (message := await asyncio.to_thread(self._receive)) is not None:
            match message:
                case _Done():
                    self.done = True
                    return message
                case logging.LogRecord():
                    logging.getLogger(message.name).handle(message)
                case (phase, tried, left):
                    self._progress(phase, tried, left)
        named = ", ".join(self.phases)
        return _Done([], [f"the process of {named} ended before its time"], "")

    def _receive(self) -> _Message | None:
        """What it sends next; None where it is gone."""
        try:
            message: _Message = self.receiver.recv()
        except (EOFError, OSError):
            return None
        return message


def _end(lanes: Sequence[_Lane]) -> None:
    """Let every process put away its server, and end; one that isn't done is told to."""
    for lane in lanes:
        if not lane.done:
            lane.process.terminate()
    for lane in lanes:
        lane.process.join(END_S_MAX)
        lane.process.kill()


# --- in the other process -----------------------------------------------------------------------------


class _Teller:
    """Sends what there is to tell, from whichever thread."""

    def __init__(self, sender: Connection) -> None:
        self._sender, self._lock = sender, Lock()

    def put(self, message: Any) -> None:
        """Raises BrokenPipeError once nobody listens any more."""
        with self._lock:
            self._sender.send(message)


class _Forwards(logging.Handler):
    """Sends what is logged, as text, to the process that asked."""

    def __init__(self, teller: _Teller) -> None:
        super().__init__(logging.WARNING)
        self._teller = teller

    def emit(self, record: logging.LogRecord) -> None:
        record.msg, record.args = self.format(record), None
        record.exc_info, record.exc_text = None, None
        with suppress(OSError):
            self._teller.put(record)


def _go(taker: Connection, sender: Connection) -> None:
    """Go through the phases of one lane, and tell what came of them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who stops the run stops its first process, which ends this
    signal.signal(signal.SIGTERM, _told_to_end)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    sys.stdout = sys.stderr  # what the owner's code prints is no part of the report
    try:
        given: _Given = taker.recv()
    except EOFError:
        return
    teller = _Teller(sender)
    avow = logging.getLogger("avow")
    avow.addHandler(_Forwards(teller))
    avow.propagate = False
    system = given.source.load(given.source.name)
    coverage = coverage_from(system, given.coverage)
    bench = Bench(system, given.seed, given.url, coverage, given.touched, given.alone)
    if system.fingerprint != given.fingerprint:
        bench.unfit.append("the declaration was changed during the run")
    phases = [phase for phase in PHASES if phase.name in given.phases]
    with suppress(BrokenPipeError, asyncio.CancelledError), patient():
        said = asyncio.run(_through(bench, phases, given.seconds, teller))
        teller.put(_Done(said, bench.unfit, bench.postgresql))


def _told_to_end(_number: int, _frame: FrameType | None) -> None:
    sys.exit(TERMINATED)  # by way of the interpreter's end, so that the server is put away


async def _through(bench: Bench, phases: Sequence[Phase], seconds: float, teller: _Teller) -> list[Said]:
    def tell(phase: str, tried: int, left: int | None) -> None:
        teller.put((phase, tried, left))

    # Whoever ends this waits until everything is put away, in its order; from here on the loop sees to it.
    own = asyncio.current_task()
    if own is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, own.cancel)
    async with bench.stack:
        return await in_turn(bench, phases, seconds, tell)
