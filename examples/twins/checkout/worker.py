"""Makes the calls that stand in the table of jobs, and ends orders that nobody has paid.

Any number of processes may do this at once. A job is taken by writing a lock with an end into its row; a
worker that dies leaves a lock that runs out, and the next one makes the same call again, under the same key.
"""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.exc import SQLAlchemyError

from examples.twins.service.database import Sessions, transaction
from examples.twins.service.problems import ProblemError

from .calls import CALLS, Work, record, record_refusal
from .orders import call_off, lock
from .outside import Outside, Refused, Unavailable
from .tables import Job, Order, Refund

AT_ONCE = 20
POLL_S = 0.2
LOCK_S = 30.0
"""Longer than any call lasts: an older lock belongs to a dead worker."""
ATTEMPTS_MAX = 12
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 300.0
FAULTS = (ProblemError, SQLAlchemyError, OSError)
"""What a transaction ends with when the database can't."""

log = logging.getLogger(__name__)


class Worker:
    """The jobs of one process."""

    def __init__(self, sessions: Sessions, outside: Outside, lock_s: float = LOCK_S) -> None:
        self._sessions, self._outside, self._lock_s = sessions, outside, lock_s
        self._me = uuid.uuid4()
        self._running = set[asyncio.Task[None]]()

    async def run(self) -> None:
        """Until cancelled. A fault of the database ends nothing: what was taken comes back by itself."""
        while True:
            try:
                for job in await self._take(AT_ONCE - len(self._running)):
                    task = asyncio.create_task(self._do(job))
                    self._running.add(task)
                    task.add_done_callback(self._running.discard)
                await self._end_unpaid()
            except FAULTS as error:
                log.warning("the work was interrupted: %s", type(error).__name__)
            await asyncio.sleep(POLL_S)

    async def _take(self, room: int) -> list[Job]:
        """Lock what is ready and nobody is at."""
        now = func.clock_timestamp()
        free = or_(Job.locked_until.is_(None), Job.locked_until < now)
        ready = select(Job.id).where(Job.dead.is_(None), Job.ready_at <= now, free)
        ready = ready.order_by(Job.ready_at).limit(room).with_for_update(skip_locked=True)
        mine = {"locked_by": self._me, "locked_until": now + timedelta(seconds=self._lock_s)}
        async with transaction(self._sessions) as session:
            taken = update(Job).where(Job.id.in_(ready)).values(attempts=Job.attempts + 1, **mine)
            return list(await session.scalars(taken.returning(Job)))

    async def _do(self, job: Job) -> None:
        """One attempt; where the database fails, the job's lock runs out and somebody takes it again."""
        try:
            await self._attempt(job)
        except FAULTS as error:
            log.warning("%s of order %s was interrupted: %s", job.name, job.order, type(error).__name__)

    async def _attempt(self, job: Job) -> None:
        """From the look at the order to the record of what came of it."""
        async with transaction(self._sessions) as session:
            order = await session.get_one(Order, job.order)
            refund = None if job.refund is None else await session.get_one(Refund, job.refund)
        kind = CALLS[job.name]
        if kind.wanted is not None and order.state != kind.wanted:
            await self._drop(job)  # the order was cancelled: nobody wants this call any more
            return
        work = Work(job, order, refund)
        try:
            said = await kind.send(self._outside, work)
        except Unavailable as error:
            await self._try_again(job, str(error))
        except Refused as error:
            await self._conclude(work, None, error.code)
        else:
            await self._conclude(work, said, "")

    async def _conclude(self, work: Work, said: dict[str, object] | None, code: str) -> None:
        """Record it and delete the job, in one transaction; a worker that was overtaken records nothing."""
        job = work.job
        async with transaction(self._sessions) as session:
            order = await lock(session, job.order)
            held = await session.scalar(self._mine(select(Job), job).with_for_update())
            if order is None or held is None:
                return
            if said is not None:
                await record(session, work, order, said)
            elif not await record_refusal(session, work, order, code):
                held.dead, held.locked_until = code, None
                log.error("%s of order %s waits for a person: %s", job.name, job.order, code)
                return
            await session.delete(held)

    async def _try_again(self, job: Job, reason: str) -> None:
        """After a pause that doubles; after so many attempts a person has to look at it."""
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (job.attempts - 1)) * (0.5 + random.random() / 2)
        values = {
            "locked_until": None,
            "ready_at": func.clock_timestamp() + timedelta(seconds=pause_s),
            "dead": reason if job.attempts >= ATTEMPTS_MAX else None,
        }
        async with transaction(self._sessions) as session:
            await session.execute(self._mine(update(Job), job).values(values))

    async def _drop(self, job: Job) -> None:
        async with transaction(self._sessions) as session:
            await session.execute(self._mine(delete(Job), job))

    def _mine(self, statement: Any, job: Job) -> Any:
        return statement.where(Job.id == job.id, Job.locked_by == self._me, Job.attempts == job.attempts)

    async def _end_unpaid(self) -> None:
        """Orders whose time to pay is over; each by itself, and none that somebody else is at."""
        now = func.clock_timestamp()
        due = select(Order).where(Order.state == "awaiting", Order.pay_until <= now)
        async with transaction(self._sessions) as session:
            for order in await session.scalars(due.limit(AT_ONCE).with_for_update(skip_locked=True)):
                await call_off(session, order, "lapse", problem="unpaid")
