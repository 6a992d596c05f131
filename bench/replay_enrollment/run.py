"""One whole run: a fresh database, the server and its crashes, the replay, the account, the result."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import uvloop

from bench.replay import report
from bench.replay.backend import backend
from bench.replay.clients import Clients
from bench.replay.crashes import Crashes
from bench.replay.report import Run
from bench.replay.root import ROOT
from bench.replay.sending import CLIENTS, Tally
from bench.replay_enrollment.account import settle
from bench.replay_enrollment.expected import end_states
from bench.replay_enrollment.registrations import read_registrations
from bench.replay_enrollment.replay import Replay, keys_at_least
from examples.demo.declared import Declared

TARGET = ROOT / "examples" / "enrollment"
FAULTS = ("lost", "missing", "doubled", "oversold", "wrong_ends", "copies_that_disagree", "executed_twice")
"""The figures of a result that are zero when everything adds up."""


def run(data: Path, every: int, kills: int) -> Run:
    """Replay every `every`-th row of the file and settle the account.

    The database is made below `.avow` for this run and removed afterwards. Raises EnvironmentFault where
    no database or server can be started.
    """
    with backend(TARGET, "replay-enrollment") as declared:
        return _run(declared, data, every, kills)


def _run(declared: Declared, data: Path, every: int, kills: int) -> Run:
    ends = end_states(data, every)
    declared.start()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sent, tally, seconds, killed = runner.run(replay_rows(declared, data, every, kills))
        account, states = runner.run(settle(declared.admin_url, declared.system, tally, ends))
        versions = runner.run(report.versions(declared.admin_url))
    verified = report.verify(declared)
    result: dict[str, Any] = {
        "rows": len(ends),
        **report.refused(tally, "command"),
        "states": dict(sorted(states.items())),
        "states_agree_with_the_file": account.wrong_ends == 0,
        **vars(account),
        **report.sending(tally, sent, seconds),
        "kills": killed,
        **report.how_it_ran(verified, versions),
    }
    return Run(result, killed == kills and report.holds(result, FAULTS), _lines(result))


async def replay_rows(
    declared: Declared, data: Path, every: int, kills: int
) -> tuple[int, Tally, float, int]:
    """Send everything to a started server: how many requests were sent, what came back, seconds, kills."""
    registrations = read_registrations(data, every)
    clients = Clients(declared.url, CLIENTS)

    def strike(_: int) -> None:
        """Sixty-four requests are under way when the server dies."""
        declared.kill()
        declared.start()

    crashes = Crashes("requests answered", keys_at_least(registrations), kills, strike)
    replay = Replay(clients, declared.token, crashes.advance)
    try:
        seconds = await crashes.during(replay.run(registrations))
    finally:
        await clients.close()
    return clients.sent, replay.tally, seconds, crashes.done


def _lines(result: Mapping[str, Any]) -> list[str]:
    """What was refused and why, where the applications ended, and how it went."""
    return [
        *report.refused_table(result["refused_by_command"]),
        *report.states_table("applications that ended as", result["states"]),
        *report.pace(result),
    ]
