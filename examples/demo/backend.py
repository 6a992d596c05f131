"""What every attack needs of a backend, and the people who send requests to it.

The two backends of one application have the same HTTP interface; where they differ inside, they say so.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import httpx2

from avow.store.driver import Connection, connect

ANSWER_S_MAX = 60.0
WAIT_S_MAX = 60.0
PAUSE_S = 0.02
CONNECT_S_MAX = 10.0

Send = Callable[[], Awaitable["Answer"]]


class Server(Protocol):
    """A server process on a database, which an attack may kill, hold up and look into.

    rivals_in_database: how many of two requests for one record wait in the database; the others wait in the
    server, before they get there.
    """

    rivals_in_database: int

    @property
    def url(self) -> str: ...
    @property
    def admin_url(self) -> str: ...
    def token(self, subject: str, *roles: str, tenant: str = "main") -> str: ...
    def start(self) -> None: ...
    def kill(self) -> None: ...
    def stop(self) -> None: ...


class AttackError(Exception):
    """An attack could not be carried out; nothing can be said of the backend."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; status 0 when nothing did."""

    status: int
    etag: str | None
    body: bytes

    @property
    def json(self) -> Any:
        """The document."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The problem's code; empty for a success."""
        return "" if self.status < 400 else str(self.json["type"]).rpartition("/")[2]

    @property
    def may_be_sent_again(self) -> bool:
        """Whether there was no answer, or one that says: not now."""
        return self.status in (0, 429, 503) or (self.status == 409 and self.code == "in-progress")


@dataclass(frozen=True, slots=True)
class Person:
    """Sends requests in one person's name; a command gets a fresh key unless it brings one."""

    backend: Server
    token: str

    async def get(self, path: str) -> Answer:
        """Read."""
        return await self._send("GET", path, None, {})

    async def post(
        self, path: str, body: object = None, *, key: str | None = None, if_match: str | None = None
    ) -> Answer:
        """Command."""
        headers = {"Idempotency-Key": key or str(uuid.uuid4())}
        if if_match is not None:
            headers["If-Match"] = if_match
        return await self._send("POST", path, body, headers)

    async def done(self, path: str, body: object = None) -> Any:
        """Command something that must work; the record. Raises AttackError."""
        answer = await self.post(path, body)
        if not 200 <= answer.status < 300:
            raise AttackError(f"POST {path} was answered with {answer.status}")
        return answer.json

    async def _send(self, method: str, path: str, body: object, headers: dict[str, str]) -> Answer:
        sent = {**headers, "Authorization": f"Bearer {self.token}"}
        # No certificates and no proxy: it stays on this machine.
        async with httpx2.AsyncClient(verify=False, trust_env=False, timeout=ANSWER_S_MAX) as client:
            try:
                got = await client.request(method, self.backend.url + path, json=body, headers=sent)
            except httpx2.TransportError:
                return Answer(0, None, b"")
            return Answer(got.status_code, got.headers.get("ETag"), got.content)


def person(backend: Server, subject: str, *roles: str, tenant: str = "main") -> Person:
    """Somebody with these roles."""
    return Person(backend, backend.token(subject, *roles, tenant=tenant))


@asynccontextmanager
async def database_of(backend: Server) -> AsyncGenerator[Connection]:
    """A superuser's connection to the backend's database."""
    connection = await connect(
        backend.admin_url, timeout_s=CONNECT_S_MAX, statement_s=ANSWER_S_MAX, settings={}
    )
    try:
        yield connection
    finally:
        await connection.close()


async def until(condition: Callable[[], Awaitable[object]], what: str, most_s: float = WAIT_S_MAX) -> None:
    """Return when the condition is true. Raises AttackError when it doesn't come true."""
    deadline = time.monotonic() + most_s
    while not await condition():
        if time.monotonic() > deadline:
            raise AttackError(f"waited {most_s:.0f} s in vain until {what}")
        await asyncio.sleep(PAUSE_S)


# For a while already: a wait that is given up soon, to be begun again in another way, doesn't count.
WAITING = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid IN (
    SELECT pid FROM pg_locks WHERE NOT granted AND waitstart < clock_timestamp() - interval '200 ms')
"""


async def until_waiting(watch: Connection, count: int) -> None:
    """Return when so many of the server's statements wait for a lock of ours."""

    async def waiting() -> bool:
        return bool(await watch.fetchval(WAITING) >= count)

    await until(waiting, f"{count} requests are inside the database")


async def sent_again(send: Send) -> tuple[Answer, float]:
    """The answer to a request that is sent again until it has one, and how many seconds that took."""
    started = time.monotonic()
    while True:
        answer = await send()
        if not answer.may_be_sent_again:
            return answer, time.monotonic() - started
        if time.monotonic() - started > WAIT_S_MAX:
            raise AttackError(f"no answer after {WAIT_S_MAX:.0f} s")
        await asyncio.sleep(5 * PAUSE_S)
