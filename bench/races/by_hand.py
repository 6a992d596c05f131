"""The races by hand, as people write them with psycopg2, for frontrun to explore; each with its mended twin.

What is missing in the first of each pair is one line, as it is in the declared one.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Final

import frontrun
import psycopg2
import psycopg2.errors

from bench.races.result import Result

EXECUTIONS_MAX: Final = 2_000
SECONDS_MAX: Final = 20.0
LOCK_MS_MAX: Final = 100

TABLES: Final = """
DROP SCHEMA IF EXISTS by_hand CASCADE;
CREATE SCHEMA by_hand;
CREATE TABLE by_hand.hall (id int PRIMARY KEY, places int NOT NULL, is_open boolean NOT NULL DEFAULT true);
CREATE TABLE by_hand.ticket (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, hall int NOT NULL, holder text);
CREATE TABLE by_hand.answer (key text PRIMARY KEY, ticket int);
"""
EMPTY: Final = """
DELETE FROM by_hand.ticket; DELETE FROM by_hand.answer; DELETE FROM by_hand.hall;
INSERT INTO by_hand.hall (id, places) VALUES (1, 1), (2, 1);
"""


class World:
    """The database at the beginning of one execution."""

    url = ""

    def __init__(self) -> None:
        with self.transaction() as cursor:
            cursor.execute(EMPTY)

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """A transaction on a connection of its own."""
        connection = psycopg2.connect(self.url)
        try:
            with connection, connection.cursor() as cursor:
                yield cursor
        except psycopg2.errors.LockNotAvailable:
            pass  # somebody was quicker, and stands still while this one is let go on: it gives up
        finally:
            connection.close()

    def count(self, sql: str) -> int:
        """What a query counts."""
        with self.transaction() as cursor:
            cursor.execute(sql)
            return cursor.fetchone()[0]


def _buy_once(world: World, *, look_again: bool) -> None:
    """Sell a ticket for a request that may come twice under one key."""
    with world.transaction() as cursor:
        cursor.execute("SELECT key FROM by_hand.answer WHERE key = 'k'")
        if cursor.fetchone() is not None:
            return
        cursor.execute("INSERT INTO by_hand.answer (key) VALUES ('k') ON CONFLICT DO NOTHING RETURNING key")
        if cursor.fetchone() is not None or not look_again:
            cursor.execute("INSERT INTO by_hand.ticket (hall, holder) VALUES (1, 'ben') RETURNING id")
            cursor.fetchone()


def _hold(world: World, *, lock: bool) -> None:
    """Sell a ticket, unless there are as many as there are places."""
    with world.transaction() as cursor:
        cursor.execute(
            "SELECT places FROM by_hand.hall WHERE id = 1 FOR UPDATE" if lock
            else "SELECT places FROM by_hand.hall WHERE id = 1"
        )  # fmt: skip
        (places,) = cursor.fetchone() or (0,)
        cursor.execute("SELECT count(*) FROM by_hand.ticket WHERE hall = 1")
        (sold,) = cursor.fetchone() or (0,)
        if sold < places:
            cursor.execute("INSERT INTO by_hand.ticket (hall, holder) VALUES (1, 'ben') RETURNING id")
            cursor.fetchone()


def _close(world: World, own: int, partner: int, *, lock: bool) -> None:
    """Close a hall, as long as its partner is open."""
    with world.transaction() as cursor:
        if lock:
            cursor.execute("SELECT id FROM by_hand.hall ORDER BY id FOR UPDATE")
            cursor.fetchall()
        cursor.execute("SELECT is_open FROM by_hand.hall WHERE id = %s", (partner,))
        (is_open,) = cursor.fetchone() or (False,)
        if is_open:
            cursor.execute("UPDATE by_hand.hall SET is_open = false WHERE id = %s", (own,))


Workers = list[Callable[[World], None]]


def _one_ticket(world: World) -> bool:
    return world.count("SELECT count(*) FROM by_hand.ticket") == 1


def _one_open(world: World) -> bool:
    return world.count("SELECT count(*) FROM by_hand.hall WHERE is_open") >= 1


def _double(mended: bool) -> Workers:
    return [lambda world: _buy_once(world, look_again=mended)] * 2


def _oversold(mended: bool) -> Workers:
    return [lambda world: _hold(world, lock=mended)] * 2


def _skew(mended: bool) -> Workers:
    return [lambda world: _close(world, 1, 2, lock=mended), lambda world: _close(world, 2, 1, lock=mended)]


RACES: Final[Mapping[str, tuple[Callable[[bool], Workers], Callable[[World], bool]]]] = {
    "double": (_double, _one_ticket),
    "oversold": (_oversold, _one_ticket),
    "skew": (_skew, _one_open),
}
"""By race: what runs at once, with the mistake or without, and what must stay true."""


def run(url: str, race: str) -> Result:
    """One race, with its mistake and without."""
    World.url = url
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute(TABLES)
    connection.close()
    broken, mended = _explore(race, mended=False), _explore(race, mended=True)
    notes = "; ".join(dict.fromkeys(note for *_, note in (broken, mended) if note))
    return Result(race, f"frontrun {frontrun.__version__}", *broken[:3], *mended[:3], notes)


def _explore(race: str, *, mended: bool) -> tuple[bool, int, float, str]:
    """Whether anything broke, after how many executions, after how long; and the error, if there was one."""
    workers, invariant = RACES[race]
    began = time.perf_counter()
    try:
        result = frontrun.explore(
            setup=World, workers=workers(mended), invariant=invariant, preemption_bound=None,
            max_executions=EXECUTIONS_MAX, total_timeout=SECONDS_MAX, reproduce_on_failure=0,
            lock_timeout=LOCK_MS_MAX,
        )  # fmt: skip
    except Exception as error:  # noqa: BLE001 - whatever the other tool ends with is its result
        return False, 0, time.perf_counter() - began, f"{type(error).__name__}: {error}"[:200]
    seconds = time.perf_counter() - began
    note = "" if seconds < SECONDS_MAX else "ended by the time limit"
    return not result.property_holds, result.num_explored, seconds, note


if __name__ == "__main__":
    print(json.dumps([asdict(run(sys.argv[1], race)) for race in RACES]))
