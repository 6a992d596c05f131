"""What serves reads no whole table, though its plans are kept from when there was next to nothing in them."""

from __future__ import annotations

from pathlib import Path

from avow.store.driver import Connection
from avow.store.pool import KEPT_PLANS, connect
from avow.store.queue import keep
from tests.fix_database import Database
from tests.store.counted import all_told, begin_at_nothing
from tests.store.payment import Outside, Receipt
from tests.store.sealed import sealing
from tests.store.shop import MakeShop

ROUNDS = 4
NEVER_MORE = ("clock", "log", "log_state", "boundary", "edge")
"""Tables that don't grow with what is done."""
READ = f"""
    SELECT relname, seq_scan FROM pg_stat_user_tables
    WHERE seq_scan > 0 AND relname NOT IN {NEVER_MORE} ORDER BY relname
"""
GIVEN_UP = "SELECT nextval(pg_get_serial_sequence('avow.audit', 'entry'))"


async def test_neither_commands_nor_calls_nor_times_read_one(shop: MakeShop, outside: Outside) -> None:
    async with shop() as s:
        await begin_at_nothing(s.admin)
        keeping = await connect(s.url, KEPT_PLANS)
        for number in range(ROUNDS):
            outside.answers = [Receipt(f"ch_{number}", 5)]
            record = await s.capturing()
            assert (await s.do("extend", record)).status == 409
            assert await s.worker.step() == 1
            await keep(keeping, [(number, 1)], 15.0)
        await keeping.close()
        await s.pool.close()
        assert await whole_tables(s.admin) == {}


async def test_sealing_reads_none_not_even_where_numbers_are_missing(made: Database, tmp_path: Path) -> None:
    """A number that was drawn and given up is looked for again, among whatever has been sealed since."""
    async with sealing(made, tmp_path) as log:
        await log.admin.execute("SELECT pg_stat_reset()")
        for number in range(ROUNDS):
            await log.append(2 * number + 1, 2)
            await log.admin.execute(GIVEN_UP)
            assert await log.seal() == 2
    admin = await connect(made.admin_url)
    assert await whole_tables(admin) == {}
    await admin.close()


async def whole_tables(admin: Connection) -> dict[str, int]:
    """Which tables were read as a whole, and how often, by connections that are closed."""
    await all_told(admin)
    return {row["relname"]: row["seq_scan"] for row in await admin.fetch(READ)}
