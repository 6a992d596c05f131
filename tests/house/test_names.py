"""Names say what a thing is; these say only that somebody had no name for it."""

from __future__ import annotations

import ast
from pathlib import PurePosixPath

from tests.house.tree import modules

EMPTY_WORDS = {"util", "utils", "helper", "helpers", "common", "core", "manager", "base", "misc", "shared"}


def test_no_module_or_folder_has_an_empty_name() -> None:
    found = [
        module.place
        for module in modules()
        if EMPTY_WORDS & {part.removesuffix(".py") for part in PurePosixPath(module.place).parts}
    ]
    assert found == []


def test_no_class_is_called_new_or_manager() -> None:
    found = [
        f"{module.place}:{node.lineno} {node.name}"
        for module in modules("src")
        for node in module.nodes
        if isinstance(node, ast.ClassDef)
        and (node.name.endswith(("Manager", "Helper", "Util", "Utils")) or node.name.startswith("New"))
    ]
    assert found == []


def test_every_folder_of_the_source_is_a_package() -> None:
    places = {module.place for module in modules("src")}
    folders = {PurePosixPath(place).parent for place in places} - {PurePosixPath("src")}
    assert [str(folder) for folder in folders if f"{folder}/__init__.py" not in places] == []
