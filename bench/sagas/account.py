"""Settling the account of the sagas: how each ended, the provider's ledger, the audit entries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from avow.model.system import System
from avow.testing import Ledger
from bench.replay import account as shared
from bench.replay.checkout import check_acknowledged, check_orders
from bench.replay.sending import Tally
from bench.sagas.drive import CANCELLED, DECLINED, LOT, buyer

DONE, UNDONE, STUCK = "completed", "cancelled", "stuck"
ORDERS = """
SELECT o.id, o.buyer, o.state, o.problem, o.quantity, o.card_cents AS on_cards, 0 AS refunded,
    EXISTS (SELECT FROM avow.work w JOIN avow.task k ON k.tenant = w.tenant AND k.work = w.work
        WHERE w.id = o.id AND w.stuck IS NOT NULL) AS stuck
FROM checkout.orders o
"""
LEFT_WAITING = "SELECT count(*) FROM avow.work WHERE stuck IS NULL"


@dataclass
class Account(shared.Entries):
    """What doesn't add up, by its sort; all of it is zero or empty when it does.

    doubled:       entries more than the acknowledged steps make, and what the provider did more than once.
    ledger_difference_cents: the provider's money against ours, over all orders, each without its sign.
    left_behind:   orders of which pieces are reserved, money is held or a shipment is made, and shouldn't be,
                   or the reverse.
    hanging:       orders that have neither ended nor stand in somebody's inbox.
    left_waiting:  calls that are still to be made.
    undeclared:    records in a state that the declaration doesn't have.
    wrong_ends:    orders that are missing, or ended otherwise than their card and their buyer demand.
    """

    ledger_difference_cents: int = 0
    left_behind: int = 0
    hanging: int = 0
    left_waiting: int = 0
    undeclared: int = 0
    wrong_ends: int = 0


async def settle(
    admin_url: str, system: System, tally: Tally, ledger: Ledger, count: int
) -> tuple[Account, Counter[str], dict[str, int]]:
    """The account, the orders by their end, and what is stuck, by reason."""
    connection, account = await shared.open_database(admin_url), Account()
    try:
        orders = await connection.fetch(ORDERS)
        ends = {row["buyer"]: _end(row) for row in orders}
        account.wrong_ends = (
            shared.compare_ends(account, ends, _demanded(count, ends)) + len(orders) - len(ends)
        )
        account.hanging = sum(end not in (DONE, UNDONE, STUCK) for end in ends.values())
        # What an order that is stuck owes, nobody knows yet: that is what its task is for.
        check_orders(account, [row for row in orders if not row["stuck"]], _without_stuck(ledger, orders))
        account.left_waiting = await connection.fetchval(LEFT_WAITING)
        await check_acknowledged(connection, system, account, tally.accepted)
        account.doubled += len(ledger.doubled())
        account.undeclared = await shared.undeclared(connection, system)
        stuck = await shared.stuck(connection)
    finally:
        await connection.close()
    return account, Counter(ends.values()), stuck


def _end(row: Any) -> str:
    return STUCK if row["stuck"] else str(row["state"])


def _demanded(count: int, ends: Mapping[str, str]) -> dict[str, str]:
    """What is stuck may be so whatever it was; a cancel may come too late."""
    found = dict[str, str]()
    for number in range(count):
        name = buyer(number)
        end = UNDONE if number % LOT in (DECLINED, CANCELLED) else DONE
        late = number % LOT == CANCELLED and ends.get(name) == DONE
        found[name] = ends[name] if late or ends.get(name) == STUCK else end
    return found


def _without_stuck(ledger: Ledger, orders: list[Any]) -> Ledger:
    stuck = {str(row["id"]) for row in orders if row["stuck"]}
    return Ledger(entry for entry in ledger if entry.reference not in stuck)
