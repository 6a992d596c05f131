"""A worker on a database whose time stands still: what serves and works in earnest refuses such a one.

Says a line once it works, and ends on SIGTERM. The database is AVOW_DATABASE_URL.
"""

from __future__ import annotations

import asyncio
import os
import signal

from avow.api.app import problem_body
from avow.engine.execute import Engine
from avow.engine.workers.inside import WorkInside
from avow.store.pool import Pool
from bench.replay_receipt.system import app


async def work(url: str) -> None:
    """Work until SIGTERM."""
    pool, ending = Pool(url), asyncio.Event()
    inside = WorkInside(app, Engine(app, pool, problem_body), url, {})
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    inside.start()
    print("working", flush=True)
    try:
        await ending.wait()
    finally:
        await inside.close()
        await pool.close()


if __name__ == "__main__":
    asyncio.run(work(os.environ["AVOW_DATABASE_URL"]))
