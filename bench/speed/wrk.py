"""The load generator: wrk, found or unpacked without any rights, and what it says.

It must never accept a round in which an answer wasn't a success: such a round measures something else.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from avow.errors import EnvironmentFault
from bench.speed.sample import Sample

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("load.lua")
UNPACKED = ROOT / ".avow" / "bench" / "wrk"
PACKAGES = ("wrk", "libluajit-5.1-2", "libluajit-5.1-common")
TIMEOUT_S = 30
GRACE_S = 60
MARK = "figures "


class RoundFailed(Exception):
    """Answers of a round were no successes, or connections broke."""


@dataclass(frozen=True)
class Program:
    """wrk, and where its libraries are when they were unpacked with it."""

    path: str
    libraries: str | None = None

    def environment(self) -> dict[str, str]:
        """The environment that it runs in."""
        return (
            dict(os.environ) if self.libraries is None else {**os.environ, "LD_LIBRARY_PATH": self.libraries}
        )


@cache
def find() -> Program:
    """wrk of this machine, or the one that Debian's package holds, unpacked below `.avow`.

    Raises EnvironmentFault, which says how to install it.
    """
    if path := shutil.which("wrk"):
        return Program(path)
    unpacked = UNPACKED / "usr" / "bin" / "wrk"
    if not unpacked.exists():
        _unpack()
    libraries = sorted((UNPACKED / "usr" / "lib").glob("*-linux-gnu"))
    return Program(str(unpacked), os.pathsep.join(map(str, libraries)))


def _unpack() -> None:
    UNPACKED.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run(
            ["apt-get", "download", "-o", "APT::Sandbox::User=root", *PACKAGES],
            cwd=UNPACKED, capture_output=True, check=True,
        )  # fmt: skip
        for package in sorted(UNPACKED.glob("*.deb")):
            subprocess.run(["dpkg", "-x", package, UNPACKED], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        raise EnvironmentFault(
            "wrk-missing",
            "the load generator wrk isn't installed, and Debian's package of it can't be fetched",
            "Install it: apt-get install wrk; macOS: brew install wrk.",
        ) from None


@dataclass(frozen=True)
class Load:
    """What is sent to one server.

    records: the file with the ids; None: the operation needs none. collection: the path above the ids.
    """

    url: str
    token: str
    records: Path | None
    operation: str = "capture"
    collection: str = "/payments"

    async def run(self, clients: int, seconds: float) -> Sample:
        """Keep `clients` requests under way for a while. Raises RoundFailed."""
        program, address = find(), urlsplit(self.url)
        process = await asyncio.create_subprocess_exec(
            program.path, "-t1", f"-c{clients}", f"-d{math.ceil(seconds)}s", f"--timeout={TIMEOUT_S}s",
            "-s", SCRIPT, f"{address.scheme}://{address.netloc}", "--", self.operation, self.token,
            str(self.records or "-"), secrets.token_hex(8), str(secrets.randbelow(2**31)), self.collection,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=program.environment(),
        )  # fmt: skip
        try:
            async with asyncio.timeout(seconds + GRACE_S):
                said, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return read(said.decode("utf-8", "replace"))


def read(said: str) -> Sample:
    """The figures of a round. Raises RoundFailed unless every answer was a success."""
    lines = [line.removeprefix(MARK) for line in said.splitlines() if line.startswith(MARK)]
    if not lines:
        raise RoundFailed(f"wrk did not finish: {said.strip()[-500:]}")
    figures: dict[str, int] = json.loads(lines[-1])
    if figures["refused"] or figures["broken"] or not figures["commands"]:
        raise RoundFailed(
            f"of {figures['commands']} answers {figures['refused']} were no success,"
            f" and {figures['broken']} connections broke or timed out"
        )
    return Sample(
        commands=figures["commands"],
        seconds=figures["microseconds"] / 1e6,
        p50_ms=figures["p50_us"] / 1e3,
        p99_ms=figures["p99_us"] / 1e3,
    )
