"""A result as a Markdown page: ratios first, then costs, then everything else. Pure."""

# ruff: noqa: E501, ISC004 (a page of text: what is one sentence there stands in one place here)

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

RATIOS: Mapping[str, str] = {
    "http_vs_pgbench": "commands over HTTP / pgbench with the leanest SQL, one command per commit, at its best",
    "http_vs_fastapi_asyncpg": "commands over HTTP / the same job by FastAPI and bare asyncpg",
    "http_vs_fastapi_sqlalchemy": "commands over HTTP / the same job by FastAPI and SQLAlchemy 2 async",
    "http_vs_restate": "commands over HTTP / Restate, a virtual object and an ingress key",
    "http_vs_dbos": "commands over HTTP / DBOS, a workflow with one transaction behind FastAPI",
    "engine_vs_pgbench": "commands in process / pgbench, as above",
    "p50_vs_raw_call": "median time of one client over HTTP / of the bare driver's call of the lean SQL (less is better)",
    "hot_set": "commands in process on 200 records, transactions shared / each in one of its own",
    "growth_throughput": "commands over HTTP after a long history / after hardly any",
    "growth_p99": "their 99th percentile, likewise (less is better)",
}
PUBLISHED = (
    "DBOS: 43,000 workflows a second on one PostgreSQL with 96 vCPUs and 120,000 provisioned IOPS, clients on"
    " other machines (https://www.dbos.dev/blog/benchmarking-workflow-execution-scalability-on-postgres).",
    "Restate: its makers publish figures for replicated clusters, in"
    " https://restate.dev/blog/building-a-modern-durable-execution-engine-from-first-principles/.",
    "FastAPI, asyncpg, SQLAlchemy: their makers publish no figure for a job like this one.",
)
NOTES = (
    "Load generator, server and database share the machine's cores. Ratios hold on it; rates are this machine's.",
    "The limit and the peers over PostgreSQL also write a queue row. Avow's command queues nothing here; against the"
    " limit without that row the ratio is given below.",
    "pgbench authenticates nobody, decides nothing and renders no answer. Its latency is a mean.",
    "Avow and the FastAPI services verify an RS256 token in each request. Restate's ingress verifies none, and"
    " keeps no audit log and no outbox: it does less.",
    "DBOS and Restate also resume code that was interrupted half-way, which nothing else here is asked to do. DBOS is"
    " bound by Python's lock in one process; more processes would scale it.",
    "With so many records, clients and seconds the data fits into memory.",
)


def table(result: Mapping[str, Any]) -> str:
    """The whole page."""
    machine, versions = result["machine"], result["versions"]
    lines = [
        "# Speed", "",
        f"{machine['cores']} cores ({machine['processor']}), {machine['memory_mb']:,} MB, {machine['system']}; PostgreSQL"
        f" {versions['postgresql']}, Python {versions['python']} ({machine['interpreter_us']:.0f} us for a thousand"
        f" additions), revision {versions['commit']}."
        f" {result['settings']['rounds']} rounds of {result['settings']['round_s']} s for each half of a pair,"
        " measured alternately. fsync, synchronous_commit and full_page_writes are on, checked before anything.", "",
        "| Ratio | Median | Lowest to highest | Ours | Theirs | What |", "|---|---|---|---|---|---|",
        *_ratios(result), "",
        *_costs(result), "", *_operations(result["details"]), *_limit(result["details"]), *_growth(result["details"]),
        *_others(result["details"]),
        "## What their makers say", "", *(f"- {said}" for said in PUBLISHED), "",
        "## How to read this", "", *(f"- {note}" for note in NOTES),
    ]  # fmt: skip
    return "\n".join(lines)


def _ratios(result: Mapping[str, Any]) -> Iterator[str]:
    pairs = result["details"]["pairs"]
    for name, what in RATIOS.items():
        if name in pairs:
            yield _row(f"`{name}`", pairs[name], what)
        elif result["ratios"].get(name) is None:
            yield f"| `{name}` | not measured | | | | {what} |"


