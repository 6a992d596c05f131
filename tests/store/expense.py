"""Expenses that need other people: checked by a clerk, then approved by as many as the amount demands."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from avow import (
    Entity,
    State,
    Subject,
    System,
    actor,
    create,
    field,
    missing,
    performed,
    read,
    role,
    system,
    task,
    transition,
)

clerk, boss, board = role("clerk"), role("boss"), role("board")


def expenses(**options: Any) -> System:
    """The system; options are those of the task of `approve`."""
    asked = {
        "due": timedelta(days=3), "remind": timedelta(days=2), "escalate": board, "shows": [], **options,
    }  # fmt: skip

    class Expense(Entity):
        """Money that somebody has spent and wants back."""

        amount: int = field(ge=0)
        note: str = field(default="")
        secret: str | None = field(default="hidden", read=clerk)
        author: Subject = field(default=actor)
        until: datetime | None = field(default=None)

        draft = State(initial=True)
        pending = State()
        checked = State()
        approved = State()
        paid = State(final=True)
        withdrawn = State(final=True)

        everybody_in = read(by=clerk | boss | board | (actor == author))
        start = create(draft, by=clerk | boss, sets=[amount, note, until])
        submit = transition(draft, to=pending, by=actor == author)
        check = transition(pending, to=checked, by=clerk & (actor != author), task=task(clerk, due=until))
        approve = transition(
            checked, to=approved, by=(boss | board) & (actor != author) & ~performed(check),
            approvals=[(amount < 100, 1), (amount < 1_000, 2), 3],
            task=task(boss, **{**asked, "shows": [amount, secret]}),
        )  # fmt: skip
        edit = transition(
            [pending, checked], to=pending, by=actor == author, sets=[amount, until], voids=[check, approve]
        )
        reword = transition(checked, to=checked, by=actor == author, sets=[note])
        withdraw = transition([pending, checked], to=withdrawn, by=actor == author)
        pay = transition(approved, to=paid, by=boss & ~performed(approve), when=~missing(amount))

    return system("expenses", Expense)
