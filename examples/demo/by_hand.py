"""A hand-written backend as a server process that may be killed, on a database that stays."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from avow.errors import EnvironmentFault
from examples.demo.declared import ROOT
from examples.twins.service.tokens import mint

LOCK_S = 5
"""Shorter than a twin's own 30 s, so that nobody has to wait; no request or call here takes that long."""
TOKEN_S = 24 * 3600
LOG_CHARACTERS_SHOWN = 2_000


class ByHand:
    """One of `examples/twins`, as its README says how to start it. name: of its folder.

    log: the file that takes what it says, which is no part of a table. settings: more of its environment.
    """

    name: ClassVar[str]
    rivals_in_database = 2

    def __init__(self, admin_url: str, log: Path, settings: Mapping[str, str] | None = None) -> None:
        self._admin_url, self._url, self._log = admin_url, "", log
        self._settings = dict(settings or {})
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
            "TWIN_KEY_LOCK_S": str(LOCK_S),
            **self._settings,
        }
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "examples.demo.twin_process", self.name, "--port", "0"],
                cwd=ROOT,
                env=os.environ | settings,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise EnvironmentFault(
                "server-failed",
                "the hand-written server did not start",
                self._log.read_text()[-LOG_CHARACTERS_SHOWN:],
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
