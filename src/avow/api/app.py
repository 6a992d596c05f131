"""The ASGI application: a request in, one answer out, in the documented order of checks.

Everything about a request that can be settled without its record is settled first: path, method, size,
media type, who asks, whether that actor could ever be allowed, the key, the input. The rest is the
engine's. Nothing is answered before it is committed.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from avow.api import problems
from avow.api.authentication import NOBODY, Authenticator, Trust
from avow.api.commands import Command
from avow.api.deadline import TimeLimit, running_task
from avow.api.events import Door, Secrets
from avow.api.exchange import JSON_LINE, Exchange, Response, body_limit
from avow.api.openapi import document_bytes
from avow.api.operating import OperatingDesk
from avow.api.queries import Queries
from avow.api.receipts import Receipts
from avow.api.routes import METHODS, TASK_ACTS, Match, Operation, Resource, Route, Routes
from avow.api.subscriptions import Subscribers
from avow.api.tasks import TaskDesk
from avow.engine.execute import Engine
from avow.engine.identifier import new_id_text
from avow.engine.inbox import Inbox
from avow.engine.log.key import Keys
from avow.engine.log.proving import Logs
from avow.engine.log.sealer import Sealer
from avow.engine.log.witnessing import Witnessing
from avow.engine.outside import Destination
from avow.engine.privacy import Keyring
from avow.engine.workers.hearing import Hearing
from avow.engine.workers.inside import WorkInside
from avow.engine.workers.notices import Notifier
from avow.engine.workers.operating import Operating
from avow.engine.workers.publishing import telling_of
from avow.errors import EnvironmentFault, Problem, ProblemError, reject
from avow.model.system import System, asks, publishes, waits
from avow.store.faults import fault_of
from avow.store.pool import Pool
from avow.store.queue import Queue
from avow.store.reads import Reads
from avow.store.retention import keep_forgetting
from avow.store.schema.rights import demand_fit

REQUEST_S_MAX = 30.0
"""How long one request may take, its body included."""

KNOWN_METHODS = METHODS | {"DELETE", "PATCH", "PUT", "QUERY", "TRACE"}
"""Methods that are refused with what is allowed instead (405); any other is unknown (501)."""

BODIES: Final = (Operation.FIND, *TASK_ACTS)
"""What has a body that is no command's."""
OPERATING: Final = (Operation.OPERATE, Operation.DESTINATION)
POSTED: Final = (Operation.SUBSCRIPTION, *OPERATING)
"""What has one where it is a POST."""
NO_SENDERS: Final[Mapping[str, Secrets]] = {}

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Handler = Callable[[Exchange], Awaitable[Response]]

_log = logging.getLogger("avow.api")


