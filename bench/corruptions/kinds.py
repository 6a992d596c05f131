"""Sorts of corruption: each is planted somewhere at random, and says which record it is about.

All are what a superuser can do by hand; the last few are consistent, so that only what lies outside finds
them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Any, Final, TypeAlias

from bench.corruptions.handed import flipped

Plant: TypeAlias = Callable[[Any, Random], Awaitable["str | None"]]
"""Plants one corruption on a connection; gives back the id of its record, None where it is about the log."""

ENTITIES: Final = ("enrollment.courses", "enrollment.enrollments")
MISPLACED: Final = 1_000


async def _any(connection: Any, chance: Random, table: str, columns: str, where: str = "true") -> Any:
    """Some row of a table."""
    rows = await connection.fetch(f"SELECT {columns} FROM {table} WHERE {where} ORDER BY 1")
    return chance.choice(rows)


def _bit(table: str, column: str, key: str, record: str | None, where: str = "true") -> Plant:
    """One bit of a column of bytes. record: the column with the record's id; None: of no record."""

    async def plant(connection: Any, chance: Random) -> str | None:
        row = await _any(connection, chance, table, f"{key}, {column}, {record or 'NULL'} AS record", where)
        await connection.execute(
            f"UPDATE {table} SET {column} = $1 WHERE {key} = $2", flipped(row[1], chance), row[0]
        )
        return row[2] and str(row[2])

    return plant


def _set(table: str, assignment: str, key: str, record: str | None, where: str = "true") -> Plant:
    """One row, set to something else."""

    async def plant(connection: Any, chance: Random) -> str | None:
        row = await _any(connection, chance, table, f"{key}, {record or 'NULL'} AS record", where)
        await connection.execute(f"UPDATE {table} SET {assignment} WHERE {key} = $1", row[0])
        return row[1] and str(row[1])

    return plant


def _delete(table: str, key: str, record: str | None, where: str = "true", then: str = "") -> Plant:
    """One row, removed; and what is done with its key besides."""

    async def plant(connection: Any, chance: Random) -> str | None:
        row = await _any(connection, chance, table, f"{key}, {record or 'NULL'} AS record", where)
        await connection.execute(f"DELETE FROM {table} WHERE {key} = $1", row[0])
        if then:
            await connection.execute(then, row[0])
        return row[1] and str(row[1])

    return plant


def _row(assignment: str, table: str, where: str = "true") -> Plant:
    return _set(table, assignment, "id", "id", where)


async def swap_in_a_record(connection: Any, chance: Random) -> str:
    """Two entries of a record in each other's place."""
    record = (await _any(connection, chance, "avow.audit", "id", "version = 2"))[0]
    await connection.execute(
        """UPDATE avow.audit a SET header = b.header, hash = b.hash FROM avow.audit b
           WHERE a.id = $1 AND b.id = $1 AND a.version + b.version = 3""", record,
    )  # fmt: skip
    return str(record)


async def swap_between_records(connection: Any, chance: Random) -> str:
    """The first entries of two records in each other's place."""
    rows = await connection.fetch("SELECT id FROM avow.audit WHERE version = 1 ORDER BY entry")
    one, two = (row[0] for row in chance.sample(rows, 2))
    await connection.execute(
        """UPDATE avow.audit a SET header = b.header, hash = b.hash FROM avow.audit b
           WHERE a.version = 1 AND b.version = 1 AND a.id <> b.id
             AND a.id IN ($1::uuid, $2::uuid) AND b.id IN ($1::uuid, $2::uuid)""", one, two,
    )  # fmt: skip
    return str(one)


async def replay(connection: Any, chance: Random) -> str:
    """The last entry of a record once more, as its next version."""
    record = (await _any(connection, chance, "avow.audit", "id"))[0]
    await connection.execute(
        """INSERT INTO avow.audit (tenant, kind, id, version, header, hash, at)
           SELECT tenant, kind, id, version + 1, header, hash, at FROM avow.audit WHERE id = $1
           ORDER BY version DESC LIMIT 1""", record,
    )  # fmt: skip
    return str(record)


