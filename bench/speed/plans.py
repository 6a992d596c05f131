"""The plan of every query that a command, a read or a list runs, as PostgreSQL itself logs it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from uuid import UUID

from bench.speed.run import Run, avow_http

SETTINGS = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_nested_statements": "on",
    "auto_explain.log_level": "log",
    "auto_explain.log_parameter_max_length": "0",
}
QUERY_CHARACTERS_MAX = 300
OPERATIONS = ("capture", "create", "read", "list")
_PLAN = re.compile(r"duration: [\d.]+ ms  plan:\n((?:\t.*\n)+)")
_COST = re.compile(r"  \(cost=.*?\)")


def read(log: str) -> dict[str, str]:
    """Plans by query, without estimates and without those that read nothing; of each query the first."""
    found = dict[str, str]()
    for block in _PLAN.findall(log):
        lines = [line.removeprefix("\t") for line in block.splitlines()]
        start = next((place for place, line in enumerate(lines) if "(cost=" in line), len(lines))
        query = " ".join(" ".join(lines[:start]).split()).removeprefix("Query Text: ")
        plan = _COST.sub("", "\n".join(lines[start:]))
        if "Scan" in plan or "\n" in plan:
            found.setdefault(query[:QUERY_CHARACTERS_MAX], plan)
    return found


def reads_everything(plan: str) -> bool:
    """Whether a plan reads a whole table that grows."""
    return re.search(r"Seq Scan on (audit|idempotency|payments|payload|refusal)\b", plan) is not None


async def plans(run: Run, database: str, records: Sequence[UUID]) -> dict[str, object]:
    """Run each operation a little on a database, and tell the plans of all queries that were run."""
    for name, value in SETTINGS.items():
        await run.admin.execute(f"ALTER DATABASE \"{database}\" SET {name} = '{value}'")
    log = run.stage.home / "pg.log"
    before = len(await asyncio.to_thread(log.read_bytes))
    try:
        async with avow_http(run, database=database, records=records) as server:
            for operation in OPERATIONS:
                await server.contender(1, operation).run(1)
    finally:
        for name in SETTINGS:
            await run.admin.execute(f'ALTER DATABASE "{database}" RESET {name}')
    said = (await asyncio.to_thread(log.read_bytes))[before:].decode("utf-8", "replace")
    found = read(said)
    return {
        "reading_a_whole_table": sorted(query for query, plan in found.items() if reads_everything(plan)),
        "by_query": found,
    }
