"""Giving what the log has, at the times of the log: the clock, the commands, the outages.

It must never set the clock on while a deadline is due that a living worker could let come.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from avow.engine.execute import Engine, Reply, Request
from avow.engine.workers.worker import POLL_S
from avow.errors import ProblemError
from avow.model.actor import Actor
from avow.model.values import Subject
from avow.store.driver import Connection
from avow.store.trials import trial
from bench.replay.crashes import Worker
from bench.replay.sending import ONE_IN, Step, Tally
from bench.replay_receipt.log import CLOSING, MEANS, RECEIPT, STOP, Activity, Case, Means
from bench.replay_receipt.outages import Outage
from bench.replay_receipt.system import ESCALATION, Kind

DEAD_AFTER_S = 1.5
"""How long nothing may happen to what has been taken, before its worker is believed dead."""
LOOK_EVERY_S = 0.005
SETTLED_S_MAX = 60.0
NEVER_BEGUN = "never-begun"
"""Why an activity isn't given: the one that creates its record was refused, or never was."""

DUE = """
SELECT count(*) FILTER (WHERE ready_at <= avow.now()) AS ready,
    max(ready_at) FILTER (WHERE ready_at > avow.now()) AS leased_until, count(*) AS works
FROM avow.work WHERE due <= avow.now() AND stuck IS NULL
"""

WATCHED_ONE_IN = 10
"""Of every how manyeth case the clock stands just before its deadlines, for workers that are too eager."""
JUST_BEFORE = timedelta(milliseconds=1)

_Moment = tuple[datetime, int, int, Callable[[], Awaitable[None]]]
_OUTAGE_BEGINS, _OUTAGE_ENDS, _ALMOST, _DEADLINE, _ACTIVITY, _CLOSING = range(6)


