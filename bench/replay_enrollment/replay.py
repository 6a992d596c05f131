"""Sending the registrations: every step of every applicant, in copies, until each has its one answer.

It must never take an answer for granted: what was answered is counted here and compared with the database
by `account.py`.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from bench.replay_enrollment.clients import Answer, Clients
from bench.replay_enrollment.registrations import (
    Registration,
    in_order_of_arrival,
    seat_events,
    seats_of,
)

CLIENTS = 64
APPLICANTS_AT_ONCE = 64
REPEATERS = 24
REPEATS_WAITING_MAX = 1_000
COPIES_AT_ONCE = 3
ONE_IN = 10
"""Every how manyeth request is sent in COPIES_AT_ONCE copies in the same moment."""
ATTEMPTS_MAX = 20
PAUSE_S = 0.25
DISAGREEMENTS_SHOWN_MAX = 10

TRY_AGAIN = (429, 503)

Token = Callable[..., str]


@dataclass(frozen=True, slots=True)
class Step:
    """An acknowledged step: the record as the answer names it."""

    kind: str
    id: UUID
    version: int
    transition: str


@dataclass
class Tally:
    """What came back. `executed_twice`: keys of which two answers claim to be the first."""

    accepted: list[Step] = field(default_factory=list[Step])
    refused: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    tried_again: Counter[str] = field(default_factory=Counter[str])
    answers_lost: int = 0
    keys: int = 0
    disagreements: list[str] = field(default_factory=list[str])
    executed_twice: list[str] = field(default_factory=list[str])


class Replay:
    """One run over one server.

    token:    makes a bearer token of a subject with roles.
    finished: called after the first answer of each key.
    """

    def __init__(self, clients: Clients, token: Token, finished: Callable[[], None]) -> None:
        self.tally = Tally()
        self._clients, self._token, self._finished = clients, token, finished
        self._registrar, self._dean = token("rita", "registrar"), token("dora", "dean")
        self._courses: dict[str, str] = {}
        self._repeats: asyncio.Queue[tuple[str, bytes, Answer, bool]] = asyncio.Queue(REPEATS_WAITING_MAX)
        self._verified: dict[tuple[str, str], asyncio.Future[str]] = {}

    async def run(self, registrations: Sequence[Registration]) -> None:
        """Send everything; returns when each request has all its answers."""
        async with asyncio.TaskGroup() as group:
            repeaters = [group.create_task(self._repeat()) for _ in range(REPEATERS)]
            await self._announce(registrations)
            await self._send_all(registrations)
            await self._repeats.join()
            for repeater in repeaters:
                repeater.cancel()

    async def _announce(self, registrations: Sequence[Registration]) -> None:
        for presentation, seats in seats_of(registrations).items():
            body = {"title": presentation, "seats": seats}
            answer = await self._step("Course", "announce", "/courses", self._registrar, presentation, body)
            self._courses[presentation] = json.loads(answer.body)["id"]

    async def _send_all(self, registrations: Sequence[Registration]) -> None:
        loop = asyncio.get_running_loop()
        events = seat_events(registrations)
        for row in (row for kinds in events.values() for _, row in kinds):
            self._verified.setdefault((row.presentation, row.student), loop.create_future())
        arriving = iter(in_order_of_arrival(registrations))
        async with asyncio.TaskGroup() as group:
            for _ in range(APPLICANTS_AT_ONCE):
                group.create_task(self._receive(arriving))
            for sequence in events.values():
                group.create_task(self._seat(sequence))

    async def _receive(self, arriving: Any) -> None:
        """Take one applicant after the other to where the approval is awaited, or out again."""
        for row in arriving:
            own, name = self._token(row.student), f"{row.presentation}/{row.student}"
            course = {"course": self._courses[row.presentation]}
            started = await self._step("Enrollment", "start", "/enrollments", own, name, course)
            path = "/enrollments/" + json.loads(started.body)["id"]
            if row.is_handed_in:
                essay = {"essay": f"Registration of {row.student} for {row.presentation}."}
                await self._step("Enrollment", "submit", path, own, name, essay)
                await self._step("Enrollment", "verify", path, self._registrar, name)
            if row.is_withdrawn_early:
                await self._step("Enrollment", "withdraw", path, own, name)
            elif row.is_handed_in:
                self._verified[row.presentation, row.student].set_result(path)

    async def _seat(self, sequence: Sequence[tuple[str, Registration]]) -> None:
        """Approve and let go, one presentation's events in their order."""
        for kind, row in sequence:
            path = await self._verified[row.presentation, row.student]
            name = f"{row.presentation}/{row.student}"
            if kind == "approve":
                await self._step("Enrollment", "approve", path, self._dean, name)
                continue
            own = self._token(row.student)
            left = await self._step("Enrollment", "leave", path, own, name)
            if left.status >= 400:
                await self._step("Enrollment", "withdraw", path, own, name)

    async def _step(
        self, kind: str, command: str, path: str, token: str, name: str, body: dict[str, Any] | None = None
    ) -> Answer:
        """Send one command until it is answered, and see to its copies."""
        key = f"{name}/{command}"
        where = path if command in ("announce", "start") else f"{path}/{command}"
        request = self._clients.post(where, token, key, b"" if body is None else json.dumps(body).encode())
        self.tally.keys += 1
        at_once = zlib.crc32(key.encode()) % ONE_IN == 0
        answers = await self._settle(key, request, COPIES_AT_ONCE if at_once else 1)
        answer = answers[0]
        for other in answers[1:]:
            self._compare(key, answer, other)
        firsts = sum(_is_first(answer) for answer in answers)
        if firsts > 1:
            self.tally.executed_twice.append(key)
        self._count(kind, command, key, answer)
        if not at_once:
            await self._repeats.put((key, request, answer, firsts > 0))
        self._finished()
        return answer

    async def _settle(self, key: str, request: bytes, copies: int) -> list[Answer]:
        """An answer for each copy; those without one are sent again under the same key."""
        held: list[Answer] = []
        for _ in range(ATTEMPTS_MAX):
            for answer in await self._clients.send(request, copies - len(held)):
                if answer is None:
                    self.tally.answers_lost += 1
                elif answer.status in TRY_AGAIN:
                    self.tally.tried_again[_code(answer)] += 1
                else:
                    held.append(answer)
            if len(held) == copies:
                return held
            await asyncio.sleep(PAUSE_S)
        raise TimeoutError(f"{key} has no answer after {ATTEMPTS_MAX} attempts")

    async def _repeat(self) -> None:
        """Send requests again that were answered a while ago."""
        while True:
            key, request, first, had_first = await self._repeats.get()
            (again,) = await self._settle(key, request, 1)
            self._compare(key, first, again)
            if had_first and _is_first(again):
                self.tally.executed_twice.append(key)
            self._repeats.task_done()

    def _compare(self, key: str, one: Answer, other: Answer) -> None:
        if one.essence != other.essence:
            self.tally.disagreements.append(f"{key}: {one.essence!r} and {other.essence!r}")

    def _count(self, kind: str, command: str, key: str, answer: Answer) -> None:
        if answer.status >= 500:
            raise RuntimeError(f"{key} was answered with {answer.status}: {answer.body[:500]!r}")
        if answer.status >= 400:
            self.tally.refused[command, _code(answer)] += 1
            return
        record = json.loads(answer.body)
        self.tally.accepted.append(Step(kind, UUID(record["id"]), record["version"], command))


def keys_at_least(registrations: Sequence[Registration]) -> int:
    """How many requests there will be, not counting those that follow from a refusal."""
    seats = sum(len(events) for events in seat_events(registrations).values())
    applications = sum(1 + 2 * row.is_handed_in + row.is_withdrawn_early for row in registrations)
    return len(seats_of(registrations)) + applications + seats


def _is_first(answer: Answer) -> bool:
    return "idempotency-replayed" not in answer.headers


def _code(answer: Answer) -> str:
    try:
        return str(json.loads(answer.body)["type"]).rpartition("/")[2]
    except (ValueError, KeyError):
        return str(answer.status)
