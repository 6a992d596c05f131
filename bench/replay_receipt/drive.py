"""Giving what the log has, at the times of the log: the clock, the commands, the outages.

It must never set the clock on while a deadline is due that a living worker could let come.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from avow.engine.execute import Engine, Reply, Request
from avow.errors import ProblemError
from avow.model.actor import Actor
from avow.model.values import Subject
from avow.store import trial
from avow.store.driver import Connection
from bench.replay.crashes import Worker
from bench.replay.sending import ONE_IN, Step, Tally
from bench.replay_receipt.log import CLOSING, MEANS, RECEIPT, STOP, Activity, Case
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

_Moment = tuple[datetime, int, int, Callable[[], Awaitable[None]]]
_OUTAGE_BEGINS, _OUTAGE_ENDS, _DEADLINE, _ACTIVITY, _CLOSING = range(5)


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

    async def _kill_both(self) -> None:
        for worker in self._workers:
            self._kill(worker)

    async def _come_back(self) -> None:
        """The first worker comes back and is killed in the middle of catching up; then both do."""
        first, waiting = self._workers[0], await self._admin.fetchrow(DUE)
        if waiting["works"]:
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
            means = MEANS[activity.name]
            held = self._records.get((case.name, means.about))
            begins = means.begins and (held is None or means.again is None)
            if held is None and not begins:
                self.tally.refused[activity.name, NEVER_BEGUN] += 1
                return
            given: dict[str, Any] = {}
            if begins:
                given = {"permit": self._records[case.name, "permit"]}
                given |= {} if means.about == STOP else {"kind": Kind(means.about)}
            elif means.number is not None:
                given = {"aspect" if means.command == "advise" else "party": means.number}
            command = means.command if begins or means.again is None else means.again
            entity = "Assessment" if means.about == STOP else "Letter"
            record = await self._give(
                f"{case.name}/{place}",
                activity.name,
                entity,
                command,
                None if begins else held,
                activity.by,
                given,
            )
            if begins and record is not None:
                self._records[case.name, means.about] = record

        return happen

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


async def _nothing() -> None:
    """A deadline: it is for the workers."""


def _code(reply: Reply) -> str:
    if reply.problem is not None:
        return reply.problem.code
    return str(json.loads(reply.body)["type"]).rpartition("/")[2]
