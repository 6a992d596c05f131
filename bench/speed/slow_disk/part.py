"""The same pair on a slow disk: there it shows whether commands share their flushes."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from avow.errors import EnvironmentFault
from avow.store.pool import connect
from avow.store.server import binaries
from bench.speed.contender import rate
from bench.speed.limit import limit
from bench.speed.run import CLIENTS, Run, avow_http
from bench.speed.stage import ROOT, stage

SOURCE = Path(__file__).with_name("flush.c")
FLUSH_US = 4_000
RECORDS = 2_000
CLIENTS_TRIED = (8, 64)
FOLDER = ROOT / ".avow" / "bench" / "slow_disk"
PROGRAMS = ("postgres", "initdb", "pgbench")


async def slow_disk(run: Run) -> dict[str, dict[str, Any]]:
    """Commands over HTTP against pgbench, both on a cluster whose flushes are delayed; into the details."""
    try:
        shim = _compiled()
    except EnvironmentFault as fault:
        run.details["slow_disk"] = {"skipped": fault.detail}
        return {}
    with _programs(shim):
        async with stage(records=RECORDS) as made, limit(made) as lean:
            admin = await connect(made.admin_url())
            slow = Run(made, run.issuer, admin, lean, run.pace)
            _demand_slowness((await lean.run("function", 1, run.pace.warm_up_s)).mean_ms or 0.0)
            rates = {
                clients: (await lean.run("function", clients, run.pace.warm_up_s)).rate
                for clients in CLIENTS_TRIED
            }
            slow.best = ("function", max(rates, key=lambda clients: rates[clients]))
            async with avow_http(slow) as server:
                pair = await slow.pair(server.contender(CLIENTS), slow.pgbench())
            await admin.close()
    run.details["slow_disk"] = {"added_to_each_flush_us": FLUSH_US, **pair.described(rate)}
    return {}


def _demand_slowness(mean_ms: float) -> None:
    """One client waits for each of its flushes. Raises EnvironmentFault where it waited for less."""
    if mean_ms < FLUSH_US / 1_000:
        detail = f"the flushes weren't delayed: one client's command took {mean_ms:.2f} ms"
        raise EnvironmentFault("disk-not-slow", detail, "Leave this part out.")


def _compiled() -> Path:
    """The shim as a library. Raises EnvironmentFault where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise EnvironmentFault("compiler-missing", "no C compiler is installed", "Install gcc.")
    FOLDER.mkdir(parents=True, exist_ok=True)
    made = FOLDER / "flush.so"
    try:
        subprocess.run(
            [compiler, "-O2", "-shared", "-fPIC", "-o", made, SOURCE, "-ldl"], check=True, capture_output=True
        )
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode("utf-8", "replace")[-300:]
        raise EnvironmentFault("compiler-failed", f"the shim can't be compiled: {said}", "Mend it.") from None
    return made


@contextmanager
def _programs(shim: Path) -> Generator[None]:
    """PostgreSQL's programs, found by everybody in this block, with the shim preloaded into the server."""
    real, before = binaries.find(), os.environ.get("AVOW_PG_BIN")
    for name in PROGRAMS:
        preload = f"LD_PRELOAD={shim} SLOW_FLUSH_US={FLUSH_US} " if name == "postgres" else ""
        script = FOLDER / name
        script.write_text(f'#!/bin/sh\nexec env {preload}{real.program(name)} "$@"\n')
        script.chmod(0o755)
    os.environ["AVOW_PG_BIN"] = str(FOLDER)
    try:
        yield
    finally:
        os.environ.pop("AVOW_PG_BIN")
        if before is not None:
            os.environ["AVOW_PG_BIN"] = before
