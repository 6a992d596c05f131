"""SQL stands in the store, in named queries with a purpose; exactly one module commits."""

from __future__ import annotations

import ast
import re

import pytest

from tests.house.tree import ROOT, Module, files, modules

SQL = re.compile(
    r"\b(SELECT\s.+\sFROM|INSERT\s+INTO|UPDATE\s+\S+\s+SET|DELETE\s+FROM|TRUNCATE\s"
    r"|(CREATE|ALTER|DROP)\s+(OR\s+REPLACE\s+)?(TABLE|SCHEMA|ROLE|FUNCTION|INDEX|TRIGGER|POLICY|VIEW|DATABASE))\b",
    re.DOTALL,
)
DOOR = "src/avow/store/transaction.py"

# Makes the tables as the owner, before anything is served; no record is written there.
INSTALLS = "src/avow/store/schema/install.py"

# Commits leaves and checkpoints, with which no record is written either.
SEALS = "src/avow/store/log/sealing.py"
# Hands each statement of a connection on, a commit included; it adds none of its own.
WATCHES = "src/avow/store/trials/watched.py"
NAMED = re.compile(r"^(.*)\n-- name: (\S+)\n(.*)$", re.MULTILINE)
PURPOSE = re.compile(r"-- (?!name:)\S.{8,}")


def docstrings(module: Module) -> set[int]:
    """The nodes that are documentation, where SQL may be spoken of."""
    scopes = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found: set[int] = set()
    for node in module.nodes:
        if isinstance(node, scopes) and node.body and isinstance(node.body[0], ast.Expr):
            found.add(id(node.body[0].value))
    return found


def test_no_sql_stands_outside_the_store() -> None:
    found: list[str] = []
    for module in modules("src"):
        if module.room == "store":
            continue
        spoken = docstrings(module)
        found += [
            f"{module.place}:{node.lineno} {node.value[:40]!r}"
            for node in module.nodes
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
            if id(node) not in spoken and SQL.search(node.value)
        ]
    assert found == []


@pytest.mark.parametrize("text", ["SELECT a FROM b", "INSERT INTO t", "UPDATE t SET a = 1", "CREATE TABLE t"])
def test_the_pattern_knows_sql_when_it_sees_it(text: str) -> None:
    assert SQL.search(text)


def test_only_the_transaction_commits() -> None:
    found: list[str] = []
    for module in modules("src"):
        if module.place in (DOOR, INSTALLS, SEALS, WATCHES):
            continue
        # The engine asks the door to commit; who may reach the door is held by ./test layers.
        banned = ("transaction", "begin") if module.room == "engine" else ("commit", "transaction", "begin")
        for line, name in module.calls():
            owner, _, method = name.rpartition(".")
            if owner and method in banned:
                found.append(f"{module.place}:{line} {name}")
    assert found == []


def test_every_query_has_a_name_of_its_own_and_a_purpose() -> None:
    names: list[str] = []
    for path in (path for path in files() if path.suffix == ".sql" and "store/sql" in path.as_posix()):
        for above, name, below in NAMED.findall(path.read_text()):
            names.append(name)
            where = f"{path.relative_to(ROOT)}: {name}"
            assert PURPOSE.match(above) or PURPOSE.match(below), f"{where} has no purpose line"
    assert len(names) == len(set(names))
