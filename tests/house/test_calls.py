"""Time, chance and waiting come in by one door each."""

from __future__ import annotations

import ast

from tests.house.tree import PURE_ROOMS, modules

CLOCK = ("datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.time_ns")
CHANCE = (
    "uuid1",
    "uuid4",
    "uuid6",
    "uuid7",
    "urandom",
    "token_hex",
    "token_bytes",
    "token_urlsafe",
    "randint",
)
SLEEP = ("time.sleep", "asyncio.sleep", "anyio.sleep", "sleep")

# The one function that polls a real condition until a deadline lives in a file of this name.
MAY_SLEEP = "/polling.py"

# Annotations of a declaration are the owner's own source, and are read where they were written.
MAY_EVALUATE = {("src/avow/declare/annotation.py", "eval")}


# What every command passes through, beside the kernel.
COMMAND_PATH = {
    "src/avow/api/app.py", "src/avow/api/commands.py", "src/avow/api/cycle.py", "src/avow/api/exchange.py",
    "src/avow/api/headers.py", "src/avow/api/ingress.py", "src/avow/api/json_text.py",
    "src/avow/api/protocol.py", "src/avow/engine/attempt.py", "src/avow/engine/entries.py",
    "src/avow/engine/execute.py", "src/avow/engine/memory.py", "src/avow/engine/turns.py",
    "src/avow/evidence/entry.py", "src/avow/model/types.py", "src/avow/store/loading.py",
    "src/avow/store/pool.py", "src/avow/store/sharing.py", "src/avow/store/transaction.py",
}  # fmt: skip
CONTAINERS = {"dict", "list", "set"}


def ends_with(name: str, endings: tuple[str, ...]) -> bool:
    return any(name == ending or name.endswith(f".{ending}") for ending in endings)


def test_pure_rooms_ask_nobody_for_the_time_or_for_chance() -> None:
    found = [
        f"{module.place}:{line} {name}"
        for module in modules("src")
        if module.room in PURE_ROOMS
        for line, name in module.calls()
        if ends_with(name, CLOCK + CHANCE)
    ]
    assert found == []


def test_no_room_takes_a_time_without_a_zone() -> None:
    found = [
        f"{module.place}:{line} {name}"
        for module in modules("src")
        for line, name in module.calls()
        if ends_with(name, ("datetime.utcnow", "datetime.today", "date.today", "utcfromtimestamp"))
    ]
    assert found == []


def test_no_test_sleeps() -> None:
    found = [
        f"{module.place}:{line} {name}"
        for module in modules("tests")
        if not module.place.endswith(MAY_SLEEP)
        for line, name in module.calls()
        if ends_with(name, SLEEP)
    ]
    assert found == []


def test_nothing_in_the_source_runs_text_as_code_or_unpickles() -> None:
    found = [
        f"{module.place}:{line} {name}"
        for module in modules("src")
        for line, name in module.calls()
        if name in ("eval", "exec") or name.startswith(("pickle.", "marshal.", "shelve."))
        if (module.place, name) not in MAY_EVALUATE
    ]
    assert found == []


def test_there_is_one_way_to_wait_in_a_test() -> None:
    assert len([module for module in modules("tests") if module.place.endswith(MAY_SLEEP)]) <= 1


def test_no_container_of_a_command_is_made_through_its_generic_alias() -> None:
    """`dict[str, int]()` tries to keep its alias in the dictionary, and drops an AttributeError: it takes
    fifty times as long as `{}`."""
    found = [
        f"{module.place}:{node.lineno}"
        for module in modules("src")
        if module.room == "kernel" or module.place in COMMAND_PATH
        for node in module.nodes
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Subscript)
        and isinstance(node.func.value, ast.Name) and node.func.value.id in CONTAINERS
    ]  # fmt: skip
    assert found == []
