"""A place before and after each statement: none is there unless a pool is given one, and it sees them all."""

from __future__ import annotations

from typing import Any

import pytest

from avow.engine.execute import Engine
from avow.store import driver
from avow.store.pool import Pool, connect
from avow.store.trials.watched import BEGIN, COMMIT, ROLLBACK, Send, Statement, Watched
from tests.fix_database import Database
from tests.store.company import request
from tests.store.theatre import theatre

pytestmark = pytest.mark.anyio


class Notes:
    """Notes the statements; of one, from `lost` on, the answer never arrives."""

    def __init__(self, lost: str = "") -> None:
        self.names, self.lost = list[str](), lost

    async def through(self, session: Watched, statement: Statement, send: Send) -> Any:
        self.names.append(statement.name)
        answer = await send()
        if statement.name == self.lost:
            self.lost = ""
            session.terminate()
            raise ConnectionResetError("the answer is lost")
        return answer


def watched(made: Database, gate: Notes) -> Pool:
    async def open_() -> driver.Connection:
        connection = await connect(made.application_url)
        return Watched(connection, gate, lambda kept: kept.terminate())

    return Pool("", 2, opens=open_)


def serving(pool: Pool) -> Engine:
    return Engine(theatre, pool, lambda problem, _: problem.code.encode())


async def test_a_pool_without_a_gate_has_the_drivers_own_connections(made: Database) -> None:
    pool = Pool(made.application_url, 1)
    async with pool.borrow() as connection:
        assert type(connection).__module__.startswith("asyncpg")
    await pool.close()


async def test_a_gate_sees_every_statement_by_its_name(made: Database) -> None:
    gate = Notes()
    pool = watched(made, gate)
    reply = await serving(pool).execute(request("Hall", "found", None, {}))
    assert (reply.status, gate.names) == (201, ["load", "commit"])
    async with pool.borrow() as connection:
        for end in ("commit", "rollback"):
            transaction = connection.transaction()
            await transaction.start()
            await getattr(transaction, end)()
    assert gate.names[2:] == [BEGIN, COMMIT, BEGIN, ROLLBACK]
    await pool.close()


async def test_a_commit_whose_answer_is_lost_is_found_under_its_key(made: Database) -> None:
    """P3: the first attempt was committed, and nobody was told; the engine itself asks again."""
    gate = Notes("commit")
    pool = watched(made, gate)
    reply = await serving(pool).execute(request("Hall", "found", None, {}))
    assert (reply.status, reply.replayed, gate.names) == (201, True, ["load", "commit", "load"])
    await pool.close()
