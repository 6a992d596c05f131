"""Operating over HTTP: what happens by itself in a tenant, and what its operators do about it.

Operators are whom the declaration names, and see the work of their own tenant. Whoever is asked for what is
stuck sees that, and does what is owed. Pausing a destination stops
the calls of all tenants, and so is a right of its own.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from avow.api import cursor
from avow.api.authorization import RightToCall
from avow.api.commands import fingerprint
from avow.api.exchange import Exchange, Response
from avow.api.headers import idempotency_key
from avow.api.ingress import WORK_FILTERS, input_invalid, read_members, read_work_query
from avow.api.routes import OPERATED, Route
from avow.engine.workers.operating import Intent, Operating, Settlement, shown
from avow.engine.workers.owed import SETTLE
from avow.model import types as kinds
from avow.model.actor import Actor
from avow.model.expression import AnyOf, Expression, HasRole
from avow.model.system import System, asked_for_stuck
from avow.model.types import Member, Misfit, Value
from avow.store.operate import STATES, Filter

NAME_LENGTH_MAX: Final = 255
SET: Final = kinds.Text(64, 64, "[0-9a-f]{64}")
"""What names a set that was previewed."""
_NAME: Final = kinds.Text(NAME_LENGTH_MAX, 1)
_REASON: Final = Member("reason", kinds.Text(1_000, 1))
_STATE: Final = kinds.Text(20, 1, "|".join(STATES))
OF_ONE: Final = (_REASON,)
OF_A_SET: Final = (
    *(Member(name, _STATE if name == "state" else _NAME, optional=True) for name in WORK_FILTERS),
    Member("set", SET),
    _REASON,
)
SETTLED: Final = (
    Member("outcome", kinds.Text(6, 4, "done|failed")),
    Member("code", kinds.Text(100, 1), optional=True),
    Member("evidence", kinds.Text(1_000), optional=True),
    _REASON,
)
"""And `result`, plain JSON of the type that the effect declares."""
OF_A_DESTINATION: Final = (Member("destination", _NAME), _REASON)
FAILED: Final = "failed"
"""The code of a call that is settled as failed without one."""

Handler = Callable[[Exchange], Awaitable[Response]]


class OperatingDesk:
    """Answers everything below /effects and /destinations. `cursor_key` seals the cursors of pages."""

    def __init__(self, operating: Operating, system: System, cursor_key: bytes) -> None:
        self._operating, self._entities, self._cursor_key = operating, list(system.entities), cursor_key
        self._operators, self._pausers = (
            _right(system.operators, "effects"),
            _right(system.pausers, "destinations"),
        )
        self._asked_too = _right(who_may_see_to_one(system), "effects")

    def handler(self, route: Route) -> Handler:
        """What answers one route."""
        _, work, verb = route.template.rpartition("{work}/")
        fixed: Mapping[str, Handler] = {
            "/effects": self._page,
            "/effects/preview": self._preview,
            "/effects/{work}": self._one,
            "/destinations": self._destinations,
            "/destinations/pause": self._turning(paused=True),
            "/destinations/resume": self._turning(paused=False),
        }
        if route.template in fixed:
            return fixed[route.template]
        if work:
            return self._settle if verb == SETTLE else self._acting(verb)
        return self._acting_on_all(route.template.rpartition("/")[2])

    async def _page(self, exchange: Exchange) -> Response:
        self._operators.demand(exchange.actor)
        query = read_work_query(self._entities, STATES, exchange.query)
        bound = json.dumps(["effects", exchange.actor.tenant, query.given]).encode()
        held = {"work": 0}
        if query.page.cursor is not None:
            held |= cursor.decode(query.page.cursor, [self._cursor_key], bound)
        wanted = _filter(exchange.actor, query.given)
        found = await self._operating.page(wanted, int(str(held["work"])), query.page.limit)
        items = found[: query.page.limit]
        page: dict[str, Any] = {"items": [shown(item) for item in items]}
        if len(found) > len(items):
            page["next"] = cursor.encode({"work": items[-1]["work"]}, self._cursor_key, bound)
        return Response.json(page)

    async def _preview(self, exchange: Exchange) -> Response:
        self._operators.demand(exchange.actor)
        query = read_work_query(self._entities, STATES, exchange.query)
        found = await self._operating.preview(_filter(exchange.actor, query.given))
        return Response.json({"count": len(found.items), "more": found.more, "set": found.fingerprint})

    async def _one(self, exchange: Exchange) -> Response:
        self._asked_too.demand(exchange.actor)
        exchange.demand_no_query()
        actor = exchange.actor
        return Response.json(await self._operating.one(actor.tenant, _work(exchange), actor))

    async def _destinations(self, exchange: Exchange) -> Response:
        self._pausers.demand(exchange.actor)
        exchange.demand_no_query()
        return Response.json({"items": await self._operating.destinations()})

    def _acting(self, action: str) -> Handler:
        async def answer(exchange: Exchange) -> Response:
            intent, _ = await self._asked(exchange, self._asked_too, action, OF_ONE)
            tenant, work = exchange.actor.tenant, _work(exchange)
            return Response.of_reply(await self._operating.act(intent, tenant, work))

        return answer

    def _acting_on_all(self, action: str) -> Handler:
        if action not in OPERATED:
            raise ValueError(f"nothing can be done about a set by {action}")

        async def answer(exchange: Exchange) -> Response:
            intent, given = await self._asked(exchange, self._operators, action, OF_A_SET)
            wanted = {name: str(given[name]) for name in WORK_FILTERS if name in given}
            reply = await self._operating.act_on_all(
                intent, _filter(exchange.actor, wanted), str(given["set"])
            )
            return Response.of_reply(reply)

        return answer

    async def _settle(self, exchange: Exchange) -> Response:
        intent, given = await self._asked(exchange, self._asked_too, SETTLE, SETTLED, free="result")
        done, code = given["outcome"] == "done", given.get("code") or FAILED
        settlement = Settlement(done, given.get("result"), str(code), str(given.get("evidence") or ""))
        try:
            reply = await self._operating.act(intent, exchange.actor.tenant, _work(exchange), settlement)
        except Misfit as misfit:
            raise input_invalid(misfit.flaws) from None
        return Response.of_reply(reply)

    def _turning(self, *, paused: bool) -> Handler:
        async def answer(exchange: Exchange) -> Response:
            action = "pause" if paused else "resume"
            intent, given = await self._asked(exchange, self._pausers, action, OF_A_DESTINATION)
            destination, tenant = str(given["destination"]), exchange.actor.tenant
            return Response.of_reply(await self._operating.pause(intent, tenant, destination, paused=paused))

        return answer

    async def _asked(
        self, exchange: Exchange, right: RightToCall, action: str, members: tuple[Member, ...], free: str = ""
    ) -> tuple[Intent, dict[str, Any]]:
        """What an operator wants, and the members of the body. free: one that may be any JSON."""
        right.demand(exchange.actor)
        exchange.demand_no_query()
        key = idempotency_key(exchange.headers)
        body = await exchange.json()
        told = {k: v for k, v in body.items() if k != free} if isinstance(body, dict) else body
        given: dict[str, Value] = {**read_members(members, told)}
        if isinstance(body, dict) and free in body:
            given[free] = body[free]  # type: ignore[assignment]
        same = fingerprint(None, [exchange.path, body])
        return Intent(action, exchange.actor, str(given["reason"]), key, same), given


def _filter(actor: Actor, given: Mapping[str, str]) -> Filter:
    destination, entity, state, stuck = map(given.get, ("destination", "entity", "state", "stuck"))
    return Filter(actor.tenant, destination, entity, state, stuck)


def who_may_see_to_one(system: System) -> Expression | None:
    """Who may be asked for a work that is stuck: operators, and whoever has a role that a call asks."""
    parts = [
        *([] if system.operators is None else [system.operators]),
        *map(HasRole, asked_for_stuck(system)),
    ]
    return AnyOf(tuple(parts)) if len(parts) > 1 else next(iter(parts), None)


def _right(policy: Expression | None, rule: str) -> RightToCall:
    return RightToCall([] if policy is None else [policy], rule)


def _work(exchange: Exchange) -> int:
    if exchange.number is None:
        raise LookupError("a work is named by its number")
    return exchange.number
