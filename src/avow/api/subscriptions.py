"""Subscriptions over HTTP: who is told of what is published, by whoever the declaration lets subscribe.

A secret is shown in the answer that made it and in no other. Nobody learns of a subscription to something
that they couldn't subscribe to themselves.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, cast
from uuid import UUID

from avow import canonical
from avow.api.authorization import RightToCall
from avow.api.exchange import JSON_LINE, Exchange, Response
from avow.api.headers import idempotency_key
from avow.api.ingress import input_invalid
from avow.api.routes import Route
from avow.engine.outside import AddressRefused
from avow.engine.outside.destination import checked
from avow.engine.publishing import ROTATED_S, Telling, event_type, subscription_secret
from avow.errors import reject
from avow.kernel.policy import certainly_may
from avow.model.actor import Actor
from avow.model.system import System
from avow.model.types import DateTimeType, Flaw, Misfit, escape, instant
from avow.store.pool import Pool
from avow.store.subscriptions import ACTIVE, PAUSED, REPLAYED_MAX, Subscription, Subscriptions

URL_CHARACTERS_MAX: Final = 2_000

_Verb = Callable[[Exchange, Subscription], Awaitable[Response]]


class Subscribers:
    """Answers everything below /subscriptions."""

    def __init__(self, system: System, pool: Pool, telling: Telling) -> None:
        self._telling, self._subscriptions = telling, Subscriptions(pool)
        publications = [(e.name, p) for e in system.entities.values() for p in e.publications]
        self._right = RightToCall([p.by for _, p in publications], "subscriptions")
        self._policies = {
            event_type(system, f"{kind}.{transition}"): publication.by
            for kind, publication in publications
            for transition in publication.transitions
        }
        self._prefix = event_type(system, "")
        self._verbs: Mapping[str, _Verb] = {
            "pause": self._pause, "resume": self._resume, "rotate": self._rotate, "replay": self._replay,
            "delete": self._delete,
        }  # fmt: skip

    async def page(self, exchange: Exchange) -> Response:
        """The subscriptions of the tenant, as far as the actor could have made them."""
        self._right.demand(exchange.actor)
        exchange.demand_no_query()
        found = await self._subscriptions.all(exchange.actor.tenant)
        return Response.json({"items": [self._shown(s) for s in found if self._sees(exchange.actor, s)]})

    async def one(self, exchange: Exchange) -> Response:
        """One subscription."""
        exchange.demand_no_query()
        return Response.json(self._shown(await self._demand(exchange)))

    async def create(self, exchange: Exchange) -> Response:
        """Make a subscription; the answer shows its secret. The same key gives the same one again."""
        self._right.demand(exchange.actor)
        exchange.demand_no_query()
        which = _made_of(exchange, "subscribe")
        url, events = self._read_wish(exchange.actor, await exchange.json())
        actor = exchange.actor
        types = [event.removeprefix(self._prefix) for event in events]
        made = await self._subscriptions.put(actor.tenant, which, str(actor.subject), url, types)
        if (made.url, [*made.types]) != (url, types):
            raise reject("idempotency-key-reused")
        return Response(201, Response.json(self._with_secret(made)).body, (JSON_LINE,))

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
        _demand_members(await exchange.json(), ())
        turned = await self._subscriptions.turn(known.tenant, known.id, state)
        return Response.json(self._shown(_there(turned)))

    async def _rotate(self, exchange: Exchange, known: Subscription) -> Response:
        _demand_members(await exchange.json(), ())
        request = _made_of(exchange, f"rotate {known.id}")
        turned = await self._subscriptions.rotate(known.tenant, known.id, request, ROTATED_S)
        return Response.json(self._with_secret(_there(turned)))

    async def _replay(self, exchange: Exchange, known: Subscription) -> Response:
        given = _demand_members(await exchange.json(), ("since",))
        try:
            since = DateTimeType().parse(given.get("since"), "#/since")
        except Misfit as misfit:
            raise input_invalid(misfit.flaws) from None
        count = await self._subscriptions.replay(known.tenant, known.id, since)
        if count is None:
            detail = f"is so long ago that more than {REPLAYED_MAX} events would be told again"
            raise input_invalid([Flaw("#/since", "too-many", detail)])
        return Response.json({"events": count})

    async def _delete(self, exchange: Exchange, known: Subscription) -> Response:
        _demand_members(await exchange.json(), ())
        await self._subscriptions.drop(known.tenant, known.id)
        return Response.json({"id": str(known.id)})

    async def _demand(self, exchange: Exchange) -> Subscription:
        """The subscription that the path names. POSTs carry a key, as everywhere."""
        self._right.demand(exchange.actor)
        if exchange.method == "POST" and idempotency_key(exchange.headers) is None:
            raise reject("idempotency-key-missing")
        if exchange.record is None:
            raise reject("not-found")
        found = await self._subscriptions.find(exchange.actor.tenant, exchange.record)
        if found is None or not self._sees(exchange.actor, found):
            raise reject("not-found")
        return found

    def _may(self, actor: Actor, event: str) -> bool:
        policy = self._policies.get(event)
        return policy is not None and certainly_may(policy, actor)

    def _sees(self, actor: Actor, subscription: Subscription) -> bool:
        """What is published no longer hides nothing: somebody has to be able to end it."""
        events = [f"{self._prefix}{name}" for name in subscription.types]
        return all(self._may(actor, event) for event in events if event in self._policies)

    def _read_wish(self, actor: Actor, body: Any) -> tuple[str, list[str]]:
        given = _demand_members(body, ("url", "events"))
        flaws = list[Flaw]()
        url, events = given.get("url"), given.get("events")
        if not isinstance(url, str) or not self._is_callable(url):
            scheme = "http or https" if self._telling.private else "https"
            flaws.append(Flaw("#/url", "not-an-address", f"must be an address of {scheme}, without a user"))
        listed = cast("list[Any]", events) if isinstance(events, list) else []
        if not listed or len(set(map(str, listed))) < len(listed):
            flaws.append(Flaw("#/events", "not-a-list", "must be a list of different types of events"))
        for index, event in enumerate(listed):
            if not isinstance(event, str) or not self._may(actor, event):
                detail = "is no event that is published for you"
                flaws.append(Flaw(f"#/events/{index}", "not-published", detail))
        if flaws:
            raise input_invalid(flaws)
        return str(url), [str(event) for event in listed]

    def _is_callable(self, url: str) -> bool:
        try:
            parsed = checked(url)
        except AddressRefused:
            return False
        return len(url) <= URL_CHARACTERS_MAX and (parsed.scheme == "https" or self._telling.private)

    def _shown(self, subscription: Subscription) -> dict[str, Any]:
        return {
            "id": str(subscription.id),
            "url": subscription.url,
            "events": [f"{self._prefix}{name}" for name in subscription.types],
            "state": subscription.state,
            "reason": subscription.reason,
            "subject": subscription.subject,
            "created_at": instant(subscription.created_at),
        }

    def _with_secret(self, subscription: Subscription) -> dict[str, Any]:
        secret = subscription_secret(self._telling.root, subscription.id, subscription.generation)
        return {**self._shown(subscription), "secret": secret}


def _made_of(exchange: Exchange, operation: str) -> UUID:
    """An id that follows from the request's key, so that a retry means the same."""
    key = idempotency_key(exchange.headers)
    if key is None:
        raise reject("idempotency-key-missing")
    scope = [exchange.actor.tenant, str(exchange.actor.subject), operation, key]
    return UUID(bytes=canonical.digest(canonical.encode_trusted(scope))[:16])


def _demand_members(body: Any, known: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise input_invalid([Flaw("#", "not-an-object", "must be a JSON object")])
    given = cast("dict[str, Any]", body)
    unknown = [name for name in given if name not in known]
    if unknown:
        raise input_invalid([Flaw(f"#/{escape(name)}", "unknown", "is not declared") for name in unknown])
    return given


def _there(subscription: Subscription | None) -> Subscription:
    """What was ended by somebody else a moment ago isn't there."""
    if subscription is None:
        raise reject("not-found")
    return subscription
