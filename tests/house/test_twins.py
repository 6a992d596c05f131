"""What the examples say of their length beside others is counted."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

from tests.house.tree import ROOT

EXAMPLES = ROOT / "examples"
COUNTED = {name: name for name in ("admission", "approval", "booking", "onboarding", "verification")}
COUNTED |= {"checkout": "checkout_dbos"}
"""The examples that there is a twin of with DBOS, and its folder."""
ROW = re.compile(r"^\| .*\]\((?P<path>[^)]+)\) \| (?P<lines>\d+) \|$", re.MULTILINE)
NO_CODE = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER,
}  # fmt: skip


def code_lines(path: Path) -> int:
    """The lines with code of a file, or of a folder's files: no blank one, comment or docstring."""
    if path.is_dir():
        return sum(map(code_lines, path.glob("*.py")))
    source = path.read_text()
    held = set[int]()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NO_CODE:
            held.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            held.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(held)


@pytest.mark.parametrize("name", COUNTED)
def test_the_lengths_that_an_example_names_are_counted(name: str) -> None:
    readme, twin = EXAMPLES / name / "README.md", f"../twins/{COUNTED[name]}"
    told = {row["path"]: int(row["lines"]) for row in ROW.finditer(readme.read_text())}
    assert told == {path: code_lines((readme.parent / path).resolve()) for path in told}
    assert [*told] == ["system.py", twin]
    assert told["system.py"] < told[twin]
