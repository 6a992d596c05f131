"""Time, chance and waiting come in by one door each."""

from __future__ import annotations

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
