"""One whole run: a fresh database, two workers and their crashes, the replay, the account."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import uvloop

from avow.api.app import problem_body
from avow.cli.output import Progress
from avow.engine.execute import Engine
from avow.store.pool import Pool
from bench.replay import report
from bench.replay.account import open_database
from bench.replay.backend import backend
from bench.replay.crashes import WORKERS, Worker
from bench.replay.report import Run
from bench.replay.root import ROOT
from bench.replay_receipt.account import settle
from bench.replay_receipt.drive import Drive
from bench.replay_receipt.expected import expect
from bench.replay_receipt.log import Case, read_cases
from bench.replay_receipt.outages import Outage, plan
from bench.replay_receipt.system import app
from examples.demo.declared import Declared

TARGET = ROOT / "bench" / "replay_receipt"
FAULTS = (
    *("lost", "missing", "doubled", "undeclared", "early", "late", "not_come", "came_twice"),
    *("came_unasked", "wrong_ends", "wrong_refusals", "copies_that_disagree", "executed_twice"),
)
"""The figures of a result that are zero when everything adds up."""
OUTAGES = 4


def run(data: Path, every: int, outages: int) -> Run:
    """Replay every `every`-th case of the log and settle the account, with so many outages.

    The database is made below `.avow` for this run and removed afterwards. Raises EnvironmentFault where
    no database or worker can be started.
    """
    with backend(TARGET, "replay-receipt") as declared:
        return _run(declared, data, every, outages)


def _run(declared: Declared, data: Path, every: int, count: int) -> Run:
    cases = read_cases(data, every)
    outages = plan(cases, count)
    expected = expect(cases, outages)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        drive, seconds = runner.run(replay_cases(declared, cases, outages))
        account, states, stuck = runner.run(settle(declared.admin_url, declared.system, drive, expected))
        versions = runner.run(report.versions(declared.admin_url))
    verified, tally = report.verify(declared), drive.tally
    result: dict[str, Any] = {
        "every": every,
        "cases": len(cases),
        "activities": sum(len(case.activities) for case in cases),
        "done": states["closed"],
        "compensated": None,
        "stuck": sum(stuck.values()),
        "stuck_by_reason": stuck,
        **report.refused(tally, "activity"),
        "ledger_difference_cents": None,
        "states": dict(sorted(states.items())),
        **vars(account),
        "keys": tally.keys,
        "accepted": len(tally.accepted),
        "copies_that_disagree": len(tally.disagreements),
        "executed_twice": len(tally.executed_twice),
        "outages": count,
        "kills": drive.kills,
        "left_behind_by_killed_workers": drive.left_behind,
        "leases_waited_for": drive.leases,
        "seconds": round(seconds, 1),
        **report.how_it_ran(verified, versions),
    }
    return Run(result, not stuck and report.holds(result, FAULTS), _lines(result))


async def replay_cases(declared: Declared, cases: list[Case], outages: list[Outage]) -> tuple[Drive, float]:
    """Give everything: what came of it, and how many seconds it took."""
    environment = declared.surroundings.environment()
    workers = [Worker(("-m", "bench.replay_receipt.worker"), environment) for _ in range(WORKERS)]
    pool, admin = Pool(declared.surroundings.application_url), await open_database(declared.admin_url)
    await admin.execute("SET synchronous_commit = off")  # it sets the clock, and nothing else
    moments = sum(len(case.activities) + 2 + (case.closing is not None) for case in cases)
    progress = Progress(sys.stderr, "moments of the log", moments + 2 * len(outages))
    drive = Drive(Engine(app, pool, problem_body), admin, workers, progress.advance)
    started = time.monotonic()
    try:
        for worker in workers:
            await asyncio.to_thread(worker.start)
        with progress:
            await drive.run(cases, outages)
    finally:
        for worker in workers:
            worker.stop()
        await admin.close()
        await pool.close()
    return drive, time.monotonic() - started


def _lines(result: Mapping[str, Any]) -> list[str]:
    """What was refused and why, where the permits ended, and how it went."""
    return [
        *report.refused_table(result["refused_by_activity"]),
        *report.states_table("permits that ended as", result["states"]),
        "",
        f"  {result['keys']:,} commands and {result['deadlines']:,} deadlines in {result['seconds']:,.0f} s",
        f"  {result['kills']} kills; {result['held_up']} deadlines fell due while no worker was there,",
        f"  {result['after_a_lease']} of them came when a killed worker's lease had ended",
    ]
