"""The interface by which a test rules the outside. It has a port of its own, which never misbehaves."""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any, TypeAlias

from avow.testing.provider.behaviour import ANY, BehaviourError
from avow.testing.provider.keys import Keeping
from avow.testing.provider.listening import Listening
from avow.testing.provider.outside import Outside, service_named
from avow.testing.provider.services.service import Refusal
from avow.testing.provider.services.stock import Stock
from avow.testing.provider.webhooks import fresh_secret
from avow.testing.provider.wire import Answer, Connection, Request

Json: TypeAlias = Any
RUN_BYTES = 4
RESULTS = ("webhook", "at_once", "told")


class Control:
    """Answers what a test asks. Every mistake of the test is answered with 422 and its reason."""

    def __init__(self, seed: int, port: int) -> None:
        """Make the outside that is ruled. Raises OSError when another has its port."""
        self._seed = seed
        self._outside = _fresh(seed)
        self.services = Listening(self._serve, port)
        self._routes: dict[tuple[str, str], Callable[[Json], Awaitable[Json]]] = {
            ("GET", "/ledger"): self._ledger,
            ("GET", "/requests"): self._requests,
            ("GET", "/webhooks"): self._webhooks,
            ("PUT", "/behaviour"): self._behave,
            ("DELETE", "/behaviour"): self._fine,
            ("PUT", "/service"): self._service,
            ("PUT", "/webhooks"): self._deliver_to,
            ("PUT", "/down"): self._down,
            ("POST", "/reset"): self._reset,
            ("POST", "/settle"): self._settle,
            ("POST", "/held"): self._held,
            ("POST", "/release"): self._release,
            ("POST", "/quiet"): self._quiet,
        }

    async def handle(self, request: Request, connection: Connection) -> None:
        """Answer one request of a test."""
        answer = await self._answer(request)
        await connection.write(answer.written())

    async def _serve(self, request: Request, connection: Connection) -> None:
        await self._outside.handle(request, connection)

    async def _answer(self, request: Request) -> Answer:
        run = self._routes.get((request.method, request.path))
        if run is None:
            return Answer(404, {"detail": f"Nothing answers {request.method} {request.path}."})
        try:
            return Answer(200, await run(json.loads(request.body or b"{}")))
        except Refusal as refusal:
            return Answer(422, {"detail": refusal.detail})
        except KeyError as error:
            return Answer(422, {"detail": f"{error.args[0]!r} is missing."})
        except (BehaviourError, TypeError, AttributeError, ValueError) as error:
            return Answer(422, {"detail": str(error)})

    # --- looking --------------------------------------------------------------------------------

    async def _ledger(self, _: Json) -> Json:
        return self._outside.ledger.document()

    async def _requests(self, _: Json) -> Json:
        return {"items": [asdict(seen) for seen in self._outside.seen]}

    async def _webhooks(self, _: Json) -> Json:
        return {"items": [asdict(sent) for sent in self._outside.webhooks.sent]}

    # --- ruling ---------------------------------------------------------------------------------

    async def _behave(self, asked: Json) -> Json:
        self._outside.demand_known(asked.get("service", ANY), asked.get("operation", ANY))
        self._outside.behaviours.put(asked)

    async def _fine(self, _: Json) -> Json:
        self._outside.behaviours.clear()

    async def _service(self, asked: Json) -> Json:
        service = service_named(self._outside, asked["service"])
        if "keys" in asked:
            self._outside.keys[service.name].keeping = Keeping(asked["keys"])
        if "results" in asked:
            if asked["results"] not in RESULTS:
                raise ValueError(f"{asked['results']!r} is none of {', '.join(RESULTS)}")
            service.results = asked["results"]
        if "free" in asked:
            if not isinstance(service, Stock):
                raise ValueError("only stock has free pieces")
            service.set_free({sku: int(pieces) for sku, pieces in asked["free"].items()})

    async def _deliver_to(self, asked: Json) -> Json:
        webhooks = self._outside.webhooks
        secret = asked.get("secret") or fresh_secret()
        name = asked.get("service", ANY)
        if name != ANY:
            service_named(self._outside, name)
        webhooks.deliver_to(name, asked["url"], secret)
        if "retries_s" in asked:
            webhooks.retries_s = tuple(float(pause_s) for pause_s in asked["retries_s"])
        return {"secret": secret}

    async def _down(self, asked: Json) -> Json:
        if asked["down"]:
            await self.services.close()
        else:
            await self.services.open()

    async def _reset(self, _: Json) -> Json:
        await self.services.close()
        self._outside.abandon()
        self._outside = _fresh(self._seed)
        await self.services.open()

    async def _settle(self, asked: Json) -> Json:
        answer = await self._outside.settle(asked["service"], asked["reference"], asked.get("result"))
        return answer.body

    # --- waiting --------------------------------------------------------------------------------

    async def _held(self, asked: Json) -> Json:
        await self._outside.gates.held(asked["name"], asked.get("count", 1))

    async def _release(self, asked: Json) -> Json:
        return {"released": self._outside.gates.release(asked["name"], asked.get("count"))}

    async def _quiet(self, _: Json) -> Json:
        await self._outside.webhooks.quiet()


def _fresh(seed: int) -> Outside:
    """An outside whose ids never meet those of another."""
    return Outside(seed, secrets.token_hex(RUN_BYTES))
