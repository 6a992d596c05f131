"""Pairs of rounds, on a database that is sealed and on one that is not, and what sealing took of them.

The server vacuums nothing by itself here: vacuums took a fifth of all processor time, for either database, in
whichever round they fell. The sealer's own tables are vacuumed at the end of each sealed round, as a part of
it; everything else between the pairs.
"""

from __future__ import annotations

import math
import statistics
import threading
from pathlib import Path
from typing import Any, Final

from avow.store.driver import Connection
from avow.store.pool import Pool, connect
from avow.testing.databases import Database
from bench.sealing.load import as_many_as_can_be, engine_on
from bench.sealing.measure import CONNECTIONS, all_sealed, process_of, sealer_of, used_s

SETTINGS: Final = {"autovacuum": "off"}
OWN: Final = "VACUUM avow.leaf, avow.node, avow.checkpoint, avow.log_state"
OURS: Final = "SELECT pg_backend_pid()"
SEALERS: Final = "SELECT pid FROM pg_stat_activity WHERE application_name = 'avow sealer'"
RATIOS: Final = ("throughput", "cpu", "cpu_of_sealing")


async def pairs(
    sealed: Database, plain: Database, folder: Path, rounds: int, seconds: float, clients: int
) -> list[dict[str, Any]]:
    """The same load on a database that is sealed and on one that isn't; which comes first alternates.

    cpu_of_sealing: what the sealer's thread, its connection and the vacuum of its tables took, to what the
    commands took on the plain database. That is counted and not the difference of two large figures, but
    has nothing of what the commands lose by it: caches, flushes, turns.
    """
    made = {True: sealed, False: plain}
    pools = {on: Pool(one.application_url, CONNECTIONS) for on, one in made.items()}
    engines = {on: engine_on(pool) for on, pool in pools.items()}
    admins = {on: await connect(one.admin_url) for on, one in made.items()}
    found, server = list[dict[str, Any]](), await process_of(sealed)
    async with sealer_of(sealed, folder):
        for on in (True, False):
            await as_many_as_can_be(engines[on], clients, min(seconds, 2.0))  # plans, caches, connections
        sealer = await _sealer(admins[True])
        for place in range(rounds):
            for admin in admins.values():
                await admin.execute("VACUUM")
            pair = dict[str, Any]()
            for on in (True, False) if place % 2 else (False, True):
                before, own = used_s(server), sum(map(_ran_s, sealer))
                done = await as_many_as_can_be(engines[on], clients, seconds)
                if on:
                    await all_sealed(sealed)
                    await admins[on].execute(OWN)
                    own = sum(map(_ran_s, sealer)) - own
                    pair["sealing_cpu_us"] = round(1e6 * own / done.commands, 2)
                used_us = 1e6 * (used_s(server) - before) / done.commands
                name = "sealed" if on else "plain"
                pair |= {f"{name}_per_s": round(done.per_s), f"{name}_cpu_us": round(used_us, 1)}
            pair["throughput"] = round(pair["sealed_per_s"] / pair["plain_per_s"], 4)
            pair["cpu"] = round(pair["sealed_cpu_us"] / pair["plain_cpu_us"], 4)
            pair["cpu_of_sealing"] = round(pair["sealing_cpu_us"] / pair["plain_cpu_us"], 4)
            found.append(pair)
    for on in made:
        await pools[on].close()
        await admins[on].close()
    return found


def summary(found: list[dict[str, Any]]) -> dict[str, float]:
    """The ratios of pairs, sealed to plain: median, lowest, highest, and the mean with its standard error.

    Single pairs lie apart, as the disk's flushes do: without its error a mean says nothing.
    """
    told = dict[str, float]()
    for name in RATIOS:
        ratios = [pair[name] for pair in found]
        told |= {name: statistics.median(ratios), f"{name}_low": min(ratios), f"{name}_high": max(ratios)}
        if len(ratios) > 1:
            error = statistics.stdev(ratios) / math.sqrt(len(ratios))
            told |= {f"{name}_mean": round(statistics.mean(ratios), 4), f"{name}_mean_error": round(error, 4)}
    return told


async def _sealer(admin: Connection) -> list[Path]:
    """Where the system keeps the time of what seals: the thread, its connection, and who vacuums for it."""
    thread = next(one.native_id for one in threading.enumerate() if one.name == "sealer")
    tasks = [Path(f"/proc/self/task/{thread}")]
    tasks += [Path(f"/proc/{await admin.fetchval(which)}") for which in (SEALERS, OURS)]
    return [task / "schedstat" for task in tasks]


def _ran_s(task: Path) -> float:
    """How long a thread, or a process of one thread, has run on a processor."""
    return int(task.read_text().split()[0]) / 1e9
