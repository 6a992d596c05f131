"""One whole run: a fresh database, a server, two workers and their crashes, the replay, the account."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import uvloop

from bench.replay import report
from bench.replay.account import open_database
from bench.replay.backend import backend
from bench.replay.clients import Clients
from bench.replay.crashes import ByTurns, Crashes, at_work, workers_of
from bench.replay.report import RULE, Run
from bench.replay.root import ROOT
from bench.replay.sending import CLIENTS
from bench.replay_bpic2012.account import settle
from bench.replay_bpic2012.expected import Expected, expect
from bench.replay_bpic2012.log import Case, read_cases
from bench.replay_bpic2012.replay import Replay
from examples.demo.declared import Declared

TARGET = ROOT / "bench" / "replay_bpic2012"
FAULTS = (
    *("lost", "missing", "doubled", "undeclared", "undone", "by_one_person", "wrong_ends", "wrong_refusals"),
    *("wrong_tasks", "wrong_four_eyes", "stuck", "copies_that_disagree", "executed_twice"),
)
"""The figures of a result that are zero when everything adds up."""


def run(data: Path, every: int, kills: int) -> Run:
    """Replay every `every`-th case of the log and settle the account. kills: of the server, and of a worker.

    The database is made below `.avow` for this run and removed afterwards. Raises EnvironmentFault where
    no database, server or worker can be started.
    """
    with backend(TARGET, "replay-bpic2012") as declared:
        return _run(declared, data, every, kills)


def _run(declared: Declared, data: Path, every: int, kills: int) -> Run:
    report.say("what the log demands")
    cases, expected = read_cases(data, every), expect(data, every)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        replay, sent, seconds, killed = runner.run(replay_cases(declared, cases, kills))
        report.say("the account")
        account, states, stuck = runner.run(settle(declared.admin_url, declared.system, replay, expected))
        versions = runner.run(report.versions(declared.admin_url))
    verified = report.verify(declared)
    result: dict[str, Any] = {
        "every": every,
        "cases": len(cases),
        "events": sum(len(case.events) for case in cases),
        "done": states["completed"] + states["declined"],
        "compensated": states["cancelled"],
        "stuck": sum(stuck.values()),
        "stuck_by_reason": stuck,
        **_refused(replay, expected),
        "ledger_difference_cents": None,
        "states": dict(sorted(states.items())),
        **vars(account),
        **report.sending(replay.sender.tally, sent, seconds),
        "kills": sum(killed.values()),
        "killed": dict(killed),
        **report.how_it_ran(verified, versions),
    }
    complete = killed == Counter(server=kills, worker=kills)
    return Run(result, complete and report.holds(result, FAULTS), _lines(result))


def _refused(replay: Replay, expected: Expected) -> dict[str, Any]:
    """What was refused by code, by event and state, and in which cases."""
    codes, found = Counter[str](), dict[str, dict[str, int]]()
    for (_, code), count in replay.refused.items():
        codes[code] += count
    for (event, state, code), count in sorted(replay.met.items()):
        found.setdefault(code, {})[f"{event}, {state or 'nothing'}"] = count
    broken = replay.refused_in["four-eyes"]
    return {
        "refused": dict(sorted(codes.items())),
        "refused_by_event": dict(sorted(found.items())),
        "refused_in_cases": {code: len(cases) for code, cases in sorted(replay.refused_in.items())},
        "four_eyes_cases": sorted(broken),
        "wrong_four_eyes": len(broken ^ expected.four_eyes),
    }


async def replay_cases(
    declared: Declared, cases: Sequence[Case], kills: int
) -> tuple[Replay, int, float, Counter[str]]:
    """Send everything: what came of it, how many requests were sent, seconds, what was killed how often."""
    workers, total = workers_of(declared), sum(len(case.events) for case in cases)
    turns = ByTurns(declared, workers)
    crashes = Crashes("events", total, 2 * kills, turns.strike)
    clients, database = Clients(declared.url, CLIENTS), await open_database(declared.admin_url)
    replay = Replay(clients, declared.token, database, crashes.advance)
    try:
        async with at_work(declared, workers):
            seconds = await crashes.during(replay.run(cases))
    finally:
        await clients.close()
        await database.close()
    return replay, clients.sent, seconds, turns.killed


def _lines(result: Mapping[str, Any]) -> list[str]:
    """What was refused and why, where the applications ended, and how it went."""
    told = [
        (f"{event} ({code})", count)
        for code, events in result["refused_by_event"].items()
        for event, count in events.items()
    ]
    width = max((len(label) for label, _ in told), default=0)
    lines = ["", "  refused event, state (because of)", RULE]
    lines += [f"  {label:<{width}} {count:>6,}" for label, count in told]
    return [
        *lines,
        "",
        f"  one resource accepts and approves in {len(result['four_eyes_cases'])} cases",
        *report.states_table("applications that ended as", result["states"]),
        *report.pace(result),
    ]
