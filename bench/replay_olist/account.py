"""Settling the account of the replay: the provider's ledger, gift cards, ends, audit entries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from avow.model.system import System
from avow.store.driver import Connection
from avow.testing import Ledger
from bench.replay import account as shared
from bench.replay.checkout import check_acknowledged, check_orders
from bench.replay.sending import Tally
from bench.replay_olist.expected import CARRIED_OUT, GIVEN_UP, RETURNED, SOLD_OUT, Expected

ON_PURPOSE = {"payment.authorize": 2, "payment.void": 2, "payment.capture": 2, "payment.refund": 2}
"""An order may have two cards; the sums tell whether it has."""
ENDS = dict.fromkeys(("None", "cancelled", "withdrawn"), GIVEN_UP) | {"sold_out": SOLD_OUT}
"""How a cancelled order ended, by its `problem`."""
ORDERS = """
SELECT o.id, o.buyer, o.state, o.problem, o.quantity, o.card_cents + o.second_cents AS on_cards, o.gift_cents,
    coalesce(sum(r.on_first + r.on_second) FILTER (WHERE r.state = 'returned'), 0)::bigint AS refunded,
    coalesce(sum(r.on_gift) FILTER (WHERE r.state = 'returned'), 0)::bigint AS credited
FROM checkout.orders o LEFT JOIN checkout.refunds r ON r.order = o.id GROUP BY o.tenant, o.id
"""
GIFT_CARDS = """
SELECT holder, sum(balance)::bigint AS balance, sum(spent)::bigint AS spent
FROM checkout.gift_cards GROUP BY holder
"""


@dataclass
class Account(shared.Entries):
    """What doesn't add up, by its sort; all but the counts is zero or empty when it does.

    doubled:     entries more than the acknowledged steps make, and what the provider did more than once.
    ledger_difference_cents: the provider's money against ours, over all orders, each without its sign.
    file_difference_cents:   what is kept of cards and gift cards against what the file demands.
    gift_difference_cents:   gift cards whose money isn't what was sold less what orders keep.
    left_behind: orders of which pieces are reserved or money is held, and shouldn't be, or the reverse.
    undeclared:  records in a state that the declaration doesn't have.
    wrong_ends:  orders that didn't end as the file demands.
    wrong_refusals: refusals more or fewer than the file demands, by code; of a cancel that came too late
                 none is demanded.
    """

    ledger_difference_cents: int = 0
    file_difference_cents: int = 0
    gift_difference_cents: int = 0
    left_behind: int = 0
    undeclared: int = 0
    wrong_ends: int = 0
    wrong_refusals: int = 0


async def settle(
    admin_url: str, system: System, tally: Tally, ledger: Ledger, sold: Mapping[str, int], expected: Expected
) -> tuple[Account, Counter[str], dict[str, int]]:
    """The account, the orders by their end, and what is stuck, by reason. sold: gift cards, by holder."""
    connection, account = await shared.open_database(admin_url), Account()
    try:
        orders = await connection.fetch(ORDERS)
        ends = {row["buyer"]: _end(row) for row in orders}
        demanded = {name: _demanded(end, ends.get(name)) for name, end in expected.ends.items()}
        account.wrong_ends = shared.compare_ends(account, ends, demanded) + len(orders) - len(ends)
        _check_money(account, orders, ledger, expected)
        await _check_gift_cards(connection, account, orders, sold)
        await check_acknowledged(connection, system, account, tally.accepted)
        account.doubled += len(ledger.doubled(ON_PURPOSE))
        account.undeclared = await shared.undeclared(connection, system)
        stuck = await shared.stuck(connection)
    finally:
        await connection.close()
    _check_refusals(account, tally, expected)
    return account, Counter(ends.values()), stuck


def _end(row: Any) -> str:
    """How an order ended; its state where it hasn't."""
    if row["state"] == "completed":
        back = row["refunded"] + row["credited"]
        return RETURNED if back and back == row["on_cards"] + row["gift_cents"] else CARRIED_OUT
    if row["state"] == "cancelled":
        return ENDS.get(str(row["problem"]), str(row["problem"]))
    return str(row["state"])


def _demanded(end: str, found: str | None) -> str:
    """A cancel that came too late is as good where everything was given back."""
    return RETURNED if end == GIVEN_UP and found == RETURNED else end


def _check_money(account: Account, orders: list[Any], ledger: Ledger, expected: Expected) -> None:
    """Each order's record against the provider's lines of it, and against the file."""
    check_orders(account, orders, ledger)
    for row in orders:
        done = row["state"] == "completed"
        kept = done * row["on_cards"] - row["refunded"], done * row["gift_cents"] - row["credited"]
        demanded = expected.on_cards.get(row["buyer"], 0), expected.on_gift_cards.get(row["buyer"], 0)
        account.file_difference_cents += sum(
            abs(one - other) for one, other in zip(kept, demanded, strict=True)
        )


async def _check_gift_cards(
    connection: Connection, account: Account, orders: list[Any], sold: Mapping[str, int]
) -> None:
    spent = Counter[str]()
    for row in orders:
        spent[row["buyer"]] += (row["state"] == "completed") * row["gift_cents"] - row["credited"]
    rows = {row["holder"]: row for row in await connection.fetch(GIFT_CARDS)}
    for holder in rows.keys() | sold.keys():
        found = (rows[holder]["balance"], rows[holder]["spent"]) if holder in rows else (0, 0)
        right = sold.get(holder, 0) - spent[holder], spent[holder]
        account.gift_difference_cents += sum(
            abs(one - other) for one, other in zip(found, right, strict=True)
        )


def _check_refusals(account: Account, tally: Tally, expected: Expected) -> None:
    refused = Counter[str]()
    for (command, code), count in tally.refused.items():
        if (command, code) != ("cancel", "state-conflict"):
            refused[code] += count
    for code in refused.keys() | expected.refused.keys():
        account.wrong_refusals += abs(refused[code] - expected.refused[code])
