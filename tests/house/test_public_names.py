"""What `import avow` offers is what it says it offers."""

from __future__ import annotations

import ast
import tomllib

import avow
from tests.house.tree import ROOT, SOURCE


def names_in_source() -> set[str]:
    tree = ast.parse((SOURCE / "__init__.py").read_text())
    imported = [
        node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module != "__future__"
    ]
    return {alias.asname or alias.name for node in imported for alias in node.names}


def test_all_is_sorted_and_exact() -> None:
    assert list(avow.__all__) == sorted(avow.__all__)
    assert set(avow.__all__) == names_in_source()


def test_every_public_name_can_be_reached_and_has_something_to_say() -> None:
    assert [name for name in avow.__all__ if not getattr(avow, name).__doc__] == []


def test_the_version_is_the_same_in_the_package_and_its_declaration() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert avow.__version__ == project["version"]
