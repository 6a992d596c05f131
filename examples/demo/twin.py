"""The hand-written backend as a server process that may be killed, on a database that stays."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Awaitable, Callable

from avow.errors import EnvironmentFault
from avow.store.driver import Connection
from examples.demo.backend import database_of, until
from examples.demo.declared import ROOT
from examples.twins.enrollment.tokens import mint

KEY_LOCK_S = 5
"""Shorter than the twin's own 30 s, so that nobody has to wait; no request here takes that long."""
TOKEN_S = 24 * 3600


class Twin:
    """`examples/twins/enrollment`, as its README says how to start it."""

    courses, enrollments = "courses", "enrollments"
    rivals_in_database = 2

    def __init__(self, admin_url: str) -> None:
        self._admin_url, self._url = admin_url, ""
        self._secret = secrets.token_hex(32)
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """Where it listens; another place after each start."""
        return self._url

    @property
    def admin_url(self) -> str:
        """The database, as its superuser."""
        return self._admin_url

    def token(self, subject: str, *roles: str, tenant: str = "main") -> str:
        """A token of this server."""
        return mint(self._secret, subject, tenant, list(roles), TOKEN_S)

    def start(self) -> None:
        """Start the server; returns when it accepts requests. Raises EnvironmentFault if it doesn't."""
        settings = {
            "TWIN_DATABASE_URL": self._admin_url,
            "TWIN_SECRET": self._secret,
            "TWIN_KEY_LOCK_S": str(KEY_LOCK_S),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "examples.demo.twin_process", "--port", "0"],
            cwd=ROOT,
            env=os.environ | settings,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise EnvironmentFault(
                "server-failed", "the hand-written server did not start", "See the message above."
            )
        self._url = json.loads(line)["url"]

    def kill(self) -> None:
        """With -9."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()

    def stop(self) -> None:
        """End the server; it holds nothing that a kill could harm."""
        self.kill()

    async def entries(self, database: Connection, record: str, step: str) -> int:
        """How many audit entries say that the record took this step."""
        query = "SELECT count(*) FROM audit_entries WHERE record = $1 AND action = $2"
        return int(await database.fetchval(query, record, step))

    async def die_after_the_work(self, send: Callable[[], Awaitable[object]], title: str, key: str) -> None:
        """Two locks stop the server at its own seams: before its work, and before it stores the answer."""
        async with database_of(self) as work, database_of(self) as answer, database_of(self) as watch:
            claimed = "SELECT count(*) FROM idempotency_keys WHERE key = $1"
            worked = "SELECT count(*) FROM courses WHERE title = $1"
            async with answer.transaction():
                async with work.transaction():
                    await work.execute("LOCK TABLE courses IN SHARE MODE")
                    sent = asyncio.ensure_future(send())
                    await until(lambda: watch.fetchval(claimed, key), "the twin has noted the key")
                    await answer.execute("SELECT FROM idempotency_keys WHERE key = $1 FOR UPDATE", key)
                await until(lambda: watch.fetchval(worked, title), "the twin's work is committed")
                await asyncio.to_thread(self.kill)
        await sent

    async def notices(self, record: str) -> str | None:
        """Nothing: it has no command and no job that compares its rows with anything."""
        return None
