"""No file grows past what one person reads at a sitting, no function past a screen."""

from __future__ import annotations

import ast

from tests.house.tree import modules

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60


def test_no_file_is_longer_than_500_lines() -> None:
    lengths = {module.place: module.text.count("\n") for module in modules()}
    assert {place: lines for place, lines in lengths.items() if lines > FILE_LINES_MAX} == {}


def test_no_function_is_longer_than_60_lines() -> None:
    too_long: dict[str, int] = {}
    for module in modules():
        for node in module.nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
                lines = node.end_lineno - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    too_long[f"{module.place}:{node.lineno} {node.name}"] = lines
    assert too_long == {}