async def forge(connection: Any, chance: Random) -> str:
    """A next entry of a record, hashed and linked as it must be."""
    record = (await _any(connection, chance, "avow.audit", "id"))[0]
    await connection.execute(FORGED, record)
    return str(record)


FORGED: Final = r"""
INSERT INTO avow.audit (tenant, kind, id, version, header, hash, at)
SELECT tenant, kind, id, version + 1, forged, sha256('\x00'::bytea || forged), at
FROM (SELECT * FROM avow.audit WHERE id = $1 ORDER BY version DESC LIMIT 1) a, LATERAL (
    SELECT regexp_replace(regexp_replace(convert_from(header, 'UTF8'), '"ver":\d+', '"ver":' || version + 1),
                          '"prev":"[0-9a-f]*"', '"prev":"' || encode(hash, 'hex') || '"')) t (text),
    LATERAL (SELECT convert_to(text, 'UTF8')) f (forged)
"""


async def backdate(connection: Any, chance: Random) -> str:
    """An entry with a number that the sealer has passed."""
    record = (await _any(connection, chance, "avow.audit", "id"))[0]
    await connection.execute(
        """INSERT INTO avow.audit (entry, tenant, kind, id, version, header, hash, at) OVERRIDING SYSTEM VALUE
           SELECT 0, tenant, kind, id, version + 1, header, hash, at FROM avow.audit WHERE id = $1
           ORDER BY version DESC LIMIT 1""", record,
    )  # fmt: skip
    return str(record)


async def swap_leaves(connection: Any, chance: Random) -> None:
    """Two leaves in each other's place: another order of what happened."""
    rows = await connection.fetch("SELECT index FROM avow.leaf ORDER BY index")
    one, two = sorted(row[0] for row in chance.sample(rows, 2))
    for old, new in ((one, -1), (two, one), (-1, two)):
        await connection.execute("UPDATE avow.leaf SET index = $2 WHERE index = $1", old, new)


async def rewrite(connection: Any, chance: Random) -> str:
    """The last entry of a record, with its hash, its row's head and its leaf: chain and leaves agree."""
    row = await _any(connection, chance, "enrollment.enrollments", "id, head")
    changed = await connection.fetchval(REWRITTEN, row[0])
    await connection.execute("UPDATE enrollment.enrollments SET head = $1 WHERE id = $2", changed, row[0])
    await connection.execute(
        "UPDATE avow.leaf l SET hash = a.hash FROM avow.audit a WHERE a.entry = l.entry AND a.id = $1", row[0]
    )
    return str(row[0])


REWRITTEN: Final = r"""
UPDATE avow.audit a SET header = n.new, hash = sha256('\x00'::bytea || n.new)
FROM (SELECT entry, convert_to(replace(convert_from(header, 'UTF8'), '"subject":"', '"subject":"x'), 'UTF8')
      FROM avow.audit WHERE id = $1 ORDER BY version DESC LIMIT 1) AS n (entry, new)
WHERE a.entry = n.entry RETURNING a.hash
"""


async def cut(connection: Any, _: Random) -> None:
    """The newest record, with all of its entries, leaves and checkpoints: as if it had never been."""
    record, first = await connection.fetchrow(
        "SELECT id, index FROM avow.leaf WHERE version = 1 ORDER BY index DESC LIMIT 1"
    )
    size, stack = await connection.fetchrow("SELECT size, stack FROM public.stack_at WHERE size = $1", first)
    for table in ENTITIES:
        await connection.execute(f"DELETE FROM {table} WHERE id = $1", record)
    await connection.execute("DELETE FROM avow.audit WHERE id = $1", record)
    await connection.execute("DELETE FROM avow.leaf WHERE index >= $1", first)
    await connection.execute("DELETE FROM avow.checkpoint WHERE size > $1", first)
    await connection.execute("UPDATE avow.log_state SET size = $1, stack = $2", size, stack)


