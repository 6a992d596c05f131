"""What `import avow` offers is what it says it offers."""

from __future__ import annotations

import ast
import tomllib
from importlib import import_module

import avow
from tests.house.tree import ROOT, SOURCE


def stub() -> ast.Module:
    return ast.parse((SOURCE / "__init__.pyi").read_text())


def homes_in_stub() -> dict[str, str | None]:
    """Each public name, and the module that it comes from."""
    imported = [node for node in stub().body if isinstance(node, ast.ImportFrom)]
    return {alias.name: node.module for node in imported for alias in node.names}


def listed_in_stub() -> list[str]:
    """What the stub says that there is."""
    (listed,) = (node for node in stub().body if isinstance(node, ast.Assign))
    return ast.literal_eval(listed.value)


def test_all_is_sorted_and_exact() -> None:
    assert list(avow.__all__) == sorted(avow.__all__) == listed_in_stub()
    assert set(avow.__all__) == homes_in_stub().keys()


def test_each_name_is_what_its_stub_says() -> None:
    found = {name: getattr(import_module(str(home)), name) for name, home in homes_in_stub().items()}
    assert {name: getattr(avow, name) for name in avow.__all__} == found


def test_every_public_name_can_be_reached_and_has_something_to_say() -> None:
    assert [name for name in avow.__all__ if not getattr(avow, name).__doc__] == []


def test_the_version_is_the_same_in_the_package_and_its_declaration() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert avow.__version__ == project["version"]
