"""Commands in this process, as a server gives them: payments that are authorized and captured in parts."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from avow.engine.execute import Engine, Request
from avow.engine.identifier import new_id
from avow.model.actor import Actor
from avow.model.values import Subject
from bench.speed.system import app

CLERK: Final = Actor(Subject("clerk-1"), "main", frozenset({"clerk"}), "token:1")
CAPTURES: Final = 9
"""After so many captures a client authorizes another payment: ten entries a record."""
AMOUNT: Final = 1_000_000


@dataclass(frozen=True)
class Load:
    """What was done: commands, in which time."""

    commands: int
    seconds: float

    @property
    def per_s(self) -> float:
        """Commands a second."""
        return self.commands / self.seconds


class Client:
    """One after the other, commands on a payment of its own."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._payment, self._captures = engine, UUID(int=0), CAPTURES
        self.done = 0

    async def next(self) -> None:
        """One command, which must be accepted."""
        if self._captures == CAPTURES:
            self._payment = await self._command("authorize", None, {"amount": AMOUNT})
            self._captures = 0
        else:
            await self._command("capture", self._payment, {"amount": 1})
            self._captures += 1
        self.done += 1

    async def _command(self, command: str, record: UUID | None, given: Mapping[str, Any]) -> UUID:
        fingerprint = hashlib.sha256(repr((command, record, given, self.done)).encode()).digest()
        request = Request("Payment", command, record, given, CLERK, str(new_id()), fingerprint, "bench")
        reply = await self._engine.execute(request)
        if reply.status >= 300:
            raise ValueError(f"{command} was answered with {reply.status}: {reply.body!r}")
        return UUID(json.loads(reply.body)["id"])


async def as_many_as_can_be(engine: Engine, clients: int, seconds: float) -> Load:
    """Each client gives its next command when the one before is answered."""
    started = time.monotonic()
    until = started + seconds

    async def work(client: Client) -> None:
        while time.monotonic() < until:
            await client.next()

    working = [Client(engine) for _ in range(clients)]
    await asyncio.gather(*map(work, working))
    return Load(sum(client.done for client in working), time.monotonic() - started)


async def at_a_rate(engine: Engine, clients: int, per_s: float, seconds: float) -> Load:
    """So many commands a second, evenly, as long as the clients can follow."""
    started = time.monotonic()
    every_s = clients / per_s

    async def work(place: int, client: Client) -> None:
        due = started + every_s * place / clients
        while due < started + seconds:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await client.next()
            due += every_s

    working = [Client(engine) for _ in range(clients)]
    await asyncio.gather(*(work(place, client) for place, client in enumerate(working)))
    return Load(sum(client.done for client in working), time.monotonic() - started)


def engine_on(pool: Any) -> Engine:
    """An engine as a server has one."""
    return Engine(app, pool, lambda problem, _: problem.code.encode())
