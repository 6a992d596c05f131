"""Restate as a running service: its server, from npm, and one handler process beside it."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import urllib.request
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from avow.errors import EnvironmentFault
from bench.speed.service import Service, free_port, python, service
from bench.speed.stage import ROOT

PEER = Path(__file__).parent / "peers" / "restate"
INSTALLED = ROOT / ".avow" / "bench" / "restate"
INSTALL_S_MAX = 300
REGISTER_S_MAX = 30


@dataclass(frozen=True)
class Restate:
    """One that runs. url: where requests go; admin: the port where it is asked about itself."""

    url: str
    admin: int
    processes: tuple[int, ...]


@asynccontextmanager
async def restate(home: Path, application: str, told: Mapping[str, str]) -> AsyncGenerator[Restate]:
    """Run the server and its handler, an ASGI application that is `told` more; each knows of the other.

    Raises EnvironmentFault where it can't be installed or started.
    """
    binary = await asyncio.to_thread(_server)
    ingress, admin, node, handler = (free_port() for _ in range(4))
    environment = {
        "RESTATE_BASE_DIR": str(home / "restate"),
        "RESTATE_NODE_NAME": "bench",
        "RESTATE_BIND_ADDRESS": f"127.0.0.1:{node}",
        "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ingress}",
        "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
        "RESTATE_DISABLE_TELEMETRY": "true",
        "RUST_LOG": "warn",
        "DO_NOT_TRACK": "1",
    }
    command = python(
        "-m", "hypercorn", "--config", str(PEER / "hypercorn.toml"), "--bind", f"127.0.0.1:{handler}",
        application,
    )  # fmt: skip
    async with AsyncExitStack() as stack:

        async def run(name: str, command: list[str], port: int, environment: Mapping[str, str]) -> Service:
            started = service(name, command, port, home / f"{name}.log", environment)
            return await stack.enter_async_context(started)

        handling = await run("restate", command, handler, {"PYTHONPATH": str(ROOT), **told})
        server = await run("restate-server", [binary], ingress, environment)
        await asyncio.to_thread(_register, admin, handling.url)
        yield Restate(server.url, admin, (server.pid, handling.pid))


def _server() -> str:
    """The server's binary, from its npm package. Raises EnvironmentFault without npm or network."""
    pattern = "node_modules/@restatedev/restate-server-*/bin/restate-server"
    if not (found := sorted(INSTALLED.glob(pattern))):
        INSTALLED.mkdir(parents=True, exist_ok=True)
        for file in ("package.json", "package-lock.json"):
            shutil.copy(PEER / file, INSTALLED)
        try:
            subprocess.run(
                ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
                cwd=INSTALLED, capture_output=True, check=True, timeout=INSTALL_S_MAX,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError):
            raise EnvironmentFault(
                "restate-missing", "Restate's server comes from npm, which isn't here or can't install it",
                "Install Node.js with npm, or leave this part out.",
            ) from None  # fmt: skip
        found = sorted(INSTALLED.glob(pattern))
    return str(found[0])


def _register(admin: int, uri: str) -> None:
    """Tell the server where its handler is."""
    asked = urllib.request.Request(
        f"http://127.0.0.1:{admin}/deployments", json.dumps({"uri": uri}).encode(),
        {"Content-Type": "application/json"},
    )  # fmt: skip
    with urllib.request.urlopen(asked, timeout=REGISTER_S_MAX):
        pass
