"""One round of one contender: sagas from the first request to the last record, or timers from their time."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from bench.speed import processes
from bench.speed.sample import Sample
from bench.workflows.contest import CLIENTS, SAGAS, TIMERS, Rival
from bench.workflows.stage import Surroundings

EFFECTS = 3
FIRST, LEAST, MOST = 24, 12, 6_000
"""How many there are in the first round, and then at least and at most."""
LOOK_EVERY_S = 0.25
END_S_MAX = 120.0
LEAD_S = 1.0
"""How long before their time the last timer is to be started, at least."""


class RoundFailed(Exception):
    """What was measured doesn't add up."""


@dataclass
class Rounds:
    """The rounds of one contender. The number of each round is what the one before it would have done."""

    around: Surroundings
    rival: Rival
    sort: str
    rate: float | None = None
    start_rate: float = 0.0
    keys: Iterator[int] = field(default_factory=count)

    async def run(self, seconds: int) -> Sample:
        """Start, wait for the end, and settle the account. Raises RoundFailed."""
        number = FIRST if self.rate is None else round(min(max(self.rate * seconds, LEAST), MOST))
        await asyncio.to_thread(self._provider, "DELETE")
        (before, _), postgres, own = await self.rival.ended(self.sort), self._postgres_s(), self._own_s()
        began, due = await self._start(number)
        last = await self._ended(before + number)
        postgres, own = self._postgres_s() - postgres, self._own_s() - own
        if self.sort == SAGAS:
            told = await asyncio.to_thread(self._provider, "GET")
            if told["calls"] != EFFECTS * number or told["keys"] != EFFECTS * number:
                raise RoundFailed(f"{self.rival.name}: {number} sagas made {told} at the provider")
        elapsed = last - (began if due is None else due.timestamp())
        sample = Sample(number, elapsed, python_us=1e6 * own / number, postgres_us=1e6 * postgres / number)
        self.rate = sample.rate
        return sample

    async def _start(self, number: int) -> tuple[float, datetime | None]:
        """Start so many: when the first request was sent, and when what was started is due."""
        due = None
        if self.sort == TIMERS:
            lead_s = LEAD_S + (1.5 * number / self.start_rate if self.start_rate else FIRST * 0.2)
            due = datetime.now(UTC) + timedelta(seconds=lead_s)
        name, began = f"{self.rival.name}-{id(self)}", time.time()
        left = iter([f"{name}-{next(self.keys)}" for _ in range(number)])

        async def lane() -> None:
            for key in left:
                (answer,) = await self.rival.clients.send(self.rival.start(key, due), 1)
                if answer is None or answer.status >= 300:
                    raise RoundFailed(f"{self.rival.name} answered {answer}")

        async with asyncio.TaskGroup() as lanes:
            for _ in range(CLIENTS):
                lanes.create_task(lane())
        self.start_rate = number / (time.time() - began)
        if due is not None and due <= datetime.now(UTC):
            raise RoundFailed(f"{self.rival.name} hadn't started its timers before their time")
        return began, due

    async def _ended(self, count: int) -> float:
        """When the last one of so many had ended."""
        deadline = time.monotonic() + END_S_MAX
        while True:
            ended, last = await self.rival.ended(self.sort)
            if ended == count:
                return last
            if ended > count or time.monotonic() > deadline:
                raise RoundFailed(f"{self.rival.name}: {ended} {self.sort} ended, and not {count}")
            await asyncio.sleep(LOOK_EVERY_S)

    def _provider(self, method: str) -> dict[str, Any]:
        asked = urllib.request.Request(self.around.provider.url, method=method)
        with urllib.request.urlopen(asked) as answer:
            return json.load(answer)

    def _postgres_s(self) -> float:
        return processes.cpu_s(self.around.stage.postmaster)

    def _own_s(self) -> float:
        return sum(processes.cpu_s(process) for process in self.rival.processes)