class Drive:
    """One run. workers: started already.

    left_behind: what killed workers had taken and not brought to an end. leases: how often the clock was
    set on to where the lease of such a one ends.
    """

    def __init__(
        self, engine: Engine, admin: Connection, workers: Sequence[Worker], finished: Callable[[], None]
    ) -> None:
        self.tally = Tally()
        self.left_behind, self.leases, self.kills = 0, 0, 0
        self._engine, self._admin, self._workers, self._finished = engine, admin, workers, finished
        self._killed_in_between = False
        self._records = dict[tuple[str, str], UUID]()
        self._now = datetime.min.replace(tzinfo=UTC)

    async def run(self, cases: Sequence[Case], outages: Sequence[Outage]) -> None:
        """From the first moment of the log to its last deadline."""
        for at, _, _, happen in sorted(self._moments(cases, outages), key=lambda moment: moment[:3]):
            await self._set_clock(max(at, self._now))
            await happen()
            await self._settle()
            self._finished()

    def _moments(self, cases: Sequence[Case], outages: Sequence[Outage]) -> Iterator[_Moment]:
        for outage in outages:
            yield outage.begins, _OUTAGE_BEGINS, 0, self._kill_both
            yield outage.ends, _OUTAGE_ENDS, 0, self._come_back
        for number, case in enumerate(cases):
            for due in (case.deadline, case.planned_end + ESCALATION):
                if due > case.received:
                    yield due, _DEADLINE, number, _nothing
                    if number % WATCHED_ONE_IN == 0 and (case.closing is None or due <= case.closing):
                        yield due - JUST_BEFORE, _ALMOST, number, self._watch
            for place, activity in enumerate(case.activities):
                yield activity.at, _ACTIVITY, number, self._activity(case, place, activity)
            if case.closing is not None:
                yield case.closing, _CLOSING, number, self._closing(case)

    async def _set_clock(self, moment: datetime) -> None:
        self._now = moment
        await trial.stop_clock(self._admin, moment)

    async def _settle(self) -> None:
        """Until everything is done that is due, if anybody is there to do it."""
        if not any(worker.alive for worker in self._workers):
            return
        clock = asyncio.get_running_loop().time
        began_s = changed_s = clock()
        before: Any = None
        while (found := await self._admin.fetchrow(DUE))["works"]:
            now_s = clock()
            if found != before:
                before, changed_s = found, now_s
            elif not found["ready"] and now_s - changed_s > DEAD_AFTER_S:
                self.leases += 1
                await self._set_clock(found["leased_until"])
            if now_s - began_s > SETTLED_S_MAX:
                raise TimeoutError(f"{found['works']} deadlines don't come, at {self._now}")
            await asyncio.sleep(LOOK_EVERY_S)

    async def _watch(self) -> None:
        """Long enough for each living worker to look for what is ready."""
        if any(worker.alive for worker in self._workers):
            await asyncio.sleep(2 * POLL_S)

    async def _kill_both(self) -> None:
        for worker in self._workers:
            self._kill(worker)

    async def _come_back(self) -> None:
        """Both workers come back; every other time, the first one has been killed while it caught up."""
        first, waiting = self._workers[0], await self._admin.fetchrow(DUE)
        self._killed_in_between = not self._killed_in_between
        if waiting["works"] and self._killed_in_between:
            await asyncio.to_thread(first.start)
            left = waiting
            while left == waiting:
                left = await self._admin.fetchrow(DUE)
            self._kill(first)
            left = await self._admin.fetchrow(DUE)
            self.left_behind += left["works"] - left["ready"]
        await asyncio.gather(*(asyncio.to_thread(worker.start) for worker in self._workers))

    def _kill(self, worker: Worker) -> None:
        worker.kill()
        self.kills += 1

    def _activity(self, case: Case, place: int, activity: Activity) -> Callable[[], Awaitable[None]]:
        async def happen() -> None:
            if activity.name == RECEIPT:
                await self._receive(case, activity)
            means, key = MEANS[activity.name], f"{case.name}/{place}"
            held = self._records.get((case.name, means.about))
            if means.begins and (held is None or means.again is None):
                await self._begin(case, activity, means, key)
            elif held is None:
                self.tally.refused[activity.name, NEVER_BEGUN] += 1
            else:
                given = {} if means.number is None else {_NUMBERED[means.command]: means.number}
                kind, command = _kind(means), means.again or means.command
                await self._give(key, activity.name, kind, command, held, activity.by, given)

        return happen

    async def _begin(self, case: Case, activity: Activity, means: Means, key: str) -> None:
        """The activity by which a letter or the assessment comes into being."""
        given: dict[str, Any] = {"permit": self._records[case.name, "permit"]}
        if means.about != STOP:
            given["kind"] = Kind(means.about)
        record = await self._give(key, activity.name, _kind(means), means.command, None, activity.by, given)
        if record is not None:
            self._records[case.name, means.about] = record

    async def _receive(self, case: Case, activity: Activity) -> None:
        given = {
            "case": case.name,
            "department": case.department,
            "channel": case.channel,
            "responsible": Subject(case.responsible),
            "deadline": case.deadline.astimezone(UTC),
            "planned_end": case.planned_end.astimezone(UTC),
        }
        record = await self._give(
            f"{case.name}/permit", activity.name, "Permit", "receive", None, activity.by, given
        )
        assert record is not None
        self._records[case.name, "permit"] = record

    def _closing(self, case: Case) -> Callable[[], Awaitable[None]]:
        async def happen() -> None:
            permit = self._records[case.name, "permit"]
            await self._give(f"{case.name}/close", CLOSING, "Permit", "close", permit, case.responsible, {})

        return happen

    async def _give(
        self, key: str, activity: str, entity: str, command: str, record: UUID | None, by: str,
        given: Mapping[str, Any],
    ) -> UUID | None:  # fmt: skip
        """Give one command, every tenth twice in the same moment; the record, unless it was refused."""
        request = Request(
            entity, command, record, given, Actor(Subject(by), "main", frozenset({"officer"})),
            key, key.encode(), key,
        )  # fmt: skip
        self.tally.keys += 1
        copies = 2 if zlib.crc32(key.encode()) % ONE_IN == 0 else 1
        replies = await asyncio.gather(*(self._execute(request) for _ in range(copies)))
        reply = replies[0]
        if len({(reply.status, reply.body, reply.version) for reply in replies}) > 1:
            self.tally.disagreements.append(f"{key}: {[(reply.status, reply.body) for reply in replies]}")
        if sum(not reply.replayed for reply in replies) > 1:
            self.tally.executed_twice.append(key)
        if reply.status >= 400 or reply.record is None or reply.version is None:
            self.tally.refused[activity, _code(reply)] += 1
            return None
        self.tally.accepted.append(Step(entity, reply.record, reply.version, command))
        return reply.record

    async def _execute(self, request: Request) -> Reply:
        try:
            return await self._engine.execute(request)
        except ProblemError as error:
            return Reply(error.problem.status, problem=error.problem)


_NUMBERED = {"advise": "aspect", "hear": "party"}
"""What the number of an activity says, by its command."""


def _kind(means: Means) -> str:
    return "Assessment" if means.about == STOP else "Letter"


async def _nothing() -> None:
    """A deadline: it is for the workers."""


def _code(reply: Reply) -> str:
    if reply.problem is not None:
        return reply.problem.code
    return str(json.loads(reply.body)["type"]).rpartition("/")[2]
