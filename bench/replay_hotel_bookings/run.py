"""One whole run: a fresh database, a server, two workers and their crashes, the replay, the account."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import uvloop

from avow.cli.output import Progress
from bench.replay import report
from bench.replay.clients import Clients
from bench.replay.crashes import Crashes, Worker, while_crashing
from bench.replay.report import Run
from bench.replay.root import ROOT
from bench.replay.sending import CLIENTS, DISAGREEMENTS_SHOWN_MAX, Tally
from bench.replay_hotel_bookings.account import Account, settle
from bench.replay_hotel_bookings.bookings import read_bookings
from bench.replay_hotel_bookings.expected import expect
from bench.replay_hotel_bookings.lanes import lanes_of
from bench.replay_hotel_bookings.replay import Replay
from examples.demo.declared import Declared
from examples.demo.home import own_home

TARGET = ROOT / "examples" / "booking"
FAULTS = (
    *("lost", "missing", "doubled", "undeclared", "let_twice", "early", "left_waiting", "wrong_ends"),
    *("wrong_refusals", "copies_that_disagree", "executed_twice"),
)
"""The figures of a result that are zero when everything adds up."""
WORKERS = 2


def run(data: Path, every: int, kills: int) -> Run:
    """Replay every `every`-th row of the file and settle the account. kills: of the server, and of a worker.

    The database is made below `.avow` for this run and removed afterwards. Raises EnvironmentFault where
    no database, server or worker can be started.
    """
    with own_home(ROOT / ".avow", "replay-hotel") as home:
        declared = Declared.set_up(TARGET, home, report.say)
        try:
            return _run(declared, data, every, kills)
        finally:
            declared.stop()


def _run(declared: Declared, data: Path, every: int, kills: int) -> Run:
    report.say("what the file demands")
    expected = expect(data, every)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sent, tally, seconds, killed = runner.run(replay_rows(declared, data, every, kills))
        report.say("the account")
        settled = runner.run(settle(declared.admin_url, declared.system, tally, expected))
        versions = runner.run(report.versions(declared.admin_url))
    account, states, stuck = settled
    verified, refusals = report.verify(declared), tally.refusals()
    result: dict[str, Any] = {
        "every": every,
        "cases": len(expected.ends) + expected.refused.total(),
        "done": states["departed"] + states["missed"],
        "compensated": states["cancelled"],
        "stuck": sum(stuck.values()),
        "stuck_by_reason": stuck,
        "refused": {code: sum(commands.values()) for code, commands in refusals.items()},
        "refused_by_command": refusals,
        "ledger_difference_cents": None,
        "states": dict(sorted(states.items())),
        **vars(account),
        "sent": sent,
        "keys": tally.keys,
        "accepted": len(tally.accepted),
        "copies_that_disagree": len(tally.disagreements),
        "executed_twice": len(tally.executed_twice),
        "answers_lost": tally.answers_lost,
        "tried_again": dict(sorted(tally.tried_again.items())),
        "kills": sum(killed.values()),
        "killed": dict(killed),
        "verify": verified["held"],
        "verification": verified,
        "seconds": round(seconds, 1),
        "requests_per_second": round(sent / seconds),
        "machine": report.machine(),
        "versions": versions,
    }
    result["examples"] += [text[:500] for text in tally.disagreements[:DISAGREEMENTS_SHOWN_MAX]]
    complete = killed == Counter(server=kills, worker=kills) and not stuck
    return Run(result, complete and _holds(account, tally, verified), _lines(result))


def _holds(account: Account, tally: Tally, verified: Mapping[str, Any]) -> bool:
    return account.adds_up and not tally.disagreements and not tally.executed_twice and verified["held"]


async def replay_rows(
    declared: Declared, data: Path, every: int, kills: int
) -> tuple[int, Tally, float, Counter[str]]:
    """Send everything: how many requests were sent, what came back, seconds, what was killed how often."""
    rooms = await asyncio.to_thread(lambda: lanes_of(read_bookings(data, every)))
    total = len(rooms) + sum(len(room.steps) for room in rooms)
    arguments = ("-m", "avow.cli", "work", str(declared.target))
    workers = [Worker(arguments, declared.surroundings.environment()) for _ in range(WORKERS)]
    killed = Counter[str]()

    def strike(number: int) -> None:
        """Sixty-four requests are under way."""
        struck = declared if number % 2 == 0 else workers[0]
        struck.kill()
        struck.start()
        killed["server" if struck is declared else "worker"] += 1

    clients, crashes = Clients(declared.url, CLIENTS), Crashes(total, 2 * kills, strike)
    progress = Progress(sys.stderr, "requests answered", total)

    def finished() -> None:
        progress.advance()
        crashes.advance()

    replay = Replay(clients, declared.token, finished)
    try:
        for process in (declared, *workers):
            await asyncio.to_thread(process.start)
        started = time.monotonic()
        with progress:
            await while_crashing(replay.run(rooms), crashes)
    finally:
        await clients.close()
        for worker in workers:
            worker.stop()
    return clients.sent, replay.sender.tally, time.monotonic() - started, killed


def _lines(result: Mapping[str, Any]) -> list[str]:
    """What was refused and why, where the bookings ended, and how it went."""
    return [
        *report.refused_table(result["refused_by_command"]),
        *report.states_table("bookings that ended as", result["states"]),
        *report.pace(result),
    ]
