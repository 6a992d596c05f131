"""One whole run: a fresh database, the provider, a server, two workers, their crashes, the account."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import uvloop

from avow.errors import EnvironmentFault
from avow.store.server import cluster
from avow.testing import Fault, Provider
from bench.replay import checkout, report
from bench.replay.clients import Clients
from bench.replay.crashes import Crashes, Worker, at_work, workers_of
from bench.replay.report import Run
from bench.replay.root import ROOT
from bench.replay.sending import CLIENTS, Tally
from bench.sagas.account import DONE, UNDONE, settle
from bench.sagas.drive import Drive
from examples.demo.declared import Declared
from examples.demo.home import own_home

SAGAS, KILLS, RESTARTS = 10_000, 3, 2
EFFECTS = 4
CHANCES: dict[str | Fault, float] = {
    "lose_reply": 0.02,
    "duplicate": 0.01,
    "fail_before": 0.01,
    "fail_after": 0.01,
}
"""Five calls in a hundred."""
FAULTS = (
    *("lost", "missing", "doubled", "undeclared", "ledger_difference_cents", "left_behind", "hanging"),
    *("left_waiting", "wrong_ends", "copies_that_disagree", "executed_twice"),
)
"""The figures of a result that are zero when everything adds up."""


class Database:
    """The PostgreSQL of one run, which may crash."""

    def __init__(self, home: Path) -> None:
        self._home, self._leases = home, list[cluster.Lease]()

    def crash(self) -> None:
        """Stop it in the middle of everything; returns when it has recovered, at the same address."""
        before = cluster.running(self._home)
        cluster.stop(self._home, "immediate")
        lease = cluster.start(self._home)
        self._leases.append(lease)
        if before is None or lease.cluster.port != before.port:
            raise EnvironmentFault(
                "database-moved", "PostgreSQL came back at another port", "Run it once more."
            )

    def release(self) -> None:
        """Leave it to others."""
        for lease in self._leases:
            lease.release()


def run(sagas: int, kills: int, restarts: int) -> Run:
    """Carry so many sagas out and settle the account. kills: of a worker; restarts: of PostgreSQL.

    The database is made below `.avow` for this run and removed afterwards. Raises EnvironmentFault where
    no database, server or worker can be started.
    """
    with own_home(ROOT / ".avow", "sagas") as home, Provider(seed=1) as outside:
        declared, database = checkout.set_up(home, outside, CHANCES), Database(home)
        declared.works = False
        try:
            return _run(declared, database, outside, sagas, Counter(worker=kills, postgresql=restarts))
        finally:
            database.release()
            declared.stop()


def _run(declared: Declared, database: Database, outside: Provider, sagas: int, strikes: Counter[str]) -> Run:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        carried = runner.run(carry_out(declared, database, sagas, strikes))
        sent, tally, seconds, struck = carried
        report.say("the account")
        ledger = outside.ledger()
        settled = runner.run(settle(declared.admin_url, declared.system, tally, ledger, sagas))
        versions = runner.run(report.versions(declared.admin_url))
    account, ends, stuck = settled
    verified = report.verify(declared)
    result: dict[str, Any] = {
        "cases": sagas,
        "effects_each": EFFECTS,
        "done": ends[DONE],
        "compensated": ends[UNDONE],
        "stuck": sum(stuck.values()),
        "stuck_by_reason": stuck,
        **report.refused(tally, "command"),
        "states": dict(sorted(ends.items())),
        "provider": checkout.provider(outside, ledger),
        **vars(account),
        **report.sending(tally, sent, seconds),
        "sagas_per_second": round(sagas / seconds, 1),
        "kills": sum(struck.values()),
        "killed": dict(struck),
        **report.how_it_ran(verified, versions),
    }
    return Run(result, struck == +strikes and report.holds(result, FAULTS), _lines(result))


async def carry_out(
    declared: Declared, database: Database, sagas: int, strikes: Mapping[str, int]
) -> tuple[int, Tally, float, Counter[str]]:
    """Carry the sagas out: how many requests were sent, what came back, seconds, what was struck."""
    workers = workers_of(declared)
    struck, seen = Counter[str](), Counter[str]()
    strike = _strike(workers, database, strikes, struck)
    crashes = Crashes("orders placed and ended", 2 * sagas, sum(strikes.values()), strike)

    def placed() -> None:
        """Cancels have keys of their own, and aren't counted."""
        seen["keys"] += 1
        if seen["keys"] <= sagas:
            crashes.advance()

    def ended(by_now: int) -> None:
        for _ in range(by_now - seen["ended"]):
            crashes.advance()
        seen["ended"] = max(by_now, seen["ended"])

    clients = Clients(declared.url, CLIENTS)
    drive = Drive(clients, declared.token, declared.admin_url, placed, ended)
    try:
        async with at_work(declared, workers):
            seconds = await crashes.during(drive.run(sagas))
    finally:
        await clients.close()
    return clients.sent, drive.sender.tally, seconds, struck


def _strike(
    workers: list[Worker], database: Database, strikes: Mapping[str, int], struck: Counter[str]
) -> Callable[[int], None]:
    """Kills a worker, the next one each time, and lets PostgreSQL crash, by turns while both are left."""

    def strike(number: int) -> None:
        whom = "postgresql" if number % 2 else "worker"
        if struck[whom] == strikes[whom]:
            whom = "worker" if whom == "postgresql" else "postgresql"
        if whom == "postgresql":
            database.crash()
        else:
            worker = workers[struck["worker"] % len(workers)]
            worker.kill()
            worker.start()
        struck[whom] += 1

    return strike


def _lines(result: Mapping[str, Any]) -> list[str]:
    """How the sagas ended, and how it went."""
    calls, faults = result["provider"]["requests"], result["provider"]["faults"]
    struck = ", ".join(f"{count} of {whom}" for whom, count in result["killed"].items())
    return [
        *report.refused_table(result["refused_by_command"]),
        *report.states_table("sagas that ended as", result["states"]),
        *(f"  stuck: {reason} {count:,}" for reason, count in result["stuck_by_reason"].items()),
        "",
        f"  {result['sagas_per_second']} sagas a second; killed on the way: {struck}",
        f"  {calls:,} calls at the provider, {sum(faults.values()):,} times something went wrong: {faults}",
    ]
