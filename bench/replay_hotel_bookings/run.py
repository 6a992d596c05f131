"""One whole run: a fresh database, a server, two workers and their crashes, the replay, the account."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import uvloop

from bench.replay import report
from bench.replay.backend import backend
from bench.replay.clients import Clients
from bench.replay.crashes import ByTurns, Crashes, at_work, workers_of
from bench.replay.report import Run
from bench.replay.root import ROOT
from bench.replay.sending import CLIENTS, Tally
from bench.replay_hotel_bookings.account import settle
from bench.replay_hotel_bookings.bookings import read_bookings
from bench.replay_hotel_bookings.expected import expect
from bench.replay_hotel_bookings.lanes import lanes_of
from bench.replay_hotel_bookings.replay import Replay
from examples.demo.declared import Declared

TARGET = ROOT / "examples" / "booking"
FAULTS = (
    *("lost", "missing", "doubled", "undeclared", "let_twice", "early", "left_waiting", "wrong_ends"),
    *("wrong_refusals", "copies_that_disagree", "executed_twice"),
)
"""The figures of a result that are zero when everything adds up."""


def run(data: Path, every: int, kills: int) -> Run:
    """Replay every `every`-th row of the file and settle the account. kills: of the server, and of a worker.

    The database is made below `.avow` for this run and removed afterwards. Raises EnvironmentFault where
    no database, server or worker can be started.
    """
    with backend(TARGET, "replay-hotel-bookings") as declared:
        return _run(declared, data, every, kills)


def _run(declared: Declared, data: Path, every: int, kills: int) -> Run:
    report.say("what the file demands")
    expected = expect(data, every)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sent, tally, seconds, killed = runner.run(replay_rows(declared, data, every, kills))
        report.say("the account")
        settled = runner.run(settle(declared.admin_url, declared.system, tally, expected))
        versions = runner.run(report.versions(declared.admin_url))
    account, states, stuck = settled
    verified = report.verify(declared)
    result: dict[str, Any] = {
        "every": every,
        "cases": len(expected.ends) + expected.refused.total(),
        "done": states["departed"] + states["missed"],
        "compensated": states["cancelled"],
        "stuck": sum(stuck.values()),
        "stuck_by_reason": stuck,
        **report.refused(tally, "command"),
        "ledger_difference_cents": None,
        "states": dict(sorted(states.items())),
        **vars(account),
        **report.sending(tally, sent, seconds),
        "kills": sum(killed.values()),
        "killed": dict(killed),
        **report.how_it_ran(verified, versions),
    }
    complete = killed == Counter(server=kills, worker=kills) and not stuck
    return Run(result, complete and report.holds(result, FAULTS), _lines(result))


async def replay_rows(
    declared: Declared, data: Path, every: int, kills: int
) -> tuple[int, Tally, float, Counter[str]]:
    """Send everything: how many requests were sent, what came back, seconds, what was killed how often."""
    rooms = await asyncio.to_thread(lambda: lanes_of(read_bookings(data, every)))
    total = len(rooms) + sum(len(room.steps) for room in rooms)
    workers = workers_of(declared)
    turns, clients = ByTurns(declared, workers), Clients(declared.url, CLIENTS)
    crashes = Crashes("requests answered", total, 2 * kills, turns.strike)
    replay = Replay(clients, declared.token, crashes.advance)
    try:
        async with at_work(declared, workers):
            seconds = await crashes.during(replay.run(rooms))
    finally:
        await clients.close()
    return clients.sent, replay.sender.tally, seconds, turns.killed


def _lines(result: Mapping[str, Any]) -> list[str]:
    """What was refused and why, where the bookings ended, and how it went."""
    return [
        *report.refused_table(result["refused_by_command"]),
        *report.states_table("bookings that ended as", result["states"]),
        *report.pace(result),
    ]
