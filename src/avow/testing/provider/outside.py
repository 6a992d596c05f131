"""One request's life at the outside: arrival, key, work, answer, and what may go wrong at each."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from avow.testing.provider.behaviour import ANY, ARRIVAL, REPLY, WEBHOOKS, WORK, Behaviours, Faults
from avow.testing.provider.gates import Gates
from avow.testing.provider.keys import Keeping, Keys
from avow.testing.provider.ledger import Ledger
from avow.testing.provider.services import every_service
from avow.testing.provider.services.service import Call, Done, Event, Ids, Refusal, Route, Service
from avow.testing.provider.webhooks import Webhooks
from avow.testing.provider.wire import Answer, Connection, Request, written

REPLAYED: Final = {"idempotent-replayed": "true"}
GARBAGE: Final = b'<html>{"status": "o'
LOOKUP: Final = "requests"
"""The service under whose name the lookup of a key by GET /requests/{key} misbehaves."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it came in. faults: what was to go wrong. status: what was answered; None: nothing."""

    number: int
    service: str
    operation: str
    key: str | None
    faults: tuple[str, ...]
    status: int | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one delivery of a request came to."""

    answer: Answer
    events: tuple[Event, ...] = ()


class Outside:
    """All services, their keys and their ledger."""

    def __init__(self, seed: int, run: str) -> None:
        ids = Ids(run)
        self.ledger = Ledger()
        self.gates = Gates()
        self.behaviours = Behaviours(seed)
        self.webhooks = Webhooks(self.behaviours, self.gates, ids)
        self.services = every_service(ids)
        self.keys: dict[str, Keys] = defaultdict(Keys)
        self.seen: list[Seen] = []
        self._arrived = 0
        self._routes: dict[str, list[tuple[str, Route]]] = defaultdict(list)
        self._operations: dict[tuple[str, str], Callable[[Call], Done]] = {}
        for service in self.services.values():
            for route in service.routes:
                self._routes[_first_part(route.path)].append((service.name, route))
                self._operations[service.name, route.operation] = route.run

    async def handle(self, request: Request, connection: Connection) -> None:
        """Answer one request, or misbehave."""
        try:
            call = self._call(request)
        except Refusal as refusal:
            await connection.write(_refused(refusal).written())
            return
        self._arrived += 1
        number, faults = self._arrived, self.behaviours.take(call.service, call.operation)
        status = await self._live(call, faults, connection)
        kinds = tuple(fault.kind for fault in faults)
        self.seen.append(Seen(number, call.service, call.operation, call.key, kinds, status))

    def demand_known(self, service: str, operation: str) -> None:
        """Raise ValueError where a rule would be about nothing that ever arrives."""
        services = [*self.services, LOOKUP, WEBHOOKS]
        if service not in (ANY, *services):
            raise ValueError(f"{service!r} is none of {', '.join(services)}")
        known = sorted({o for s, o in self._operations if service in (ANY, s)})
        if operation != ANY and service in (ANY, *self.services) and operation not in known:
            raise ValueError(f"{operation!r} is none of {', '.join(known)}")

    def abandon(self) -> None:
        """Forget what is under way: webhooks are never sent, and whoever stands at a gate may go."""
        self.webhooks.abandon()
        self.gates.open_all()

    async def settle(self, name: str, reference: str, result: str | None) -> Answer:
        """Bring what is open at a service to its end, and tell of it. Raises Refusal where nothing is."""
        done = service_named(self, name).settle(reference, result)
        self._record(name, None, done)
        self.webhooks.send(await self.webhooks.try_early(name, done.events))
        return Answer(200, done.body)

    # --- the way of a request -------------------------------------------------------------------

    def _call(self, request: Request) -> Call:
        path = request.path
        for service, route in self._routes.get(_first_part(path), ()):
            named = route.match(request.method, path)
            if named is not None:
                key = request.headers.get("idempotency-key") if request.method != "GET" else None
                return Call(service, route.operation, named, _body(request), request.query, key)
        if request.method == "GET" and path.startswith(f"/{LOOKUP}/"):
            return Call(LOOKUP, "find", path.removeprefix(f"/{LOOKUP}/"), query=request.query)
        raise Refusal(404, "no_such_operation", f"Nothing answers {request.method} {path}.")

    async def _live(self, call: Call, faults: Faults, connection: Connection) -> int | None:
        """From arrival to answer; the status that went out whole, if one did."""
        await self._pass(ARRIVAL, faults)
        if "cut_before" in faults:
            connection.cut()
            return None
        if busy := faults.get("busy"):
            code = HTTPStatus(busy.status or 503).phrase.lower().replace(" ", "_")
            answer = Answer(busy.status or 503, {"code": code}, {"retry-after": f"{busy.seconds or 0:g}"})
            await connection.write(answer.written())
            return answer.status
        outcome = await self._deliver(call, faults)
        events = outcome.events
        if "duplicate" in faults:
            events += (await self._deliver(call, faults)).events
        waiting = await self.webhooks.try_early(call.service, events)
        try:
            await self._pass(REPLY, faults)
            return await self._reply(outcome.answer, faults, connection)
        finally:
            self.webhooks.send(waiting)

    async def _pass(self, point: str, faults: Faults) -> None:
        for fault in faults:
            if fault.at != point:
                continue
            if fault.kind == "delay":
                await asyncio.sleep(fault.seconds or 0)
            elif fault.kind == "hold":
                await self.gates.wait(fault.name or "")

    async def _deliver(self, call: Call, faults: Faults) -> Outcome:
        """One delivery: replay the answer that the key has, or do the work."""
        keys = self.keys[call.service]
        try:
            kept = keys.kept(call)
        except Refusal as refusal:
            return Outcome(_refused(refusal))
        if kept is not None:
            return Outcome(Answer(kept.status, kept.body, REPLAYED))
        known = keys.take(call)
        await self._pass(WORK, faults)
        if fault := faults.get("fail_before"):
            worked = Outcome(_failed(fault.status))
        else:
            worked = self._work(call)
        fault = faults.get("fail_after")
        told = _failed(fault.status) if fault else worked.answer
        keys.keep(known, worked.answer, told)
        return Outcome(told, worked.events)

    def _work(self, call: Call) -> Outcome:
        """Do it, in one piece: nothing else happens between the work and its line in the ledger."""
        try:
            if call.service == LOOKUP:
                return Outcome(self._look_up(call))
            done = self._operations[call.service, call.operation](call)
        except Refusal as refusal:
            return Outcome(_refused(refusal))
        self._record(call.service, call.key, done)
        return Outcome(Answer(done.status, done.body), done.events)

    def _record(self, service: str, key: str | None, done: Done) -> None:
        if deed := done.deed:
            self.ledger.append(service, key, deed)

    def _look_up(self, call: Call) -> Answer:
        """What became of a key: `?service=` says where to look."""
        named = call.query.get("service")
        for service in [named] if named else self.services:
            keys = self.keys[service]
            if named and keys.keeping is Keeping.IGNORED:
                raise Refusal(501, "keys_ignored", f"{named} doesn't look at keys.")
            known = keys.find(call.id)
            if known is not None:
                state = "working" if known.answer is None else "answered"
                answer = known.answer or Answer(0)
                return Answer(200, {
                    "key": call.id, "service": service, "operation": known.call.operation, "state": state,
                    "status": answer.status or None, "answer": answer.body,
                })  # fmt: skip
        raise Refusal(404, "never_arrived", "No request with this key has arrived.")

    async def _reply(self, answer: Answer, faults: Faults, connection: Connection) -> int | None:
        if "lose_reply" in faults or connection.closed:
            connection.cut()
            return None
        if "silent" in faults:
            await connection.gone()
            return None
        if "garbage" in faults:
            await connection.write(written(answer.status, GARBAGE))
            return answer.status
        if fault := faults.get("wrong_amount"):
            answer = _with_wrong_amount(answer, fault.by or 0)
        data = answer.written()
        if "cut_within" in faults:
            await connection.write(data[: len(data) - len(json.dumps(answer.body)) // 2])
            connection.close()
            return None
        await connection.write(data)
        return answer.status


def service_named(outside: Outside, name: Any) -> Service:
    """The service of this name. Raises Refusal where there is none."""
    if name not in outside.services:
        raise Refusal(404, "no_such_service", f"{name!r} is none of {', '.join(outside.services)}.")
    return outside.services[name]


def _first_part(path: str) -> str:
    return path.lstrip("/").partition("/")[0]


def _body(request: Request) -> dict[str, Any]:
    if not request.body:
        return {}
    try:
        return dict[str, Any](json.loads(request.body))
    except (ValueError, TypeError):
        raise Refusal(400, "invalid", "The body must be one JSON object.") from None


def _refused(refusal: Refusal) -> Answer:
    return Answer(refusal.status, {"code": refusal.code, "detail": refusal.detail})


def _failed(status: int | None) -> Answer:
    return Answer(status or 500, {"code": "failed", "detail": "Something broke inside."})


def _with_wrong_amount(answer: Answer, by: int) -> Answer:
    body: dict[str, Any] = dict(answer.body)
    for name in ("amount", "quantity"):
        if name in body:
            body[name] += by
    return Answer(answer.status, body, answer.headers)