KEY_CHANGED: Final = "overlay(key PLACING 'AAAA' FROM length(key) - 8)"
KINDS: Final[Mapping[str, Plant]] = {
    "a bit of an entry": _bit("avow.audit", "header", "entry", "id"),
    "a bit of an entry's hash": _bit("avow.audit", "hash", "entry", "id"),
    "an entry's version": _set("avow.audit", f"version = version + {MISPLACED}", "entry", "id"),
    "an entry's record": _set("avow.audit", "id = gen_random_uuid()", "entry", "id"),
    "an entry's tenant": _set("avow.audit", "tenant = tenant || 'x'", "entry", "id"),
    "an entry's kind": _set("avow.audit", "kind = kind || 'x'", "entry", "id"),
    "an entry's time": _set("avow.audit", "at = at + interval '1 day'", "entry", "id"),
    "an entry, gone": _delete("avow.audit", "entry", "id"),
    "an entry and its leaf, gone": _delete(
        "avow.audit", "entry", "id", then="DELETE FROM avow.leaf WHERE entry = $1"
    ),
    "two entries of a record, swapped": swap_in_a_record,
    "two entries of two records, swapped": swap_between_records,
    "an entry, replayed": replay,
    "an entry, forged": forge,
    "an entry, put in later": backdate,
    "a bit of a long value": _bit("avow.payload", "data", "sha256", None),
    "a long value, gone": _delete("avow.payload", "sha256", None),
    "a title": _row("title = title || 'x'", ENTITIES[0]),
    "a number": _row("seats = seats + 1", ENTITIES[0]),
    "a text": _row("essay = essay || 'x'", ENTITIES[1], "essay IS NOT NULL"),
    "a row's state": _row("state = 'withdrawn'", ENTITIES[1], "state <> 'withdrawn'"),
    "a row's version": _row("version = version + 1", ENTITIES[1]),
    "a bit of a row's head": _bit(ENTITIES[1], "head", "id", "id"),
    "a bit of a row's boundary": _bit(ENTITIES[1], "boundary", "id", "id"),
    "a row's time": _row("changed_at = changed_at + interval '1 us'", ENTITIES[1]),
    "a row, gone": _delete(ENTITIES[1], "id", "id"),
    "a bit of a leaf": _bit("avow.leaf", "hash", "index", "id"),
    "a leaf's record": _set("avow.leaf", "version = version + 1", "index", "id"),
    "a leaf, gone": _delete("avow.leaf", "index", "id"),
    "two leaves, swapped": swap_leaves,
    "a bit of a node": _bit("avow.node", "hash", "index", None),
    "a node, gone": _delete("avow.node", "index", None),
    "a bit of a checkpoint": _bit("avow.checkpoint", "root", "size", None),
    "a sign of a checkpoint": _set("avow.checkpoint", "note = '?' || note", "size", None),
    "a checkpoint's signature": _set(
        "avow.checkpoint", "note = overlay(note PLACING 'ABC' FROM length(note) - 9)", "size", None
    ),
    "a checkpoint's time": _set("avow.checkpoint", "at = at - interval '1 hour'", "size", None),
    "the newest checkpoint, gone": _delete(
        "avow.checkpoint", "size", None, "size = (SELECT max(size) FROM avow.checkpoint)"
    ),
    "the size of the log": _set("avow.log_state", "size = size - 1", "single", None),
    "a bit of the log's stack": _set("avow.log_state", "stack[1] = sha256(stack[1])", "single", None),
    "the log's name": _set("avow.log", "origin = origin || 'x'", "epoch", None),
    "the log's key": _set("avow.log", f"key = {KEY_CHANGED}", "epoch", None),
    "an entry, rewritten with all that hangs on it": rewrite,
    "the newest record, cut off with all that hangs on it": cut,
}
"""Every sort of what is done in the database, by its name."""
