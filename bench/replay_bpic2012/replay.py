"""Sending the events: each case's in their order, all cases at once, in copies.

Which of a case's offers an event is about, the log doesn't say. It is the one that was selected last; but a
cancel is about the one that isn't new, if there is such a one.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from avow.store.driver import Connection
from bench.replay.clients import Clients
from bench.replay.sending import Sender, Token
from bench.replay_bpic2012.log import APPLICATION, AUTOMATIC, FORWARDED, MEANS, OFFER, Case, Event, Means

LANES_AT_ONCE = 64
REPEATS_ONE_IN = 20
LOOK_EVERY_S = 0.05
FORWARDED_S_MAX = 120.0
"""How long a worker may take to let an application go on, also when it has to be started first."""
NEVER_BEGUN = "never-begun"
"""Why an event isn't sent: the one that creates its record was refused, or never was."""

ENTITIES = {APPLICATION: ("Application", "applications"), OFFER: ("Offer", "offers")}
WORK = ("WorkItem", "work_items")
STATE = "SELECT state FROM loans.applications WHERE id = $1"


@dataclass
class Held:
    """The records of one case. state: of an application, an offer or a kind of work, as it answered last."""

    ids: dict[str, str] = field(default_factory=dict[str, str])
    states: dict[str, str] = field(default_factory=dict[str, str])
    offers: int = 0

    def meant(self, means: Means) -> str:
        """Which record a command is for: what it is about, or one of the offers, by its number."""
        if means.about != OFFER:
            return means.about
        if means.begins:
            return f"{OFFER} {self.offers + 1}"
        known = [f"{OFFER} {number}" for number in range(self.offers, 0, -1)]
        older = [offer for offer in known if self.states[offer] in ("created", "sent", "returned")]
        return next(iter(older if means.command == "cancel" else known), OFFER)


class Replay:
    """One run over one server.

    refused:    refused events, by name and code. met: the same with the state that they met in between.
    refused_in: the cases in which something was refused, by code.
    """

    def __init__(
        self, clients: Clients, token: Token, database: Connection, finished: Callable[[], None]
    ) -> None:
        self.sender = Sender(clients, finished, REPEATS_ONE_IN)
        self.refused, self.met = Counter[tuple[str, str]](), Counter[tuple[str, str, str]]()
        self.refused_in: defaultdict[str, set[str]] = defaultdict(set)
        self._tokens, self._token, self._finished = dict[str, str](), token, finished
        self._database, self._looking = database, asyncio.Lock()

    async def run(self, cases: Sequence[Case]) -> None:
        """Send everything; returns when each request has all its answers."""
        waiting = iter(cases)
        async with self.sender.repeating(), asyncio.TaskGroup() as group:
            for _ in range(LANES_AT_ONCE):
                group.create_task(self._lane(waiting))

    async def _lane(self, cases: Iterator[Case]) -> None:
        for case in cases:
            held = Held()
            for place, event in enumerate(case.events):
                if event.name == FORWARDED:
                    await self._forwarded(UUID(held.ids[APPLICATION]))
                    held.states[APPLICATION] = "partly_submitted"
                    self._finished()
                else:
                    await self._give(case, held, event, f"{case.name}/{place}")

    async def _forwarded(self, application: UUID) -> None:
        """Until a worker has let the application go on."""
        clock = asyncio.get_running_loop().time
        since_s = clock()
        while await self._state(application) == "submitted":
            if clock() - since_s > FORWARDED_S_MAX:
                raise TimeoutError(f"no worker lets {application} go on")
            await asyncio.sleep(LOOK_EVERY_S)

    async def _state(self, application: UUID) -> Any:
        async with self._looking:
            return await self._database.fetchval(STATE, application)

    async def _give(self, case: Case, held: Held, event: Event, key: str) -> None:
        """One event, as the command that it is."""
        means = MEANS[event.name]
        about = held.meant(means)
        kind, plural = ENTITIES.get(means.about, WORK)
        record, command, body = held.ids.get(about), means.command, None
        path = f"/{plural}/{record}/{command}"
        if means.begins and record is None:
            path, body = f"/{plural}", _body(case, held, means)
        elif means.begins:
            path, command = f"/{plural}/{record}/schedule_again", "schedule_again"
        elif record is None:
            self._refused(case, event, NEVER_BEGUN, "")
            self._finished()
            return
        answer = await self.sender.step(kind, command, path, self._as(event.by), key, body)
        said = json.loads(answer.body)
        if answer.status >= 400:
            self._refused(case, event, str(said["type"]).rpartition("/")[2], held.states.get(about, ""))
            return
        held.ids[about], held.states[about] = said["id"], said["state"]
        held.offers += means.begins and means.about == OFFER

    def _refused(self, case: Case, event: Event, code: str, state: str) -> None:
        self.refused[event.name, code] += 1
        self.met[event.name, state, code] += 1
        self.refused_in[code].add(case.name)

    def _as(self, resource: str) -> str:
        """The token of a resource: a person's, or the automaton's."""
        if resource not in self._tokens:
            self._tokens[resource] = self._token(resource, "automaton" if resource == AUTOMATIC else "staff")
        return self._tokens[resource]


def _body(case: Case, held: Held, means: Means) -> dict[str, Any]:
    """What a record begins with."""
    if means.about == APPLICATION:
        return {"case": case.name, "amount": case.amount}
    about = {"application": held.ids[APPLICATION]}
    return about if means.about == OFFER else about | {"kind": means.about}
