"""The declared system as a server process that may be killed, on a database that stays.

It must never use a database that the user has named: everything lives in the folder that it is given.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from avow.api.serving import listen, url_of
from avow.cli.development import Surroundings, set_up
from avow.cli.target import load_target
from avow.errors import EnvironmentFault
from avow.model.system import System

ROOT = Path(__file__).resolve().parents[2]
END_S_MAX = 15.0


@dataclass
class Declared:
    """One folder's application with its database, its socket and its server process.

    The socket is held here, so that the address outlives a killed process and clients that come
    meanwhile wait for the next one. settings: more of the server's environment.
    """

    target: Path
    system: System
    surroundings: Surroundings
    listening: socket.socket
    process: subprocess.Popen[bytes] | None = None
    settings: dict[str, str] = field(default_factory=dict[str, str])
    rivals_in_database: int = 1

    @classmethod
    def set_up(cls, target: Path, home: Path, say: Callable[[str], None], port: int = 0) -> Self:
        """Database, tables and secrets below `home`; the server isn't started yet. Not in an event loop."""
        os.environ.pop("AVOW_DATABASE_URL", None)
        system = load_target(str(target))
        surroundings = set_up(system, home, say)
        made = cls(target, system, surroundings, listen("127.0.0.1", port))
        made.settings["AVOW_LOG_KEY"] = str(home / f"{system.name}.log.key")
        return made

    @property
    def log_key(self) -> Path:
        """Where the key of its log lies."""
        return Path(self.settings["AVOW_LOG_KEY"])

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
        self.process = subprocess.Popen(
            [sys.executable, "-m", "avow.cli.server_process", str(self.target), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[number],
            env=self.surroundings.environment() | self.settings,
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

    def end(self) -> None:
        """End the server; the database stays."""
        self._end(signal.SIGTERM)

    def stop(self) -> None:
        """End the server and let go of the database, which stops when nobody else uses it."""
        self.end()
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
        return self.surroundings.environment() | self.settings | {"AVOW_DATABASE_URL": self.admin_url}
