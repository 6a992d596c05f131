"""The page of words is complete, and its examples run."""

from __future__ import annotations

import linecache
import re
import sys
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from uuid import UUID

import avow
from avow.kernel.command import Command, Decision, Record
from avow.kernel.decide import decide

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "declaration.md"


def test_every_public_word_stands_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    quoted = " ".join(re.findall(r"`[^`]+`", text.replace("```", "")))
    missing = [word for word in avow.__all__ if not re.search(rf"\b{word}\b", quoted)]
    assert missing == []


def test_the_examples_of_the_page_run_and_move_money() -> None:
    source = "\n".join(re.findall(r"```python[^\n]*\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
    linecache.cache["declaration.md"] = (
        len(source),
        None,
        source.splitlines(keepends=True),
        "declaration.md",
    )
    module = sys.modules["declaration_page"] = ModuleType("declaration_page")
    exec(compile(source, "declaration.md", "exec", dont_inherit=True), vars(module))  # noqa: S102
    bank, money, now = module.bank, avow.Money, module.datetime.fromisoformat("2026-11-21T00:00:00+00:00")
    ids = [UUID(int=number) for number in range(4)]
    accounts = [
        Record(
            "Account",
            ids[n],
            "open",
            1,
            {"owner": avow.Subject("a"), "balance": money(Decimal(n * 10), "EUR")},
        )
        for n in (1, 2)
    ]
    values = {
        "source": ids[2],
        "target": ids[1],
        "amount": money(Decimal(5), "EUR"),
        "due": now,
        "reason": "rent",
    }
    payment = Record("Payment", ids[3], "seen", 2, values, {"check": ("rita",)})
    dean = avow.Actor(avow.Subject("dora"), "t", frozenset({"dean"}))
    records = {record.key: record for record in (*accounts, payment)}
    answer = decide(bank, records, Command("Payment", "pay", ids[3], {}, dean, ids[0]), now)
    assert isinstance(answer, Decision), answer
    assert [str(answer.final["Account", ids[n]].values["balance"]) for n in (1, 2)] == [
        "15.00 EUR",
        "15.00 EUR",
    ]
