"""Events from outside: each becomes, once, a command of the records that listen to it, or is kept.

What the sender calls the message is the idempotency key of these commands, under the sender's own subject. So
a message that comes twice, also at the same time, happens once, in the transaction that its key is kept in.
What comes too early is parked with everything else that is to be done later, and tried again when its record
has changed.
"""

from __future__ import annotations

import hashlib
import logging
import random
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from avow.engine.execute import Engine, Reply, Request
from avow.engine.identifier import id_of
from avow.engine.workers.parking import Parking
from avow.errors import Problem
from avow.model.actor import Actor
from avow.model.draft import BodyFault
from avow.model.effect import Backoff
from avow.model.entity import Entity
from avow.model.sender import Sender
from avow.model.system import System, listening
from avow.model.trigger import DATA, PARK, OnEvent
from avow.model.types import Value, ValueType
from avow.model.values import Subject
from avow.store.queue import Parked, Queue, Work
from avow.store.reads import Reads

_log = logging.getLogger("avow.engine")

PAUSES = Backoff(attempts=None, first_s=1.0, most_s=3_600.0)
"""When a parked event is tried again though nothing was heard of its record."""
FINGERPRINT = b""
"""Of every message: what makes two of them the same is their id alone."""


class Outcome(StrEnum):
    """What became of an event. Of several records that listen, the first of these that holds for one."""

    PARKED = "parked"
    APPLIED = "applied"
    REFUSED = "refused"
    NOTED = "noted"


@dataclass(frozen=True, slots=True)
class Message:
    """One event as its sender tells it: the message's own id, and its type."""

    sender: Sender
    tenant: str
    id: str
    type: str
    request_id: str


@dataclass(frozen=True, slots=True)
class _Ear:
    """One entity that listens to one event."""

    entity: Entity
    event: OnEvent

    @property
    def command(self) -> str:
        return str(self.event)


