"""The parts of the benchmark by name: one ratio each. Every part says what it measured, spread included."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from avow.store.sharing import UNSHARED
from bench.speed.contender import Contender, p50, rate
from bench.speed.figures import spread
from bench.speed.growth import growth
from bench.speed.in_process import tasks
from bench.speed.limit import BATCH, FORMS, raw_call
from bench.speed.limit import CLIENTS as LIMIT_CLIENTS
from bench.speed.operations import operations
from bench.speed.run import CLIENTS, QUICK, Run, avow_engine, avow_http, peer
from bench.speed.slow_disk.part import slow_disk

HOT_RECORDS = 200


async def find_limit(run: Run) -> None:
    """The best form and client count of the limit (F), and what batches reach (P)."""
    if run.best is not None:
        return
    assert run.limit is not None
    seconds, found = max(2, run.pace.warm_up_s), list[dict[str, Any]]()
    await run.limit.run(FORMS[0], 4, seconds)
    rates: dict[tuple[str, int], float] = {}
    for form in FORMS:
        for clients in LIMIT_CLIENTS[1::2] if run.pace == QUICK else LIMIT_CLIENTS:
            sample = await run.limit.run(form, clients, seconds)
            rates[form, clients] = sample.rate
            found.append({"form": form, "clients": clients, **sample.described()})
    run.best = max(rates, key=lambda which: rates[which])
    batches = {
        clients: [await run.limit.run("batch", clients, seconds) for _ in range(2)] for clients in (1, 2, 4)
    }
    described = {
        clients: spread([rate(s) for s in samples]).described(0) for clients, samples in batches.items()
    }
    run.details["limit"] = {
        "best": {"form": run.best[0], "clients": run.best[1]},
        "one_command_per_commit": found,
        f"batches_of_{BATCH}": described,
    }


async def http_vs_pgbench(run: Run) -> dict[str, dict[str, Any]]:
    """Commands over HTTP against F; also against F without its queue row: this command queues nothing."""
    await find_limit(run)
    async with avow_http(run) as server:
        ours = server.contender(CLIENTS)
        pair = await run.pair(ours, run.pgbench())
        lean = await run.pair(ours, run.pgbench(queue=False))
    run.details["without_queue_row"] = lean.described(rate)
    samples = pair.our_rounds
    run.details["http_cost"] = {
        "server_rss_mb": round(max(server.rss_mb), 1),
        "wal_bytes_per_command": _median([s.wal_bytes for s in samples]),
        "python_us_per_command": _median([s.python_us for s in samples]),
        "postgres_us_per_command": _median([s.postgres_us for s in samples]),
    }
    return {"http_vs_pgbench": pair.described(rate)}


def _median(values: list[float | None]) -> float:
    return round(spread([value for value in values if value is not None]).median, 1)


async def http_vs_peer(run: Run, ratio: str, name: str) -> dict[str, dict[str, Any]]:
    """Commands over HTTP against a peer that does the same job."""
    async with avow_http(run) as server, peer(run, name) as other:
        pair = await run.pair(server.contender(CLIENTS), other)
    return {ratio: pair.described(rate)}


async def engine_vs_pgbench(run: Run) -> dict[str, dict[str, Any]]:
    """Commands in process against F."""
    await find_limit(run)
    async with avow_engine(run, CLIENTS) as ours:
        pair = await run.pair(ours, run.pgbench())
    return {"engine_vs_pgbench": pair.described(rate)}


async def p50_vs_raw_call(run: Run) -> dict[str, dict[str, Any]]:
    """How long one command takes over HTTP, against the bare driver's call of the leanest function."""
    assert run.limit is not None
    async with avow_http(run) as server, raw_call(run.limit) as call:
        bare = Contender("asyncpg, one call of the lean function", partial(tasks, call, 1))
        pair = await run.pair(server.contender(1), bare)
        async with avow_engine(run, 1) as inside:
            within = await run.pair(inside, bare)
    run.details["p50_in_process"] = within.described(p50)
    return {"p50_vs_raw_call": pair.described(p50)}


async def hot_set(run: Run) -> dict[str, dict[str, Any]]:
    """Few records under many tasks: transactions shared against each command in one of its own.

    Over HTTP, the same clients on few records and on all of them, into the details.
    """
    async with (
        avow_engine(run, CLIENTS, HOT_RECORDS) as shared,
        avow_engine(run, CLIENTS, HOT_RECORDS, UNSHARED) as alone,
    ):
        pair = await run.pair(shared, alone)
    async with avow_http(run) as server:
        uniform = await run.pair(server.contender(CLIENTS, records=HOT_RECORDS), server.contender(CLIENTS))
    run.details["hot_against_uniform"] = uniform.described(rate)
    return {"hot_set": pair.described(rate)}


Part = Callable[[Run], Awaitable[dict[str, dict[str, Any]]]]
"""Measures, and gives back what came out by the name of the ratio."""

PARTS: Mapping[str, Part] = {
    "http_vs_pgbench": http_vs_pgbench,
    "engine_vs_pgbench": engine_vs_pgbench,
    "p50_vs_raw_call": p50_vs_raw_call,
    "http_vs_fastapi_asyncpg": partial(http_vs_peer, ratio="http_vs_fastapi_asyncpg", name="fastapi_asyncpg"),
    "http_vs_fastapi_sqlalchemy": partial(
        http_vs_peer, ratio="http_vs_fastapi_sqlalchemy", name="fastapi_sqlalchemy"
    ),
    "http_vs_restate": partial(http_vs_peer, ratio="http_vs_restate", name="restate"),
    "http_vs_dbos": partial(http_vs_peer, ratio="http_vs_dbos", name="dbos_workflow"),
    "hot_set": hot_set,
    "operations": operations,
    "growth": growth,
    "slow_disk": slow_disk,
}
