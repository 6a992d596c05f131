"""Sending commands over HTTP: each under one key, some of them in copies, until each has its one answer.

It must never take an answer for granted: what was answered is counted here and compared with the database
by the account.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from bench.replay.clients import Answer, Clients

CLIENTS = 64
REPEATERS = 24
REPEATS_WAITING_MAX = 1_000
COPIES_AT_ONCE = 3
ONE_IN = 10
"""Every how manyeth request is sent in COPIES_AT_ONCE copies in the same moment."""
ATTEMPTS_MAX = 20
PAUSE_S = 0.25
DISAGREEMENTS_SHOWN_MAX = 10

TRY_AGAIN = (429, 503)
INPUT_INVALID = 422

Token = Callable[..., str]


@dataclass(frozen=True, slots=True)
class Step:
    """An acknowledged step: the record as the answer names it, and the command that was given."""

    kind: str
    id: UUID
    version: int
    command: str


@dataclass
class Tally:
    """What came back. `executed_twice`: keys of which two answers claim to be the first."""

    accepted: list[Step] = field(default_factory=list[Step])
    refused: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    tried_again: Counter[str] = field(default_factory=Counter[str])
    answers_lost: int = 0
    keys: int = 0
    disagreements: list[str] = field(default_factory=list[str])
    executed_twice: list[str] = field(default_factory=list[str])

    def refusals(self) -> dict[str, dict[str, int]]:
        """How often which command was refused, by code and command."""
        found: dict[str, dict[str, int]] = {}
        for (command, code), count in sorted(self.refused.items()):
            found.setdefault(code, {})[command] = count
        return found


class Sender:
    """Sends the commands of one replay.

    finished:       called after the first answer of each key.
    repeats_one_in: every how manyeth of the requests that aren't sent in copies at once is sent again later.
    attempts_max:   how often a request is sent until it has its answer.
    """

    def __init__(
        self, clients: Clients, finished: Callable[[], None], repeats_one_in: int = 1,
        attempts_max: int = ATTEMPTS_MAX,
    ) -> None:  # fmt: skip
        self.tally = Tally()
        self._clients, self._finished = clients, finished
        self._repeats_one_in, self._attempts_max = repeats_one_in, attempts_max
        self._repeats: asyncio.Queue[tuple[str, bytes, Answer, bool]] = asyncio.Queue(REPEATS_WAITING_MAX)

    @asynccontextmanager
    async def repeating(self) -> AsyncGenerator[None]:
        """While it is open, requests are sent again; it ends when each of them has all its answers."""
        async with asyncio.TaskGroup() as group:
            repeaters = [group.create_task(self._repeat()) for _ in range(REPEATERS)]
            yield
            await self._repeats.join()
            for repeater in repeaters:
                repeater.cancel()

    async def step(
        self, kind: str, command: str, path: str, token: str, key: str, body: dict[str, Any] | None = None
    ) -> Answer:
        """Send one command until it is answered, and see to its copies."""
        request = self._clients.post(path, token, key, b"" if body is None else json.dumps(body).encode())
        self.tally.keys += 1
        lot = zlib.crc32(key.encode())
        at_once = lot % ONE_IN == 0
        answers = await self._settle(key, request, COPIES_AT_ONCE if at_once else 1)
        answer = answers[0]
        for other in answers[1:]:
            self._compare(key, answer, other)
        firsts = sum(_is_first(answer) for answer in answers)
        if firsts > 1:
            self.tally.executed_twice.append(key)
        self._count(kind, command, key, answer)
        if not at_once and lot // ONE_IN % self._repeats_one_in == 0:
            await self._repeats.put((key, request, answer, firsts > 0))
        self._finished()
        return answer

    async def _settle(self, key: str, request: bytes, copies: int) -> list[Answer]:
        """An answer for each copy; those without one are sent again under the same key."""
        held: list[Answer] = []
        for _ in range(self._attempts_max):
            for answer in await self._clients.send(request, copies - len(held)):
                if answer is None:
                    self.tally.answers_lost += 1
                elif answer.status in TRY_AGAIN:
                    self.tally.tried_again[_code(answer)] += 1
                else:
                    held.append(answer)
            if len(held) == copies:
                return held
            await asyncio.sleep(PAUSE_S)
        raise TimeoutError(f"{key} has no answer after {self._attempts_max} attempts")

    async def _repeat(self) -> None:
        """Send requests again that were answered a while ago."""
        while True:
            key, request, first, had_first = await self._repeats.get()
            (again,) = await self._settle(key, request, 1)
            self._compare(key, first, again)
            if had_first and _is_first(again):
                self.tally.executed_twice.append(key)
            self._repeats.task_done()

    def _compare(self, key: str, one: Answer, other: Answer) -> None:
        if _essence(one) != _essence(other):
            self.tally.disagreements.append(f"{key}: {one.essence!r} and {other.essence!r}")

    def _count(self, kind: str, command: str, key: str, answer: Answer) -> None:
        if answer.status >= 500:
            raise RuntimeError(f"{key} was answered with {answer.status}: {answer.body[:500]!r}")
        if answer.status >= 400:
            self.tally.refused[command, _code(answer)] += 1
            return
        record = json.loads(answer.body)
        self.tally.accepted.append(Step(kind, UUID(record["id"]), record["version"], command))


def _is_first(answer: Answer) -> bool:
    """Whether it claims that its request was executed, or decided, just now. Invalid input isn't decided."""
    return "idempotency-replayed" not in answer.headers and answer.status != INPUT_INVALID


def _essence(answer: Answer) -> object:
    """What copies agree in. Invalid input is refused anew each time, under a request id of its own."""
    if answer.status != INPUT_INVALID:
        return answer.essence
    problem: dict[str, Any] = json.loads(answer.body)
    return {name: said for name, said in problem.items() if name not in ("instance", "request_id")}


def _code(answer: Answer) -> str:
    try:
        return str(json.loads(answer.body)["type"]).rpartition("/")[2]
    except (ValueError, KeyError):
        return str(answer.status)
