"""Money that doesn't add up: what the provider has done, against what a backend's own books say.

Both are read when they are asked for. Nothing here knows which backend it is about.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from avow.testing import Ledger
from examples.demo.checkout.backends import Booked


def astray_cents(books: Iterable[Booked], ledger: Ledger) -> int:
    """How many cents the two differ by, whichever way: taken or given back and not booked, or left held.

    An order whose books and whose provider disagree in both counts with both.
    """
    booked = {each.order: each.kept_cents for each in books}
    held = held_cents(ledger)
    return sum(
        abs(ledger.balance(order) - booked.get(order, 0)) + held.get(order, 0)
        for order in booked.keys() | set(ledger.references())
    )


def held_cents(ledger: Ledger) -> dict[str, int]:
    """What is held on cards and accounts, neither taken nor let go, by order."""
    over = {entry.id for entry in ledger if entry.operation in ("capture", "void")}
    held: dict[str, int] = defaultdict(int)
    for entry in ledger.of("payment", "authorize"):
        held[entry.reference] += 0 if entry.id in over else entry.amount
    return held


def euros(cents: int) -> str:
    """As it is printed."""
    return f"{cents / 100:,.2f} €"