class Application:
    """One system over HTTP, as an ASGI application that can be served or mounted.

    system: what is served. url: the database, with a login of the application role.
    secret: at least 32 bytes that all processes share; seals cursors.
    trust:  whose credentials are believed.
    destinations: where calls to the outside go, by name, with their credentials.
    keyring: encrypts the keys of persons; needed where anything is private.
    senders: the secrets of those who send events, by their names.
    works:  whether calls are made and times come here; elsewhere by `avow work`, or by another server.
    private_subscribers: whether those who are told of events may be in a private network.
    sealer: seals the audit log from here, too. witnessing: asks others to stand for what was sealed.
    log_keys: whose signature says in receipts what was erased; without it, receipts don't say so.
    """

    def __init__(
        self, system: System, url: str, secret: bytes, trust: Trust, *,
        destinations: Mapping[str, Destination] | None = None, keyring: Keyring | None = None,
        senders: Mapping[str, Secrets] = NO_SENDERS, works: bool = True, private_subscribers: bool = False,
        sealer: Sealer | None = None, witnessing: Witnessing | None = None, log_keys: Keys | None = None,
    ) -> None:  # fmt: skip
        self.system = system
        self._url, self._pool = url, Pool(url)
        self._engine = Engine(system, self._pool, problem_body, keyring=keyring)
        self._work: WorkInside | None = None
        self._sealer, self._witnessing, self._log_keys = sealer, witnessing, log_keys
        telling = telling_of(secret, private=private_subscribers)
        self._notifier: Notifier | None = None
        if works and (waits(system) or publishes(system)):
            self._work = WorkInside(system, self._engine, url, destinations or {}, telling)
        elif waits(system) or publishes(system):
            self._notifier = Notifier(url)
            self._engine.when_work = self._notifier.notify
        self._routes = Routes(system)
        self._bodied = frozenset(filter(_has_body, self._routes))
        self._started = False
        self._starting: asyncio.Task[None] | None = None
        self._beside: list[asyncio.Task[None]] = []
        self._reads = Reads(system, self._pool)
        self._authenticator = Authenticator(trust, self._reads)
        self._limit, self._body_limit = TimeLimit(REQUEST_S_MAX), body_limit()
        self._handlers = self._make_handlers(hmac.digest(secret, b"avow cursors", "sha256"))
        subscribers = Subscribers(system, self._pool, telling)
        hearing = Hearing(system, self._engine, self._reads, Queue(system, self._pool))
        for route in self._routes:
            if route.sender is not None:
                secrets = senders.get(route.sender.name, {})
                self._handlers[route] = Door(route.sender, secrets, hearing).answer
            elif route.operation is Operation.SUBSCRIPTION:
                self._handlers[route] = subscribers.handler(route)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Serve one connection's worth of ASGI: a request, or the server's own start and end."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            exchange = Exchange(scope, receive, new_id_text(), NOBODY, running_task(), self._body_limit)
            response = await self._answer(exchange)
            head, body = response.messages(exchange)
            await send(head)
            await send(body)
        else:
            raise ValueError(f"{scope['type']} is not served")

    async def start(self) -> None:
        """Check, once, that the database fits. Raises EnvironmentFault with what to do."""
        if self._started:
            return
        failed = self._starting is not None and self._starting.done() and not _succeeded(self._starting)
        if self._starting is None or failed:
            self._starting = asyncio.create_task(self._start())
        await asyncio.shield(self._starting)

    async def close(self) -> None:
        """Let go of the database."""
        for task in self._beside:
            task.cancel()
        if self._work is not None:
            await self._work.close()
        if self._notifier is not None:
            await self._notifier.close()
        if self._sealer is not None:
            await asyncio.to_thread(self._sealer.stop)
        if self._witnessing is not None:
            await asyncio.to_thread(self._witnessing.stop)
        await self._pool.close()

    def _make_handlers(self, cursor_key: bytes) -> dict[Route, Handler]:
        """What answers each route about records; what can be worked out before any request is, here."""
        logs = Logs(self._pool.borrow, self._log_keys)
        made: dict[Route, Handler] = {}
        for entity in self.system.entities.values():
            queries = Queries(self.system, self._reads, cursor_key, entity, self._engine)
            reads: dict[Operation, Handler] = {
                Operation.READ: queries.record,
                Operation.LIST: queries.page,
                Operation.FIND: queries.find,
                Operation.HISTORY: queries.history,
                Operation.WHY: queries.why,
                Operation.RECEIPT: Receipts(self.system, self._reads, logs, entity).receipt,
            }
            for route in self._routes:
                if route.entity is entity and route.transitions:
                    made[route] = Command(route, entity, self._engine).answer
                elif route.entity is entity:
                    made[route] = reads[route.operation]
        if asks(self.system):
            tasks = TaskDesk(Inbox(self.system, self._pool), cursor_key)
            made.update((r, tasks.page) for r in self._routes if r.operation is Operation.TASKS)
            made.update((r, tasks.acting(r.operation)) for r in self._routes if r.operation in TASK_ACTS)
        desk = OperatingDesk(Operating(self.system, self._pool, self._engine), self.system, cursor_key)
        made.update((r, desk.handler(r)) for r in self._routes if r.operation in OPERATING)
        return made

    async def _start(self) -> None:
        await demand_fit(self._url, self.system)
        beside = keep_forgetting(self._pool), self._engine.recall()
        self._beside.extend(asyncio.create_task(each) for each in beside)
        if self._work is not None:
            self._work.start()
        if self._notifier is not None:
            self._notifier.start()
        if self._sealer is not None:
            self._sealer.start()
        if self._witnessing is not None:
            self._witnessing.start()
        self._started = True

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.start()
        except EnvironmentFault as fault:
            await send({"type": "lifespan.startup.failed", "message": f"{fault}: {fault.mend}"})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, exchange: Exchange) -> Response:
        """The one edge at which everything that can go wrong becomes an answer."""
        try:
            with self._limit.span(exchange.task):
                match, route = self._routed(exchange)
                if route is None:
                    return _options(exchange, match.resource)
                handler = self._handlers.get(route)
                if handler is None:
                    return await self._page(exchange, match, route)
                exchange.record, exchange.number = match.id, match.number
                exchange.demand_framing()
                if route in self._bodied:
                    exchange.demand_media_type()
                if not self._started:
                    await self.start()
                if route.sender is None:  # a sender's message is known by its signature
                    lines, identify = exchange.headers, self._authenticator.identify
                    exchange.actor = self._authenticator.known(lines) or await identify(lines)
                return await handler(exchange)
        except ProblemError as error:
            _note_denial(exchange, error.problem)
            return Response.of_problem(exchange, error)
        except EnvironmentFault as fault:
            _log.error("request %s could not be served: %s: %s", exchange.request_id, fault, fault.mend)
            return Response.of_problem(exchange, reject("database-unavailable"))
        except Exception as error:  # noqa: BLE001  an answer is owed, whatever went wrong
            fault = fault_of(error)
            if fault is None:
                _log.exception("request %s was answered with internal-error", exchange.request_id)
                fault = reject("internal-error")
            return Response.of_problem(exchange, fault)

    def _routed(self, exchange: Exchange) -> tuple[Match, Route | None]:
        """What the path leads to, and what the method does there; None: nothing of its own."""
        if exchange.method not in KNOWN_METHODS:
            raise reject("method-unknown")
        match = self._routes.match(exchange.path)
        if match is None:
            raise reject("not-found")
        return match, match.route(exchange.method)

    async def _page(self, exchange: Exchange, match: Match, route: Route) -> Response:
        """The server's own pages; they need no credential."""
        exchange.demand_no_query()
        match route.operation:
            case Operation.OPENAPI:
                body = document_bytes(self.system, exchange.root_path)
                return Response(200, body, (JSON_LINE,), (b"cache-control", b"no-cache"))
            case Operation.PROBLEM:
                page = problems.document(match.name or "", as_json=exchange.prefers_json())
                if page is None:
                    raise reject("not-found")
                return Response(page.status, page.body, page.headers)
            case Operation.READY:
                await self.start()
                await self._reads.demand_writable()
            case _:
                pass
        return Response.json({"status": "ok"})


def _has_body(route: Route) -> bool:
    """Whether what is sent there is JSON."""
    posts = route.method == "POST" and route.operation in POSTED
    return bool(route.transitions) or posts or route.operation in BODIES


def _options(exchange: Exchange, resource: Resource) -> Response:
    """What a resource allows, for a method that isn't a route of its own."""
    if exchange.method != "OPTIONS":
        raise ProblemError(Problem("method-not-allowed"), {"Allow": resource.allow})
    return Response(204, lines=(problems.encode_header("allow", resource.allow),))


def _succeeded(task: asyncio.Task[None]) -> bool:
    return not task.cancelled() and task.exception() is None


def _note_denial(exchange: Exchange, problem: Problem) -> None:
    """Leave a line about a refused credential or right, without the request's data.

    What a rule refuses on a record is kept in the database, as part of the answer.
    """
    if problem.status in (401, 403):
        rule, subject = problem.extra.get("rule", "no rule"), str(exchange.actor.subject)
        _log.info("request %s by %r was denied: %s, %s", exchange.request_id, subject, problem.code, rule)


def problem_body(problem: Problem, command_id: Any) -> bytes:
    """The body of a refusal that is kept: it names the command, not the request that brought it."""
    return problems.answer(problem, str(command_id)).body
