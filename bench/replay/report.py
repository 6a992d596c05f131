"""What a result says besides its own figures: the machine, the versions, what `avow verify` found."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from bench.replay.account import open_database
from bench.replay.sending import DISAGREEMENTS_SHOWN_MAX, Tally
from bench.revision import revision
from examples.demo.declared import Declared

RULE = "  " + "-" * 57


@dataclass(frozen=True)
class Run:
    """What came out. result: for the file; lines: for people, below the tables."""

    result: dict[str, Any]
    holds: bool
    lines: Sequence[str]


def verify(declared: Declared) -> dict[str, Any]:
    """What `avow verify` says."""
    say("avow verify")
    said = declared.avow("verify", "--json")
    try:
        found: dict[str, Any] = json.loads(said.stdout)
    except ValueError:
        found = {"note": (said.stdout + said.stderr)[-1000:]}
    return {"held": said.returncode == 0, "exit_code": said.returncode, **found}


def machine() -> dict[str, object]:
    """What it ran on, and how busy that was."""
    return {
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "load_1_min": round(os.getloadavg()[0], 1),
    }


def how_it_ran(verified: Mapping[str, Any], versions: Mapping[str, Any]) -> dict[str, Any]:
    """What every result ends with: what `avow verify` said, on which machine, by which versions."""
    return {"verify": verified["held"], "verification": verified, "machine": machine(), "versions": versions}


async def versions(admin_url: str) -> dict[str, str | None]:
    """Which product, Python and PostgreSQL ran."""
    connection = await open_database(admin_url)
    try:
        database = str(await connection.fetchval("SELECT current_setting('server_version')"))
    finally:
        await connection.close()
    return {
        "avow": version("avow"),
        "python": platform.python_version(),
        "postgresql": database,
        "commit": revision(),
    }


def sending(tally: Tally, sent: int, seconds: float) -> dict[str, Any]:
    """What was sent over HTTP, what came back, and how fast."""
    return {
        "keys": tally.keys,
        "sent": sent,
        "accepted": len(tally.accepted),
        "copies_that_disagree": len(tally.disagreements),
        "executed_twice": len(tally.executed_twice),
        "disagreements": [text[:500] for text in tally.disagreements[:DISAGREEMENTS_SHOWN_MAX]],
        "answers_lost": tally.answers_lost,
        "tried_again": dict(sorted(tally.tried_again.items())),
        "seconds": round(seconds, 1),
        "requests_per_second": round(sent / seconds),
    }


def refused(tally: Tally, by: str) -> dict[str, Any]:
    """Refusals by code, and by what was refused."""
    refusals = tally.refusals()
    return {
        "refused": {code: sum(named.values()) for code, named in refusals.items()},
        f"refused_by_{by}": refusals,
    }


def refused_table(refusals: Mapping[str, Mapping[str, int]]) -> list[str]:
    """What was refused, and why."""
    lines = ["", "  refused because          of                          count", RULE]
    for code, commands in refusals.items():
        lines += [f"  {code:<24} {command:<26} {count:>6,}" for command, count in commands.items()]
    return lines


def states_table(title: str, states: Mapping[str, int]) -> list[str]:
    """Where the cases ended."""
    return ["", f"  {title:<50}  count", RULE, *(f"  {s:<51} {count:>6,}" for s, count in states.items())]


def pace(result: Mapping[str, Any]) -> list[str]:
    """How much was sent, how fast, and through what."""
    rate, lost = f"{result['requests_per_second']:,}/s", result["answers_lost"]
    return [
        "",
        f"  {result['sent']:,} requests under {result['keys']:,} keys in {result['seconds']:,.0f} s, {rate}",
        f"  {result['kills']} kills, {lost} answers lost and asked for again",
    ]


def holds(result: Mapping[str, Any], faults: Sequence[str]) -> bool:
    """Whether everything adds up, and `avow verify` says so, too. faults: as of `sentence`."""
    return bool(result["verify"]) and not any(result[fault] for fault in faults)


def sentence(run: Run, faults: Sequence[str]) -> str:
    """The outcome in a few lines. faults: the figures that are zero when everything adds up."""
    verified = "held" if run.result["verify"] else "DID NOT HOLD"
    lines = [
        *run.lines,
        "  " + ", ".join(f"{name.replace('_', ' ')} {run.result[name]}" for name in faults),
        f"  verify {verified}; {run.result['entries']:,} audit entries",
        *(f"    {example}" for example in run.result["examples"] + run.result.get("disagreements", [])),
        "  everything adds up" if run.holds else "  IT DOES NOT ADD UP",
    ]
    return "\n".join(lines)


def say(text: str) -> None:
    """Tell people how far it is."""
    print(f"  {text}", file=sys.stderr, flush=True)
