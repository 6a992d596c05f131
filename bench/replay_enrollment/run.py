"""One whole run: a fresh database, the server and its crashes, the replay, the account, the result."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import uvloop

from avow.cli.output import Progress
from bench.replay import report
from bench.replay.clients import Clients
from bench.replay.crashes import Crashes, while_crashing
from bench.replay.report import Run
from bench.replay.root import ROOT
from bench.replay.sending import CLIENTS, DISAGREEMENTS_SHOWN_MAX, Tally
from bench.replay_enrollment.account import Account, settle
from bench.replay_enrollment.expected import end_states
from bench.replay_enrollment.registrations import read_registrations
from bench.replay_enrollment.replay import Replay, keys_at_least
from examples.demo.declared import Declared
from examples.demo.home import own_home

TARGET = ROOT / "examples" / "enrollment"
FAULTS = ("lost", "missing", "doubled", "oversold", "wrong_ends", "copies_that_disagree", "executed_twice")
"""The figures of a result that are zero when everything adds up."""


def run(data: Path, every: int, kills: int) -> Run:
    """Replay every `every`-th row of the file and settle the account.

    The database is made below `.avow` for this run and removed afterwards. Raises EnvironmentFault where
    no database or server can be started.
    """
    with own_home(ROOT / ".avow", "replay") as home:
        declared = Declared.set_up(TARGET, home, report.say)
        try:
            return _run(declared, data, every, kills)
        finally:
            declared.stop()


def _run(declared: Declared, data: Path, every: int, kills: int) -> Run:
    ends = end_states(data, every)
    declared.start()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sent, tally, seconds, killed = runner.run(replay_rows(declared, data, every, kills))
        account, states = runner.run(settle(declared.admin_url, declared.system, tally, ends))
        versions = runner.run(report.versions(declared.admin_url))
    verified, refusals = report.verify(declared), tally.refusals()
    result: dict[str, Any] = {
        "rows": len(ends),
        "sent": sent,
        "keys": tally.keys,
        "accepted": len(tally.accepted),
        "refused": {code: sum(commands.values()) for code, commands in refusals.items()},
        "refused_by_command": refusals,
        "states": dict(sorted(states.items())),
        "states_agree_with_the_file": account.wrong_ends == 0,
        **account.figures(),
        "copies_that_disagree": len(tally.disagreements),
        "executed_twice": len(tally.executed_twice),
        "answers_lost": tally.answers_lost,
        "tried_again": dict(sorted(tally.tried_again.items())),
        "kills": killed,
        "verify": verified["held"],
        "verification": verified,
        "seconds": round(seconds, 1),
        "requests_per_second": round(sent / seconds),
        "machine": report.machine(),
        "versions": versions,
    }
    result["examples"] += [text[:500] for text in tally.disagreements[:DISAGREEMENTS_SHOWN_MAX]]
    return Run(result, _holds(account, tally, verified, killed == kills), _lines(result))


def _holds(account: Account, tally: Tally, verified: Mapping[str, Any], killed: bool) -> bool:
    agree = not tally.disagreements and not tally.executed_twice
    return account.adds_up and agree and killed and verified["held"]


async def replay_rows(
    declared: Declared, data: Path, every: int, kills: int
) -> tuple[int, Tally, float, int]:
    """Send everything to a started server: how many requests were sent, what came back, seconds, kills."""
    registrations = read_registrations(data, every)
    total = keys_at_least(registrations)
    clients = Clients(declared.url, CLIENTS)
    progress = Progress(sys.stderr, "requests answered", total)

    def strike(_: int) -> None:
        """Sixty-four requests are under way when the server dies."""
        declared.kill()
        declared.start()

    crashes = Crashes(total, kills, strike)

    def finished() -> None:
        progress.advance()
        crashes.advance()

    started = time.monotonic()
    replay = Replay(clients, declared.token, finished)
    with progress:
        try:
            await while_crashing(replay.run(registrations), crashes)
        finally:
            await clients.close()
    return clients.sent, replay.tally, time.monotonic() - started, crashes.done


def _lines(result: Mapping[str, Any]) -> list[str]:
    """What was refused and why, where the applications ended, and how it went."""
    return [
        *report.refused_table(result["refused_by_command"]),
        *report.states_table("applications that ended as", result["states"]),
        *report.pace(result),
    ]
