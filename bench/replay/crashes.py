"""Killing processes with -9 and starting them again, at even distances along the way."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from avow.cli.output import Progress
from avow.errors import EnvironmentFault
from bench.replay.root import ROOT
from examples.demo.declared import Declared

END_S_MAX = 15.0
WORKERS = 2


class Crashes:
    """Counts what is finished of `total` things, for people to see, and strikes so many times meanwhile.

    what: the things; `strike` is called with the number of the strike.
    """

    def __init__(self, what: str, total: int, count: int, strike: Callable[[int], object]) -> None:
        self._progress = Progress(sys.stderr, what, total)
        self._at = [total * number // (count + 1) for number in range(1, count + 1)]
        self._strike = strike
        self._reached = asyncio.Semaphore(0)
        self._finished = 0
        self.done = 0

    def advance(self) -> None:
        """Count one thing that is finished."""
        self._progress.advance()
        self._finished += 1
        if self._finished in self._at:
            self._reached.release()

    async def during(self, work: Awaitable[Any]) -> float:
        """Do the work while the crashes happen: its seconds. Whichever of the two fails is raised."""
        started = time.monotonic()
        doing, crashing = asyncio.ensure_future(work), asyncio.create_task(self._run())
        try:
            with self._progress:
                done, _ = await asyncio.wait({doing, crashing}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:  # the crashes end only if something can't be started again
                task.result()
        finally:
            doing.cancel()
            crashing.cancel()
            await asyncio.gather(doing, crashing, return_exceptions=True)
        return time.monotonic() - started

    async def _run(self) -> None:
        """Until cancelled. What is sent meanwhile finds nobody, or somebody who dies.

        A strike that is under way is brought to its end, so that nothing is started that nobody will stop.
        """
        while True:
            await self._reached.acquire()
            striking = asyncio.ensure_future(asyncio.to_thread(self._strike, self.done))
            try:
                await asyncio.shield(striking)
            except asyncio.CancelledError:
                await striking
                raise
            self.done += 1


class Process(Protocol):
    """What can be killed, and comes back."""

    def start(self) -> object:
        """Start it; returns when it works."""
        ...

    def kill(self) -> object:
        """With -9."""
        ...


class Worker:
    """A worker in a process of its own, killed and started as often as wanted.

    arguments: of Python. It says one line once it works, and ends on SIGTERM.
    """

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], cwd: Path = ROOT) -> None:
        self._arguments, self._environment, self._cwd = arguments, dict(environment), cwd
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it; returns when it works. Raises EnvironmentFault if it doesn't."""
        self._process = subprocess.Popen(
            [sys.executable, *self._arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self._environment,
            cwd=self._cwd,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            raise EnvironmentFault(
                "worker-failed", "a worker did not start", f"Run it by hand: {' '.join(self._arguments)}"
            )

    def kill(self) -> None:
        """With -9."""
        if self._process is not None:
            self._process.kill()
            self._end()

    def stop(self) -> None:
        """In peace, within a bound."""
        if self._process is not None:
            self._process.terminate()
            self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        assert process is not None
        assert process.stdout is not None
        try:
            process.wait(END_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def workers_of(declared: Declared) -> list[Worker]:
    """The workers of a backend, beside its server."""
    arguments = ("-m", "avow.cli", "work", str(declared.target))
    return [Worker(arguments, declared.surroundings.environment()) for _ in range(WORKERS)]


@asynccontextmanager
async def at_work(server: Process, workers: Sequence[Worker]) -> AsyncGenerator[None]:
    """Everybody has been started; the workers are stopped afterwards, the server by whom it belongs to."""
    try:
        for process in (server, *workers):
            await asyncio.to_thread(process.start)
        yield
    finally:
        for worker in workers:
            worker.stop()


class ByTurns:
    """Kills the server and one of the workers by turns, and counts whom."""

    def __init__(self, server: Process, workers: Sequence[Worker]) -> None:
        self._server, self._workers = server, workers
        self.killed = Counter[str]()

    def strike(self, number: int) -> None:
        """Whatever is under way finds nobody, or somebody who dies."""
        whom = "worker" if number % 2 else "server"
        struck = self._workers[number // 2 % len(self._workers)] if number % 2 else self._server
        struck.kill()
        struck.start()
        self.killed[whom] += 1
