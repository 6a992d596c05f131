"""Subscriptions over HTTP: who is told of what is published, by whoever the declaration lets subscribe.

A secret is shown in the answer that made it and in no other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from uuid import UUID

from avow.api.commands import fingerprint
from avow.api.exchange import Exchange, Response
from avow.api.headers import idempotency_key
from avow.api.ingress import input_invalid
from avow.api.published import Published, demand_members
from avow.api.routes import Route
from avow.engine.execute import Reply
from avow.engine.identifier import id_of
from avow.engine.request import json_bytes
from avow.engine.workers.publishing import ROTATED_S, Telling
from avow.errors import reject
from avow.model.system import System
from avow.model.types import DateTimeType, Misfit, instant
from avow.store.pool import Pool
from avow.store.subscriptions import ACTIVE, PAUSED, Acted, Subscription, Subscriptions

_PLAIN: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "pause": ("turn", {"state": PAUSED}),
    "resume": ("turn", {"state": ACTIVE}),
    "rotate": ("rotate", {"both_ms": round(ROTATED_S * 1_000)}),
    "delete": ("drop", {}),
}
"""What is done for each verb that takes no members."""
_SAID: Final = ("url", "types", "since")
"""What of it the caller has said, which makes a request another one."""


class Subscribers:
    """Answers everything below /subscriptions."""

    def __init__(self, system: System, pool: Pool, telling: Telling) -> None:
        self._subscriptions = Subscriptions(pool)
        self._published = Published(system, telling)

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
        actor = exchange.actor
        which = id_of([actor.tenant, str(actor.subject), "subscribe", idempotency_key(exchange.headers)])
        url, types = self._published.read_wish(actor, await exchange.json())
        told = {"subject": str(actor.subject), "url": url, "types": types}
        acted = await self._once(exchange, "subscribe", which, "put", told)
        if (acted.left.url, [*acted.left.types]) != (url, types):
            raise reject("idempotency-key-reused")
        return _said(self._published.with_secret(acted.left), acted, 201)

    def handler(self, route: Route) -> Callable[[Exchange], Awaitable[Response]]:
        """What answers one route."""
        _, _, verb = route.template.partition("{id}")
        if "{id}" not in route.template:
            return self.page if route.method == "GET" else self.create
        if not verb:
            return self.one
        verb = verb[1:]

        async def answer(exchange: Exchange) -> Response:
            exchange.demand_no_query()
            known = await self._demand(exchange, verb)
            word, told = _asked(verb, await exchange.json())
            acted = await self._once(exchange, verb, known.id, word, told)
            return _said(self._shown(verb, acted.left), acted)

        return answer

    async def _once(
        self, exchange: Exchange, verb: str, which: UUID, word: str, told: Mapping[str, Any]
    ) -> Acted:
        """Do it, unless the key has been used: then it is what came of that. Raises `not-found` for what was
        ended by somebody else a moment ago, and `idempotency-key-reused`.
        """
        same = fingerprint(exchange.record, {name: told[name] for name in _SAID if name in told})
        tenant, key = exchange.actor.tenant, _key(exchange, verb)
        acted = await self._subscriptions.act(tenant, which, key, same, word, told)
        if acted is None:
            raise reject("not-found")
        if acted.fingerprint != same:
            raise reject("idempotency-key-reused")
        return acted

    def _shown(self, verb: str, subscription: Subscription) -> dict[str, Any]:
        if verb == "delete":
            return {"id": str(subscription.id)}
        shows = self._published.with_secret if verb == "rotate" else self._published.shown
        return shows(subscription)

    async def _demand(self, exchange: Exchange, verb: str = "") -> Subscription:
        """The subscription that the path names. verb: what a POST wants with it, whose key may tell of one
        that has ended since.
        """
        self._published.demand_right(exchange.actor)
        key = _key(exchange, verb) if verb else None
        if exchange.record is None:
            raise reject("not-found")
        tenant = exchange.actor.tenant
        found = await self._subscriptions.find(tenant, exchange.record)
        if found is None and key is not None:
            found = await self._subscriptions.left(tenant, key)
        if found is None or found.id != exchange.record or not self._published.sees(exchange.actor, found):
            raise reject("not-found")
        return found


def _asked(verb: str, body: Any) -> tuple[str, Mapping[str, Any]]:
    """What is to be done, and with what. Raises `input-invalid`."""
    if verb in _PLAIN:
        demand_members(body, ())
        return _PLAIN[verb]
    given = demand_members(body, ("since",))
    try:
        since = DateTimeType().parse(given.get("since"), "#/since")
    except Misfit as misfit:
        raise input_invalid(misfit.flaws) from None
    return verb, {"since": instant(since)}


def _said(shown: Mapping[str, Any], acted: Acted, status: int = 200) -> Response:
    return Response.of_reply(Reply(status, json_bytes(shown), replayed=acted.replayed))


def _key(exchange: Exchange, verb: str) -> UUID:
    """A key belongs to one tenant, one subject and one kind of act."""
    actor = exchange.actor
    scope = [actor.tenant, str(actor.subject), "subscriptions", verb, idempotency_key(exchange.headers)]
    return id_of(scope)
