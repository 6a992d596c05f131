"""What runs of `examples/checkout` share: its provider, and the account with that one's ledger."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from avow.model.system import System
from avow.store.driver import Connection
from avow.testing import Fault, Ledger, Provider
from bench.replay.account import ENTRIES, Entries
from bench.replay.report import say
from bench.replay.root import ROOT
from bench.replay.sending import Step
from examples.demo.declared import Declared

TARGET = ROOT / "examples" / "checkout"
SERVICES = ("stock", "payment", "shipping")
COMMANDS = {
    *(("GiftCard", word) for word in ("sell", "pour")),
    *(("Order", word) for word in ("place", "place_by_transfer", "cancel")),
    *(("Refund", word) for word in ("ask", "ask_second", "credit")),
}
"""What clients ask for; everything else happens by itself."""


def set_up(home: Path, outside: Provider, chances: Mapping[str | Fault, float]) -> Declared:
    """The backend with its database below `home`, calling the provider, which misbehaves by chance."""
    where = {name: {"url": outside.url, "allow_private": True} for name in SERVICES}
    destinations = home / "destinations.json"
    destinations.write_text(json.dumps(where))
    os.environ["AVOW_DESTINATIONS"] = str(destinations)
    for name in SERVICES:
        outside.behave(name, chance=chances)
    return Declared.set_up(TARGET, home, say)


def provider(outside: Provider, ledger: Ledger) -> dict[str, Any]:
    """What it was asked, what went wrong there, and what it did."""
    requests = outside.requests()
    return {
        "requests": len(requests),
        "faults": dict(sorted(Counter(fault for one in requests for fault in one["faults"]).items())),
        "done": dict(sorted(Counter(f"{entry.service}.{entry.operation}" for entry in ledger).items())),
        "balance_cents": ledger.balance(),
        "webhooks": len(outside.sent_webhooks()),
    }


class Orders(Protocol):
    """An account of orders.

    ledger_difference_cents: the provider's money against ours, over all orders, each without its sign.
    left_behind: orders of which pieces are reserved, money is held or a shipment is made, and shouldn't be,
                 or the reverse.
    """

    ledger_difference_cents: int
    left_behind: int

    def note(self, text: str) -> None:
        """Keep an example of what is wrong."""


def check_orders(account: Orders, orders: Sequence[Any], ledger: Ledger) -> None:
    """Each order against the provider's lines of it: id, state, quantity, on_cards and refunded, in cents."""
    sums = ledger.sums()
    for row in orders:
        lines = sums.get(str(row["id"]), {})
        done = row["state"] == "completed"
        ours = done * row["on_cards"] - row["refunded"]
        theirs = lines.get("payment.capture", 0) - lines.get("payment.refund", 0)
        account.ledger_difference_cents += abs(ours - theirs)
        authorized = lines.get("payment.authorize", 0)
        held = authorized - lines.get("payment.void", 0) if authorized else 0
        reserved = lines.get("stock.reserve", 0) - lines.get("stock.release", 0)
        shipped = ledger.count("shipping", "ship", str(row["id"]))
        found, right = (held, reserved, shipped), (done * row["on_cards"], done * row["quantity"], done)
        if found != right:
            account.left_behind += 1
            account.note(f"{row['id']} has {lines}, and should have {right}")
    theirs = sum(abs(ledger.balance(name)) for name in sums.keys() - {str(row["id"]) for row in orders})
    account.ledger_difference_cents += theirs


async def check_acknowledged(
    connection: Connection, system: System, account: Entries, accepted: Iterable[Step]
) -> None:
    """Every acknowledged step has its entry, and clients' commands have no other ones."""
    rows = await connection.fetch(ENTRIES)
    command = {(e.name, t.name): t.command for e in system.entities.values() for t in e.transitions.values()}
    found = Counter[tuple[str, UUID, int, str]]()
    for row in rows:
        word = command[row["kind"], row["transition"]]
        if (row["kind"], word) in COMMANDS:
            found[row["kind"], row["id"], row["version"], word] += 1
    wanted = Counter((step.kind, step.id, step.version, step.command) for step in accepted)
    account.lost, account.doubled = (wanted - found).total(), (found - wanted).total()
    for step in [*(wanted - found), *(found - wanted)]:
        account.note(f"acknowledged once, and not once in the log: {step}")
    account.missing = account.lost
    account.entries, account.entries_expected = len(rows), len(rows) + account.lost - account.doubled
