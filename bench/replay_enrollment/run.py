"""One whole run: a fresh database, the server and its crashes, the replay, the account, the result."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import uvloop

from avow.cli.output import Progress
from bench.replay_enrollment.account import Account, open_database, settle
from bench.replay_enrollment.clients import Clients
from bench.replay_enrollment.expected import end_states
from bench.replay_enrollment.registrations import read_registrations
from bench.replay_enrollment.replay import CLIENTS, DISAGREEMENTS_SHOWN_MAX, Replay, Tally, keys_at_least
from examples.demo.declared import Declared
from examples.demo.home import own_home

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "examples" / "enrollment"
EVERY_ROW = 1
KILLS = 3
FAULTS = ("lost", "missing", "doubled", "oversold", "wrong_ends", "copies_that_disagree", "executed_twice")
"""The figures of a result that are zero when everything adds up."""


@dataclass(frozen=True)
class Run:
    """What came out."""

    result: dict[str, Any]
    holds: bool


def run(data: Path, every: int, kills: int) -> Run:
    """Replay every `every`-th row of the file and settle the account.

    The database is made below `.avow` for this run and removed afterwards. Raises EnvironmentFault where
    no database or server can be started.
    """
    with own_home(ROOT / ".avow", "replay") as home:
        declared = Declared.set_up(TARGET, home, _say)
        try:
            return _run(declared, data, every, kills)
        finally:
            declared.stop()


def _run(declared: Declared, data: Path, every: int, kills: int) -> Run:
    ends = end_states(data, every)
    declared.start()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sent, tally, seconds, killed = runner.run(replay_rows(declared, data, every, kills))
        account, states = runner.run(settle(declared.admin_url, tally, ends))
        database = runner.run(_database_version(declared.admin_url))
    verified, refusals = _verify(declared), _refusals(tally)
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
        "machine": _machine(),
        "versions": {
            "avow": version("avow"),
            "python": platform.python_version(),
            "postgresql": database,
            "commit": _commit(),
        },
    }
    result["examples"] += [text[:500] for text in tally.disagreements[:DISAGREEMENTS_SHOWN_MAX]]
    return Run(result, _holds(account, tally, verified, killed == kills))


def _holds(account: Account, tally: Tally, verified: Mapping[str, Any], killed: bool) -> bool:
    agree = not tally.disagreements and not tally.executed_twice
    return account.adds_up and agree and killed and verified["held"]


async def replay_rows(
    declared: Declared, data: Path, every: int, kills: int
) -> tuple[int, Tally, float, int]:
    """Send everything to a started server: how many requests were sent, what came back, seconds, kills."""
    registrations = read_registrations(data, every)
    total = keys_at_least(registrations)
    crashes = _Crashes(declared, total, kills)
    clients = Clients(declared.url, CLIENTS)
    progress = Progress(sys.stderr, "requests answered", total)

    def finished() -> None:
        progress.advance()
        crashes.advance()

    started = time.monotonic()
    replay = Replay(clients, declared.token, finished)
    with progress:
        sending = asyncio.create_task(replay.run(registrations))
        killing = asyncio.create_task(crashes.run())
        try:
            done, _ = await asyncio.wait({sending, killing}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:  # the killer ends only if the server can't be started again
                task.result()
        finally:
            sending.cancel()
            killing.cancel()
            await asyncio.gather(sending, killing, return_exceptions=True)
            await clients.close()
    return clients.sent, replay.tally, time.monotonic() - started, crashes.done


class _Crashes:
    """Kills the server with -9 and starts it again, at even distances along the way."""

    def __init__(self, declared: Declared, total: int, kills: int) -> None:
        self._declared = declared
        self._at = [total * number // (kills + 1) for number in range(1, kills + 1)]
        self._reached = asyncio.Semaphore(0)
        self._count = 0
        self.done = 0

    def advance(self) -> None:
        """Count one answered request."""
        self._count += 1
        if self._count in self._at:
            self._reached.release()

    async def run(self) -> None:
        """Until cancelled. Sixty-four requests are under way when the server dies."""
        while True:
            await self._reached.acquire()
            await asyncio.to_thread(self._declared.kill)
            await asyncio.to_thread(self._declared.start)
            self.done += 1


def _verify(declared: Declared) -> dict[str, Any]:
    """What `avow verify` says."""
    _say("avow verify")
    said = declared.avow("verify", "--json")
    try:
        found: dict[str, Any] = json.loads(said.stdout)
    except ValueError:
        found = {"note": (said.stdout + said.stderr)[-1000:]}
    return {"held": said.returncode == 0, "exit_code": said.returncode, **found}


def _refusals(tally: Tally) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for (command, code), count in sorted(tally.refused.items()):
        found.setdefault(code, {})[command] = count
    return found


async def _database_version(url: str) -> str:
    connection = await open_database(url)
    try:
        return str(await connection.fetchval("SELECT current_setting('server_version')"))
    finally:
        await connection.close()


def _machine() -> dict[str, object]:
    return {
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "load_1_min": round(os.getloadavg()[0], 1),
    }


def _commit() -> str | None:
    """The revision that ran; None outside a clone."""
    try:
        said = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return said.stdout.strip()


def table(result: Mapping[str, Any]) -> str:
    """What was refused and why, and where the applications ended."""
    lines = ["", "  refused because          of                count", "  " + "-" * 47]
    for code, commands in result["refused_by_command"].items():
        lines += [f"  {code:<24} {command:<16} {count:>6,}" for command, count in commands.items()]
    lines += ["", "  applications that ended as             count", "  " + "-" * 47]
    lines += [f"  {state:<41} {count:>6,}" for state, count in result["states"].items()]
    return "\n".join(lines)


def sentence(done: Run) -> str:
    """The outcome in a few lines."""
    result = done.result
    verified = "held" if result["verify"] else "DID NOT HOLD"
    rate, lost = f"{result['requests_per_second']:,}/s", result["answers_lost"]
    lines = [
        "",
        f"  {result['sent']:,} requests under {result['keys']:,} keys in {result['seconds']:,.0f} s, {rate}",
        f"  {result['kills']} kills, {lost} answers lost and asked for again",
        "  " + ", ".join(f"{name.replace('_', ' ')} {result[name]}" for name in FAULTS),
        f"  verify {verified}; {result['entries']:,} audit entries",
        *(f"    {example}" for example in result["examples"]),
        "  everything adds up" if done.holds else "  IT DOES NOT ADD UP",
    ]
    return "\n".join(lines)


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)
