"""Subscriptions over HTTP: who is told of what is published, by whoever the declaration lets subscribe.

A secret is shown in the answer that made it and in no other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from uuid import UUID

from avow.api.exchange import JSON_LINE, Exchange, Response
from avow.api.headers import idempotency_key
from avow.api.ingress import input_invalid
from avow.api.published import Published, demand_members
from avow.api.routes import Route
from avow.engine.identifier import id_of
from avow.engine.workers.publishing import ROTATED_S, Telling
from avow.errors import reject
from avow.model.system import System
from avow.model.types import DateTimeType, Misfit
from avow.store.pool import Pool
from avow.store.subscriptions import ACTIVE, PAUSED, Subscription, Subscriptions

_Verb = Callable[[Exchange, Subscription], Awaitable[Response]]


class Subscribers:
    """Answers everything below /subscriptions."""

    def __init__(self, system: System, pool: Pool, telling: Telling) -> None:
        self._subscriptions = Subscriptions(pool)
        self._published = Published(system, telling)
        self._verbs: Mapping[str, _Verb] = {
            "pause": self._pause, "resume": self._resume, "rotate": self._rotate, "replay": self._replay,
            "delete": self._delete,
        }  # fmt: skip

    async def page(self, exchange: Exchange) -> Response:
        """The subscriptions of the tenant, as far as the actor could have made them."""
        self._published.demand_right(exchange.actor)
        exchange.demand_no_query()
        found = await self._subscriptions.all(exchange.actor.tenant)
        return Response.json(
            {"items": [self._published.shown(s) for s in found if self._published.sees(exchange.actor, s)]}
        )

    async def one(self, exchange: Exchange) -> Response:
        """One subscription."""
        exchange.demand_no_query()
        return Response.json(self._published.shown(await self._demand(exchange)))

    async def create(self, exchange: Exchange) -> Response:
        """Make a subscription; the answer shows its secret. The same key gives the same one again."""
        self._published.demand_right(exchange.actor)
        exchange.demand_no_query()
        which = _made_of(exchange, "subscribe")
        actor = exchange.actor
        url, types = self._published.read_wish(actor, await exchange.json())
        made = await self._subscriptions.put(actor.tenant, which, str(actor.subject), url, types)
        if (made.url, [*made.types]) != (url, types):
            raise reject("idempotency-key-reused")
        return Response(201, Response.json(self._published.with_secret(made)).body, (JSON_LINE,))

    def handler(self, route: Route) -> Callable[[Exchange], Awaitable[Response]]:
        """What answers one route."""
        _, _, verb = route.template.partition("{id}")
        if "{id}" not in route.template:
            return self.page if route.method == "GET" else self.create
        if not verb:
            return self.one
        does = self._verbs[verb[1:]]

        async def answer(exchange: Exchange) -> Response:
            exchange.demand_no_query()
            return await does(exchange, await self._demand(exchange))

        return answer

    async def _pause(self, exchange: Exchange, known: Subscription) -> Response:
        return await self._turn(exchange, known, PAUSED)

    async def _resume(self, exchange: Exchange, known: Subscription) -> Response:
        return await self._turn(exchange, known, ACTIVE)

    async def _turn(self, exchange: Exchange, known: Subscription, state: str) -> Response:
        demand_members(await exchange.json(), ())
        turned = await self._subscriptions.turn(known.tenant, known.id, state)
        return Response.json(self._published.shown(_there(turned)))

    async def _rotate(self, exchange: Exchange, known: Subscription) -> Response:
        demand_members(await exchange.json(), ())
        request = _made_of(exchange, f"rotate {known.id}")
        turned = await self._subscriptions.rotate(known.tenant, known.id, request, ROTATED_S)
        return Response.json(self._published.with_secret(_there(turned)))

    async def _replay(self, exchange: Exchange, known: Subscription) -> Response:
        given = demand_members(await exchange.json(), ("since",))
        try:
            since = DateTimeType().parse(given.get("since"), "#/since")
        except Misfit as misfit:
            raise input_invalid(misfit.flaws) from None
        request = _made_of(exchange, f"replay {known.id} {since.isoformat()}")
        begun = await self._subscriptions.replay(known.tenant, known.id, request, since)
        return Response.json(self._published.shown(_there(begun)))

    async def _delete(self, exchange: Exchange, known: Subscription) -> Response:
        demand_members(await exchange.json(), ())
        await self._subscriptions.drop(known.tenant, known.id)
        return Response.json({"id": str(known.id)})

    async def _demand(self, exchange: Exchange) -> Subscription:
        """The subscription that the path names. POSTs carry a key, as everywhere."""
        self._published.demand_right(exchange.actor)
        if exchange.method == "POST":
            idempotency_key(exchange.headers)
        if exchange.record is None:
            raise reject("not-found")
        found = await self._subscriptions.find(exchange.actor.tenant, exchange.record)
        if found is None or not self._published.sees(exchange.actor, found):
            raise reject("not-found")
        return found


def _made_of(exchange: Exchange, operation: str) -> UUID:
    """An id that follows from the request's key, so that a retry means the same."""
    key = idempotency_key(exchange.headers)
    scope = [exchange.actor.tenant, str(exchange.actor.subject), operation, key]
    return id_of(scope)


def _there(subscription: Subscription | None) -> Subscription:
    """What was ended by somebody else a moment ago isn't there."""
    if subscription is None:
        raise reject("not-found")
    return subscription
