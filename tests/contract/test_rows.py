"""Every row of the contract has a test that makes the request, and names the row first in its docstring."""

from __future__ import annotations

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
ROW = re.compile(r"([ICESMVLPATH][0-9]{2}): ")
ROWS = {
    "I": (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
    "C": (1, 2, 3, 4, 6, 7, 8, 9, 11),
    "E": (1, 2, 3, 5, 6, 7, 8, 10),
    "S": (1, 2, 3, 4, 5, 7, 8),
    "M": (1, 2, 3, 5, 6, 7, 8, 9),
    "V": (1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
    "L": (1, 5, 6),
    "P": (1, 2, 3, 4, 6),
    "A": (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13),
    "T": (4,),
    "H": (1, 2, 3),
}
"""I idempotency, C conditions, E errors, S state machine, M methods, V strict input, L limits, P lists,
A access, T tracing, H framing. Webhooks, versions, rate limits, traces and long effects come later."""


def rows_in(text: str) -> set[str]:
    """The rows that the tests of a module name."""
    found = set[str]()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            named = ROW.match(ast.get_docstring(node) or "")
            found |= {named[1]} if named else set()
    return found


def test_every_row_has_a_test() -> None:
    wanted = {f"{group}{number:02}" for group, numbers in ROWS.items() for number in numbers}
    held = set[str]()
    for path in HERE.glob("test_*.py"):
        held |= rows_in(path.read_text("utf-8"))
    assert wanted - held == set(), "rows without a test"
    assert held - wanted == set(), "tests of rows that aren't listed here"


def test_a_docstring_that_only_mentions_a_row_is_no_test_of_it() -> None:
    assert rows_in('def test_a():\n    """I01: so."""') == {"I01"}
    assert rows_in('def test_a():\n    """As I01: so."""\ndef other():\n    """I02: so."""') == set()
