"""Imports stand at the top, absolute, and mean what they say; the arrows are held by ./test layers."""

from __future__ import annotations

import ast

from tests.house.tree import modules

# Lazy imports for a quick start: `avow --help` must not load the server and the database driver.
MAY_IMPORT_INSIDE = ("src/avow/cli/",)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def test_no_import_hides_behind_type_checking() -> None:
    found = [module.place for module in modules("src") if "TYPE_CHECKING" in module.text]
    assert found == []


def test_no_import_stands_in_a_function_outside_the_command_line() -> None:
    found: list[str] = []
    for module in modules("src"):
        if module.place.startswith(MAY_IMPORT_INSIDE):
            continue
        functions = [node for node in module.nodes if isinstance(node, FUNCTIONS)]
        inside = {id(node) for function in functions for node in ast.walk(function)}
        found += [f"{module.place}:{node.lineno}" for node in module.imports() if id(node) in inside]
    assert found == []


def test_no_import_is_relative() -> None:
    found = [
        f"{module.place}:{node.lineno}"
        for module in modules("src")
        for node in module.imports()
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert found == []


def test_every_module_of_the_source_postpones_annotations_and_says_its_job() -> None:
    found: list[str] = []
    for module in modules("src"):
        if not ast.get_docstring(module.tree):
            found.append(f"{module.place}: no docstring")
        if len(module.tree.body) > 1 and "from __future__ import annotations" not in module.text:
            found.append(f"{module.place}: no from __future__ import annotations")
    assert found == []
