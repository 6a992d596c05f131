"""A broad except that does not raise again swallows our own bugs; each one is listed with its reason."""

from __future__ import annotations

import ast
from collections import Counter

from tests.house.tree import modules

BROAD = {"Exception", "BaseException"}

# Where somebody else's code runs, or where the last answer must still be given.
REASONS = {
    "src/avow/api/app.py": "the HTTP edge answers 500 instead of dropping the connection",
    "src/avow/api/cycle.py": "an application may raise anything; its request is answered all the same",
    "src/avow/cli/group.py": "the command line's edge: a crash must not look like a finding",
    "src/avow/declare/annotation.py": "an owner's annotation may raise anything; it stays text",
    "src/avow/engine/privacy/asking.py": "an owner's keyring may raise anything, with a key in its words",
    "src/avow/engine/workers/calls.py": "an owner's effect may raise anything; what it did isn't known then",
    "src/avow/engine/workers/threads.py": "what an owner's function raises is raised where it is awaited",
    "src/avow/engine/workers/doing.py": "a worker goes on, whatever one work does; that one is stuck",
    "src/avow/prove/promises.py": "an owner's promise may raise anything; it doesn't hold then",
    "src/avow/prove/turns.py": "a phase of prove that fails takes nothing from what the others have found",
    "src/avow/store/sharing.py": "a shared failure is raised again where each result is awaited",
}


def is_broad(handler: ast.ExceptHandler) -> bool:
    caught = handler.type
    if caught is None:
        return True
    names = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    raises_again = isinstance(handler.body[-1], ast.Raise)
    return not raises_again and any(isinstance(name, ast.Name) and name.id in BROAD for name in names)


def test_each_broad_except_has_a_reason() -> None:
    found = Counter(
        module.place
        for module in modules("src")
        for node in module.nodes
        if isinstance(node, ast.ExceptHandler) and is_broad(node)
    )
    assert {place: count for place, count in found.items() if place not in REASONS or count > 1} == {}
