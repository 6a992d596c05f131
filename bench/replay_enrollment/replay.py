"""Sending the registrations: every step of every applicant, in copies, until each has its one answer.

It must never take an answer for granted: what was answered is counted here and compared with the database
by `account.py`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

from bench.replay.clients import Answer, Clients
from bench.replay.sending import Sender, Tally, Token
from bench.replay_enrollment.registrations import (
    Registration,
    in_order_of_arrival,
    seat_events,
    seats_of,
)

APPLICANTS_AT_ONCE = 64


class Replay:
    """One run over one server.

    token:    makes a bearer token of a subject with roles.
    finished: called after the first answer of each key.
    """

    def __init__(self, clients: Clients, token: Token, finished: Callable[[], None]) -> None:
        self._sender, self._token = Sender(clients, finished), token
        self._registrar, self._dean = token("rita", "registrar"), token("dora", "dean")
        self._courses: dict[str, str] = {}
        self._verified: dict[tuple[str, str], asyncio.Future[str]] = {}

    @property
    def tally(self) -> Tally:
        """What came back."""
        return self._sender.tally

    async def run(self, registrations: Sequence[Registration]) -> None:
        """Send everything; returns when each request has all its answers."""
        async with self._sender.repeating():
            await self._announce(registrations)
            await self._send_all(registrations)

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
        where = path if command in ("announce", "start") else f"{path}/{command}"
        return await self._sender.step(kind, command, where, token, f"{name}/{command}", body)


def keys_at_least(registrations: Sequence[Registration]) -> int:
    """How many requests there will be, not counting those that follow from a refusal."""
    seats = sum(len(events) for events in seat_events(registrations).values())
    applications = sum(1 + 2 * row.is_handed_in + row.is_withdrawn_early for row in registrations)
    return len(seats_of(registrations)) + applications + seats
