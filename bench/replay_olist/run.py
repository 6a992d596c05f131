"""One whole run: a fresh database, the provider, a server, two workers and their crashes, the account."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import uvloop

from avow.testing import Fault, Provider
from bench.replay import checkout, report
from bench.replay.account import open_database
from bench.replay.clients import Clients
from bench.replay.crashes import ByTurns, Crashes, at_work, workers_of
from bench.replay.report import Run
from bench.replay.root import ROOT
from bench.replay.sending import CLIENTS, DISAGREEMENTS_SHOWN_MAX, Tally
from bench.replay_olist.account import settle
from bench.replay_olist.expected import CARRIED_OUT, GIVEN_UP, RETURNED, SOLD_OUT, expect
from bench.replay_olist.orders import Order, read_orders
from bench.replay_olist.replay import Replay
from examples.demo.declared import Declared
from examples.demo.home import own_home

FAULTS = (
    *("lost", "missing", "doubled", "undeclared", "ledger_difference_cents", "file_difference_cents"),
    *("gift_difference_cents", "left_behind", "wrong_ends", "wrong_refusals", "stuck"),
    *("copies_that_disagree", "executed_twice"),
)
"""The figures of a result that are zero when everything adds up."""
CHANCES: dict[str | Fault, float] = {
    "lose_reply": 0.02,
    "duplicate": 0.01,
    "fail_before": 0.005,
    "fail_after": 0.005,
}
REPEATED_WEBHOOKS: dict[str | Fault, float] = {"repeat": 0.01}
UNHEARD_OF = ("payment.captured", "payment.voided", "payment.refunded")
"""Events that no transition listens to: as if they weren't subscribed to."""
WEBHOOK_RETRIES_S = (0.5, 2.0, 5.0, 10.0, *(20.0,) * 12)


def run(data: Path, every: int, kills: int) -> Run:
    """Replay every `every`-th order and settle the account. kills: of the server, and of a worker.

    The database is made below `.avow` for this run and removed afterwards. Raises EnvironmentFault where
    no database, server or worker can be started.
    """
    with own_home(ROOT / ".avow", "replay-olist") as home, Provider(seed=1) as outside:
        declared = set_up(home, outside)
        try:
            return _run(declared, outside, data.parent, every, kills)
        finally:
            declared.stop()


def set_up(home: Path, outside: Provider) -> Declared:
    """The backend with its database below `home`, calling the provider, which behaves as on a bad day."""
    declared = checkout.set_up(home, outside, CHANCES)
    outside.behave("webhooks", chance=REPEATED_WEBHOOKS)
    for event in UNHEARD_OF:
        outside.behave("webhooks", event, chance={"lost": 1.0})
    secret = declared.surroundings.sender_secrets(declared.system)["psp"]
    outside.send_webhooks_to(
        f"{declared.url}/events/psp", service="payment", secret=secret, retries_s=WEBHOOK_RETRIES_S
    )
    return declared


def _run(declared: Declared, outside: Provider, folder: Path, every: int, kills: int) -> Run:
    orders, expected = read_orders(folder, every), expect(folder, every)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sent, tally, seconds, killed = runner.run(replay_orders(declared, outside, orders, kills))
        report.say("the account")
        ledger, sold = outside.ledger(), sold_to(orders)
        settled = runner.run(settle(declared.admin_url, declared.system, tally, ledger, sold, expected))
        versions = runner.run(report.versions(declared.admin_url))
    account, ends, stuck = settled
    verified, refusals = report.verify(declared), tally.refusals()
    result: dict[str, Any] = {
        "cases": len(orders),
        "payments": sum(len(order.vouchers) + len(order.cards) for order in orders),
        "done": ends[CARRIED_OUT],
        "compensated": ends[SOLD_OUT] + ends[GIVEN_UP] + ends[RETURNED],
        "stuck": sum(stuck.values()),
        "stuck_by_reason": stuck,
        "refused": {code: sum(commands.values()) for code, commands in refusals.items()},
        "refused_by_command": refusals,
        "states": dict(sorted(ends.items())),
        "provider": checkout.provider(outside, ledger),
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
        "seconds": round(seconds, 1),
        "requests_per_second": round(sent / seconds),
        **report.how_it_ran(verified, versions),
    }
    result["examples"] += [text[:500] for text in tally.disagreements[:DISAGREEMENTS_SHOWN_MAX]]
    complete = killed == Counter(server=kills, worker=kills) and not stuck
    return Run(result, complete and report.holds(result, FAULTS), _lines(result))


def sold_to(orders: Sequence[Order]) -> dict[str, int]:
    """What gift cards each buyer was sold, in cents."""
    return {order.name: sum(order.vouchers) for order in orders if order.vouchers}


async def replay_orders(
    declared: Declared, outside: Provider, orders: Sequence[Order], kills: int
) -> tuple[int, Tally, float, Counter[str]]:
    """Send everything: how many requests were sent, what came back, seconds, what was killed how often."""
    workers, open_orders = workers_of(declared), len(orders)
    turns = ByTurns(declared, workers)
    crashes = Crashes("steps", 2 * len(orders), 2 * kills, turns.strike)

    def ended(still_open: int) -> None:
        """Orders that have ended since the last look count like commands."""
        nonlocal open_orders
        for _ in range(open_orders - still_open):
            crashes.advance()
        open_orders = min(open_orders, still_open)

    clients, database = Clients(declared.url, CLIENTS), await open_database(declared.admin_url)
    replay = Replay(clients, declared.token, outside, database, crashes.advance, ended)
    try:
        async with at_work(declared, workers):
            seconds = await crashes.during(replay.run(orders))
    finally:
        await clients.close()
        await database.close()
    return clients.sent, replay.sender.tally, seconds, turns.killed


def _lines(result: Mapping[str, Any]) -> list[str]:
    """What was refused and why, where the orders ended, and how it went."""
    calls, faults = result["provider"]["requests"], sum(result["provider"]["faults"].values())
    return [
        *report.refused_table(result["refused_by_command"]),
        *report.states_table("orders that ended as", result["states"]),
        *report.pace(result),
        f"  {calls:,} calls at the provider, {faults:,} times something went wrong with one",
    ]
