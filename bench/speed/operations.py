"""Every operation over HTTP by itself: create, capture, read, list; under few and many clients."""

from __future__ import annotations

import asyncio
import subprocess
from typing import Any

from bench.speed.contender import Contender
from bench.speed.run import CLIENTS, READING, AvowHttp, Run, avow_http
from bench.speed.service import python

CLIENT_COUNTS = (1, 8, 64, 256)
WRITING = ("create",)


async def operations(run: Run) -> dict[str, dict[str, Any]]:
    """Rates, times and costs; no ratio, because nobody else is measured."""
    found = dict[str, dict[str, Any]]()
    async with avow_http(run) as server:
        for clients in CLIENT_COUNTS:
            await _measure(run, server.contender(clients), found)
        for operation in (*WRITING, *READING):
            await _measure(run, server.contender(CLIENTS, operation), found)
        found["right after a checkpoint"] = await _after_checkpoint(run, server)
    if await asyncio.to_thread(several_processes):
        async with avow_http(run, workers=2) as server:
            measured = server.contender(CLIENTS)
            await measured.run(run.pace.warm_up_s)
            found["two server processes"] = (await measured.run(run.pace.seconds)).described()
    run.details["operations"] = found
    return {}


def several_processes() -> bool:
    """Whether this Avow can serve with more than one process."""
    said = subprocess.run(
        python("-m", "avow.cli", "serve", "--help"), capture_output=True, text=True, check=False
    )
    return "--workers" in said.stdout


async def _measure(run: Run, measured: Contender, found: dict[str, dict[str, Any]]) -> None:
    await measured.run(run.pace.warm_up_s)
    found[measured.name] = (await measured.run(run.pace.seconds)).described()


async def _after_checkpoint(run: Run, server: AvowHttp) -> dict[str, Any]:
    """The first change of each page after a checkpoint writes the whole page to the log."""
    measured = server.contender(CLIENTS)
    await run.admin.execute("CHECKPOINT")
    return (await measured.run(run.pace.seconds)).described()