class Hearing:
    """Hears the events of one system."""

    def __init__(self, system: System, engine: Engine, reads: Reads, queue: Queue) -> None:
        self._system, self._engine, self._reads, self._queue = system, engine, reads, queue
        self._parking = Parking(engine, reads)
        self._ears = dict[tuple[str, str], list[_Ear]]()
        for entity, event in listening(system):
            self._ears.setdefault((event.sender, event.event), []).append(_Ear(entity, event))

    def reads_of(self, sender: str, event: str) -> list[ValueType]:
        """What each entity that listens to an event reads of its data; empty where nothing listens."""
        return [ear.event.data for ear in self._ears.get((sender, event), ())]

    async def hear(self, message: Message, data: Iterable[Value]) -> tuple[Outcome, bool]:
        """Let an event happen to every record that listens to it; data: what each of them reads.

        Tells also whether all of it had happened before. Raises ProblemError where it isn't known whether it
        happened: then the message has to be sent again.
        """
        found, seen = set[Outcome](), True
        for ear, read in zip(self._ears[message.sender.name, message.type], data, strict=True):
            outcome, known = await self._tell(ear, message, read)
            found.add(outcome)
            seen = seen and known
        return next(outcome for outcome in Outcome if outcome in found), seen

    async def note(self, message: Message) -> None:
        """Remember, once, an event that nothing listens to: its type, and nothing of its data."""
        problem = Problem("event-unknown", "No transition listens to it.", {"rule": message.type})
        await self._engine.refuse(_request(message, "", message.type, None, None), problem)

    async def again(self, work: Work) -> Outcome:
        """Try an event that is parked once more."""
        entity = self._system.entities[work.kind]
        trigger = entity.of_command(work.name)[0].trigger
        if not isinstance(trigger, OnEvent):
            raise ValueError(f"{work.kind} has no event {work.name}")
        said = await self._parking.read(trigger.data, work)
        if said is None:
            await self._queue.give_back(work, "erased", "")
            return Outcome.REFUSED
        message_id, read = said
        sender, ear = self._system.senders[trigger.sender], _Ear(entity, trigger)
        message = Message(sender, work.tenant, message_id, trigger.event, work.request)
        record, reply = await self._try(ear, message, read, (work.work, work.fence))
        problem = reply.problem
        if problem is None:
            if reply.replayed:  # it has happened by another delivery, or was refused
                await self._queue.give_back(work, "known", "")
            return Outcome.APPLIED if reply.status < 400 else Outcome.REFUSED
        if problem.code == "event-early" and work.taken_at < work.due:
            given = await self._written(ear, message, work.id, record, read)
            pause_s = PAUSES.pause_s(work.attempt, random.random())
            await self._queue.park_again(work, _topic(ear, record, read), given, pause_s)
        else:
            await self._queue.give_back(work, "stuck", problem.detail, stuck=problem.code)
        return Outcome.PARKED

    async def _tell(self, ear: _Ear, message: Message, read: Value) -> tuple[Outcome, bool]:
        record, reply = await self._try(ear, message, read, None)
        problem = reply.problem
        if problem is None:
            return (Outcome.APPLIED if reply.status < 400 else Outcome.REFUSED), reply.replayed
        stuck = None if problem.code == "event-early" else problem.code
        if stuck is not None:
            _log.warning("%s of %s is stuck: %s", ear.command, ear.entity.name, stuck)
        given = await self._written(ear, message, _parked_id(ear, message), record, read)
        kept = await self._queue.park(_parked(ear, message, _topic(ear, record, read), given, stuck))
        self._engine.when_work()
        return Outcome.PARKED, not kept

    async def _written(
        self, ear: _Ear, message: Message, parked: UUID, record: UUID | None, read: Value
    ) -> str:
        """What an event says, for the queue."""
        place = message.tenant, parked, record
        return await self._parking.write(ear.entity, ear.event.data, place, message.id, read)

    async def _try(
        self, ear: _Ear, message: Message, read: Value, settles: tuple[int, int] | None
    ) -> tuple[UUID | None, Reply]:
        """The record that an event is about, and what its command is answered with.

        A problem means that nothing was decided for good: it came too early, or a person has to look at it.
        """
        record = await self._find(ear, message.tenant, read)
        request = _request(message, ear.entity.name, ear.command, record, settles)
        if record is None:
            # It may have an answer: a record changes the value that it is found by.
            reply = await self._engine.known(request) or _problem("not-found")
        else:
            request.input = {DATA: read}
            try:
                reply = await self._engine.execute(request)
            except BodyFault as fault:
                reply = _problem("internal-error", str(fault))
        if reply.problem is None or reply.problem.code != "not-found":
            return record, reply
        missing = Problem("event-early", "There is no such record yet.", {"rule": ear.command})
        if ear.event.early == PARK:
            return None, Reply(missing.status, problem=missing)
        return None, await self._engine.refuse(request, missing)

    async def _find(self, ear: _Ear, tenant: str, read: Value) -> UUID | None:
        value = getattr(read, ear.event.told)
        if ear.event.match is None:
            return value
        return await self._reads.find(ear.entity, tenant, ear.event.match, value)


def _problem(code: str, detail: str = "") -> Reply:
    problem = Problem(code, detail)
    return Reply(problem.status, problem=problem)


def _request(
    message: Message, entity: str, command: str, record: UUID | None, settles: tuple[int, int] | None
) -> Request:
    actor = Actor(Subject(message.sender.subject), message.tenant)
    return Request(
        entity=entity, command=command, record=record, input={}, actor=actor, key=message.id,
        fingerprint=FINGERPRINT, request_id=message.request_id, settles=settles, internal=True,
    )  # fmt: skip


def _parked_id(ear: _Ear, message: Message) -> UUID:
    scope = [message.tenant, message.sender.name, message.id, ear.entity.name, ear.command]
    return id_of(scope)


def _parked(ear: _Ear, message: Message, topic: str, given: str, stuck: str | None) -> Parked:
    return Parked(
        tenant=message.tenant,
        kind=ear.entity.name,
        id=_parked_id(ear, message),
        name=ear.command,
        topic=topic,
        given=given,
        request=message.request_id,
        for_s=ear.event.parked_s,
        stuck=stuck,
    )


def _topic(ear: _Ear, record: UUID | None, read: Value) -> str:
    """What an early event waits for, as avow.wake_events says it: a record by its id, or by a value."""
    if record is not None or ear.event.match is None:
        told = ["id", str(record or getattr(read, ear.event.told))]
    else:
        told = [ear.event.match, str(getattr(read, ear.event.told))]
    return hashlib.sha256("/".join([ear.entity.name, *told]).encode()).hexdigest()
