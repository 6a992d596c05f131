"""Killing processes with -9 and starting them again, at even distances along the way."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from avow.errors import EnvironmentFault
from bench.replay.root import ROOT

END_S_MAX = 15.0


class Crashes:
    """Strikes so many times while `total` things are finished: `strike` is called with the number of it."""

    def __init__(self, total: int, count: int, strike: Callable[[int], object]) -> None:
        self._at = [total * number // (count + 1) for number in range(1, count + 1)]
        self._strike = strike
        self._reached = asyncio.Semaphore(0)
        self._finished = 0
        self.done = 0

    def advance(self) -> None:
        """Count one thing that is finished."""
        self._finished += 1
        if self._finished in self._at:
            self._reached.release()

    async def run(self) -> None:
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


async def while_crashing(work: Awaitable[Any], crashes: Crashes) -> None:
    """Do the work while the crashes happen; whichever of the two fails is raised."""
    doing, crashing = asyncio.ensure_future(work), asyncio.create_task(crashes.run())
    try:
        done, _ = await asyncio.wait({doing, crashing}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:  # the crashes end only if something can't be started again
            task.result()
    finally:
        doing.cancel()
        crashing.cancel()
        await asyncio.gather(doing, crashing, return_exceptions=True)


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
