"""The declared system as a server process that may be killed, on a database that stays.

It must never use a database that the user has named: everything lives in the folder that it is given.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from avow.api.serving import listen, url_of
from avow.cli.development import Surroundings, set_up
from avow.cli.target import load_target
from avow.errors import EnvironmentFault
from avow.model.system import System
from avow.store.driver import Connection
from examples.demo.backend import AttackError, database_of, until, until_waiting

ROOT = Path(__file__).resolve().parents[2]
END_S_MAX = 15.0


@dataclass
class Declared:
    """One folder's application with its database, its socket and its server process.

    The socket is held here, so that the address outlives a killed process and clients that come
    meanwhile wait for the next one. works: the server does the application's work as well.
    """

    target: Path
    system: System
    surroundings: Surroundings
    listening: socket.socket
    process: subprocess.Popen[bytes] | None = field(default=None)
    works: bool = True
    courses: str = "enrollment.courses"
    enrollments: str = "enrollment.enrollments"
    rivals_in_database: int = 1

    @classmethod
    def set_up(cls, target: Path, home: Path, say: Callable[[str], None], port: int = 0) -> Self:
        """Database, tables and secrets below `home`; the server isn't started yet. Not in an event loop."""
        os.environ.pop("AVOW_DATABASE_URL", None)
        system = load_target(str(target))
        surroundings = set_up(system, home, say)
        return cls(target, system, surroundings, listen("127.0.0.1", port))

    @property
    def url(self) -> str:
        """Where it listens."""
        return url_of(self.listening)

    @property
    def admin_url(self) -> str:
        """The database, as its superuser."""
        return self.surroundings.admin_url

    def token(self, subject: str, *roles: str, tenant: str = "main") -> str:
        """A development token of this server."""
        return self.surroundings.token(subject, frozenset(roles), tenant)

    def start(self) -> None:
        """Start the server; returns when it accepts requests. Raises EnvironmentFault if it doesn't."""
        number = self.listening.fileno()
        idle = [] if self.works else ["development", "idle"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "avow.cli.server_process", str(self.target), str(number), *idle],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[number],
            env=self.surroundings.environment(),
            start_new_session=True,
        )
        assert self.process.stdout is not None
        if self.process.stdout.readline() != b"ready\n":
            raise EnvironmentFault(
                "server-failed", "the declared server did not start", "See the message above."
            )

    def kill(self) -> None:
        """With -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End the server and let go of the database, which stops when nobody else uses it."""
        self._end(signal.SIGTERM)
        self.listening.close()
        if self.surroundings.lease is not None:
            self.surroundings.lease.release()

    def _end(self, number: signal.Signals) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(END_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()

    def avow(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command `avow` in the target's folder on this database, as the one who operates it."""
        return subprocess.run(
            [sys.executable, "-m", "avow.cli", *arguments],
            capture_output=True,
            text=True,
            env=self.operator_environment(),
            cwd=self.target,
            check=False,
        )

    def operator_environment(self) -> Mapping[str, str]:
        """The environment in which `avow` finds this database with all rights."""
        return self.surroundings.environment() | {"AVOW_DATABASE_URL": self.admin_url}

    async def entries(self, database: Connection, record: str, step: str) -> int:
        """How many audit entries say that the record took this step."""
        query = (
            "SELECT count(*) FROM avow.audit WHERE id = $1"
            " AND convert_from(header, 'UTF8')::jsonb ->> 'transition' = $2"
        )
        return int(await database.fetchval(query, record, step))

    async def die_after_the_work(self, send: Callable[[], Awaitable[object]], title: str, key: str) -> None:
        """Work and answer are one statement: the server dies while PostgreSQL is at it, and that ends it."""
        async with database_of(self) as work, database_of(self) as watch:
            worked = "SELECT count(*) FROM enrollment.courses WHERE title = $1"
            async with work.transaction():
                await work.execute("LOCK TABLE enrollment.courses IN SHARE MODE")
                sent = asyncio.ensure_future(send())
                await until_waiting(watch, 1)
                await asyncio.to_thread(self.kill)
            await until(lambda: watch.fetchval(worked, title), "the declared one's work is committed")
        await sent

    async def notices(self, record: str) -> str | None:
        """The first difference that `avow verify` finds; None when it says that all holds."""
        said = await asyncio.to_thread(self.avow, "verify", "--json")
        if said.returncode == 0:
            return None
        if said.returncode != 1:
            raise AttackError(
                f"avow verify ended with {said.returncode}: {(said.stdout + said.stderr)[:300]}"
            )
        findings: list[dict[str, Any]] = json.loads(said.stdout)["findings"]
        mine = [finding for finding in findings if finding["id"] == record]
        return str(mine[0]["field"] or mine[0]["code"]) if mine else None
