"""A result as a Markdown page: ratios first, then what else was measured, then how to read it. Pure."""

# ruff: noqa: E501, ISC004 (a page of text: what is one sentence there stands in one place here)

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

WHAT = {
    "sagas": "sagas of three calls, from the first request to the last record",
    "timers": "timers that are due at one moment, from that moment to the last record",
}
WAITS = {
    "commit_to_call": "on one server that works",
    "commit_to_call_apart": "on a server that leaves the work to one `avow work`",
}
NOTES = (
    "The same job for all: a request under a key starts a saga, which calls one provider three times, each call under a key that stays the same, and records what each was answered. The provider is one process that answers from memory; after each round of sagas it must have been called exactly three times for each.",
    "The pairs are measured in turn with one process of each: a server that does its work itself (Avow, DBOS, Procrastinate), or Restate's server and one handler. Load, provider, contenders and database share the machine's cores. Ratios hold on it; rates are this machine's.",
    "Avow, DBOS and Procrastinate use one PostgreSQL, with fsync, synchronous_commit and full_page_writes on. Restate keeps its log itself, and syncs it as it does by default.",
    "Avow and the FastAPI services verify an RS256 token in each request that starts something; Restate's ingress verifies none. Avow also writes an audit entry for each step and seals it, which nobody else does.",
    "DBOS and Restate resume code half-way, whatever it is; Avow's saga is a machine that was declared. DBOS is bound by Python's lock in one process; more processes would scale it.",
    "Avow's calls go out on HTTP connections of its own. The peers' go out with httpx2, which takes about 0.8 ms of CPU for a call here.",
    "Procrastinate polls every 0.2 s, as Avow does: with its default of 5 s its timers would be slower.",
)  # fmt: skip


def table(result: Mapping[str, Any]) -> str:
    """The whole page."""
    machine, versions, parts = result["machine"], result["versions"], result["parts"]
    settings = result["settings"]
    return "\n".join((
        "# Workflows", "",
        f"{machine['cores']} cores ({machine['processor']}), {machine['memory_mb']:,} MB, {machine['system']}; PostgreSQL"
        f" {versions['postgresql']}, Python {versions['python']}, DBOS {versions['dbos']}, Restate {versions['restate-server']},"
        f" Procrastinate {versions['procrastinate']}, revision {versions['commit']}. {settings['rounds']} rounds of about"
        f" {settings['round_s']} s for each half of a pair, measured alternately. Load average at the end: {machine['load_1_min']};"
        " where that is far above the number of cores, others had the machine too, and times say little.", "",
        "| Ratio | Median | Lowest to highest | Avow, per second | Theirs | What |", "|---|---|---|---|---|---|",
        *_ratios(parts), "",
        "| CPU per saga or timer | Avow | its PostgreSQL | theirs | their PostgreSQL |", "|---|---|---|---|---|",
        *_costs(parts), "", *_waiting(parts), *_idle(parts),
        "## How to read this", "", *(f"- {note}" for note in NOTES),
    ))  # fmt: skip


def _ratios(parts: Mapping[str, Any]) -> Iterator[str]:
    for name, pair in parts.items():
        if "ratio" in pair:
            ratio, ours, theirs = pair["ratio"], pair["our_figure"]["median"], pair["their_figure"]["median"]
            yield (
                f"| `{name}` | **{ratio['median']:.2f}** | {ratio['low']:.2f} to {ratio['high']:.2f}"
                f" | {ours:,.4g} | {theirs:,.4g} | {WHAT[name.partition('_')[0]]} |"
            )
        elif "left_out" in pair:
            yield f"| `{name}` | not measured | | | | {pair['left_out']} |"


def _costs(parts: Mapping[str, Any]) -> Iterator[str]:
    for name, pair in parts.items():
        if "ratio" in pair:
            told = [
                f"{sorted(one[cost] for one in pair[rounds])[len(pair[rounds]) // 2] / 1_000:.2f} ms"
                for rounds in ("our_rounds", "their_rounds")
                for cost in ("python_us", "postgres_us")
            ]
            yield f"| `{name}` | {' | '.join(told)} |"


def _waiting(parts: Mapping[str, Any]) -> Iterator[str]:
    for name, where in WAITS.items():
        if name in parts:
            one = parts[name]
            yield (
                f"From the commit that asks for a call to its arrival at the provider: {one['p50_ms']} ms for half of"
                f" {one['calls']} calls, {one['p99_ms']} ms for 99 of 100, saga after saga {where}."
            )
            yield ""


def _idle(parts: Mapping[str, Any]) -> Iterator[str]:
    if "idle" in parts:
        one = parts["idle"]
        yield (
            f"Idle at {one['finished']:,} finished sagas: {one['percent_of_a_core_each']} % of a core for each of"
            f" {one['workers']} workers, {one['percent_of_a_core_postgres']} % for PostgreSQL."
        )
        yield ""