def _row(title: str, pair: Mapping[str, Any], what: str) -> str:
    ratio, ours, theirs = pair["ratio"], pair["our_figure"]["median"], pair["their_figure"]["median"]
    return (
        f"| {title} | **{ratio['median']:.2f}** | {ratio['low']:.2f} to {ratio['high']:.2f}"
        f" | {ours:,.4g} | {theirs:,.4g} | {what} |"
    )


def _costs(result: Mapping[str, Any]) -> Iterator[str]:
    yield "| One command over HTTP | |"
    yield "|---|---|"
    for name, unit in (
        ("python_us_per_command", "us of CPU in Python"),
        ("postgres_us_per_command", "us of CPU in PostgreSQL"),
        ("wal_bytes_per_command", "bytes of write-ahead log"),
        ("server_rss_mb", "MB of memory of the server process under load"),
    ):
        if result[name] is not None:
            yield f"| {unit} | {result[name]:,} |"


def _operations(details: Mapping[str, Any]) -> Iterator[str]:
    if "operations" not in details:
        return
    yield "## Operations"
    yield ""
    yield "| | per second | p50 ms | p99 ms | Python us | PostgreSQL us | log bytes |"
    yield "|---|---|---|---|---|---|---|"
    for name, one in details["operations"].items():
        figures = [one.get(key, "") for key in ("p50_ms", "p99_ms", "python_us", "postgres_us", "wal_bytes")]
        yield f"| {name} | {one['rate']:,} | {' | '.join(str(figure) for figure in figures)} |"
    yield ""


def _limit(details: Mapping[str, Any]) -> Iterator[str]:
    if "limit" not in details:
        return
    limit = details["limit"]
    yield "## The limit"
    yield ""
    yield "| pgbench | clients | commands per second |"
    yield "|---|---|---|"
    for one in limit["one_command_per_commit"]:
        yield f"| one {one['form']} | {one['clients']} | {one['rate']:,} |"
    for name, batches in limit.items():
        if name.startswith("batches"):
            for clients, one in batches.items():
                yield f"| {name.replace('_', ' ')} | {clients} | {one['median']:,.0f} |"
    yield ""


def _growth(details: Mapping[str, Any]) -> Iterator[str]:
    if "growth" not in details:
        return
    yield "## Growth"
    yield ""
    yield "| Audit entries | database MB | throughput, against almost empty | p99, likewise | queries that read a whole table |"
    yield "|---|---|---|---|---|"
    for size, one in details["growth"].items():
        whole = len(one["plans"]["reading_a_whole_table"])
        throughput, late = one["throughput"]["ratio"], one["p99"]["ratio"]
        yield (
            f"| {int(size):,} | {one['database_mb']:,} | {_spread(throughput)} | {_spread(late)} | {whole} |"
        )
    yield ""


def _spread(ratio: Mapping[str, Any]) -> str:
    return f"{ratio['median']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})"


def _others(details: Mapping[str, Any]) -> Iterator[str]:
    titles = {
        "without_queue_row": "commands over HTTP / pgbench without a queue row",
        "hot_against_uniform": "commands over HTTP on 200 records / on all records",
        "p50_in_process": "median time of one command in process / of the bare driver's call",
        "slow_disk": "commands over HTTP / pgbench, each flush 4 ms longer",
    }
    shown = {name: title for name, title in titles.items() if name in details}
    if not shown:
        return
    yield "## Further pairs"
    yield ""
    yield "| Ratio | Median | Lowest to highest | Ours | Theirs | What |"
    yield "|---|---|---|---|---|---|"
    for name, title in shown.items():
        if "skipped" in details[name]:
            yield f"| `{name}` | skipped | | | | {details[name]['skipped']} |"
        else:
            yield _row(f"`{name}`", details[name], title)
    yield ""
