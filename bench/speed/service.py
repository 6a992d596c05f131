"""A server process behind HTTP on loopback: started, waited for, measured, ended."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from avow.errors import EnvironmentFault

READY_S_MAX = 60.0
END_S_MAX = 15.0
POLL_S = 0.05


@dataclass(frozen=True)
class Service:
    """One that accepts connections. `pid`: the process below which everything of it runs."""

    name: str
    url: str
    pid: int
    log: Path


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def service(
    name: str, command: Sequence[str], port: int, log: Path, environment: Mapping[str, str] | None = None
) -> AsyncGenerator[Service]:
    """Run a command until the end of the block. Raises EnvironmentFault if it doesn't listen on `port`."""
    with log.open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,
            env={**os.environ, **(environment or {})},
        )  # fmt: skip
    try:
        if not await _listens(process, port):
            end = await asyncio.to_thread(log.read_text, "utf-8", "replace")
            detail = f"{name} did not start: {end[-2000:]}"
            raise EnvironmentFault("server-failed", detail, "Correct what it says.")
        yield Service(name, f"http://127.0.0.1:{port}", process.pid, log)
    finally:
        await _end(process)


async def _listens(process: asyncio.subprocess.Process, port: int) -> bool:
    deadline = asyncio.get_running_loop().time() + READY_S_MAX
    while process.returncode is None and asyncio.get_running_loop().time() < deadline:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(POLL_S)
        else:
            writer.close()
            return True
    return False


async def _end(process: asyncio.subprocess.Process) -> None:
    """The whole session, gently and then not."""
    if process.returncode is None:
        process.terminate()
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), END_S_MAX)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def python(*arguments: str) -> list[str]:
    """A command of this environment's Python."""
    return [sys.executable, *arguments]
