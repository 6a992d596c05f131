"""Webhooks, signed as Standard Webhooks has it, and sent in whatever order and number a test wants."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from avow.testing.provider.behaviour import ANY, WEBHOOKS, Behaviours, Faults
from avow.testing.provider.gates import Gates
from avow.testing.provider.services.service import Event, Ids
from avow.testing.provider.wire import post

SECRET_PREFIX: Final = "whsec_"
SECRET_BYTES: Final = 32
ANSWER_TIMEOUT_S: Final = 10.0
RETRIES_S: Final = (0.05, 0.2, 1.0, 5.0)
GONE: Final = 410
OUT_OF_ORDER: Final = frozenset({"early", "late", "hold", "behind"})


def fresh_secret() -> str:
    """A secret as both sides keep it."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def webhook_headers(secret: str, message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """The three headers of a webhook (Standard Webhooks 1.0). timestamp_s: since 1970.

    Raises ValueError when the secret isn't `whsec_` and base64.
    """
    if not secret.startswith(SECRET_PREFIX):
        raise ValueError("a webhook's secret begins with whsec_")
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    signed = hmac.digest(key, f"{message_id}.{timestamp_s}.".encode() + body, hashlib.sha256)
    signature = f"v1,{base64.b64encode(signed).decode()}"
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": signature,
    }


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where webhooks go, and with which secret."""

    url: str
    secret: str


@dataclass(slots=True)
class Sent:
    """One attempt to deliver. status: of the answer; None while there is none.

    attempt: from 1; the copies of a repeated webhook share the number.
    genuine: whether it was signed with the endpoint's secret.
    """

    id: str
    type: str
    service: str
    reference: str
    attempt: int
    genuine: bool
    body: str
    headers: dict[str, str]
    status: int | None = None


@dataclass(eq=False)
class Delivery:
    """One event to be told. tried: set when its first attempt is over, or when there will be none."""

    service: str
    event: Event
    faults: Faults
    endpoint: Endpoint
    id: str
    body: bytes
    tried: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def reference(self) -> str:
        """What it is about."""
        return self.event.data["reference"]


class Webhooks:
    """Sends what the services tell, in the background."""

    def __init__(self, behaviours: Behaviours, gates: Gates, ids: Ids) -> None:
        self._behaviours, self._gates, self._ids = behaviours, gates, ids
        self._endpoints: dict[str, Endpoint] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._behind: list[asyncio.Event] = []
        self._latest: dict[str, asyncio.Event] = {}
        self._under_way = 0
        self._abandoned = False
        self._moved = asyncio.Condition()
        self.retries_s: tuple[float, ...] = RETRIES_S
        self.sent: list[Sent] = []

    def deliver_to(self, service: str, url: str, secret: str) -> None:
        """Send the events of a service (`*`: of each that has no address of its own) there from now on."""
        if not url.startswith("http://"):
            raise ValueError("webhooks go to an http:// address")
        webhook_headers(secret, "", 0, b"")
        self._endpoints[service] = Endpoint(url, secret)

    async def try_early(self, service: str, events: tuple[Event, ...]) -> list[Delivery]:
        """Try those that are to be early now; the others come back, to be sent behind the answer."""
        endpoint = self._endpoints.get(service) or self._endpoints.get(ANY)
        if endpoint is None:
            return []
        deliveries = [self._delivery(service, event, endpoint) for event in events]
        early = [delivery for delivery in deliveries if "early" in delivery.faults]
        self.send(early)
        for delivery in early:
            await delivery.tried.wait()
        return [delivery for delivery in deliveries if delivery not in early]

    def send(self, deliveries: list[Delivery]) -> None:
        """Start these. Those of one reference go in their order, but for faults that are about order."""
        if self._abandoned:
            return
        for delivery in deliveries:
            before: asyncio.Event | None = None
            if not any(fault.kind in OUT_OF_ORDER for fault in delivery.faults):
                before = self._latest.get(delivery.reference)
                self._latest[delivery.reference] = delivery.tried
            self._under_way += 1
            task = asyncio.create_task(self._deliver(delivery, before))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def quiet(self) -> None:
        """Wait until nothing is on its way but what stands at a gate."""
        async with self._moved:
            await self._moved.wait_for(lambda: self._under_way == 0)

    def abandon(self) -> None:
        """Send nothing more, also not for requests that are still under way."""
        self._abandoned = True
        self._endpoints.clear()
        for task in self._tasks:
            task.cancel()

    # --- one delivery ---------------------------------------------------------------------------

    def _delivery(self, service: str, event: Event, endpoint: Endpoint) -> Delivery:
        happened = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        body = json.dumps({"type": event.type, "timestamp": happened, "data": event.data}).encode()
        faults = self._behaviours.take(WEBHOOKS, event.type)
        return Delivery(service, event, faults, endpoint, self._ids.next("msg"), body)

    async def _deliver(self, delivery: Delivery, before: asyncio.Event | None) -> None:
        try:
            if before is not None:
                await before.wait()
            await self._wait_for_its_turn(delivery)
            if "lost" not in delivery.faults:
                await self._attempt_until_taken(delivery)
        finally:
            delivery.tried.set()
            await self._move(-1)

    async def _wait_for_its_turn(self, delivery: Delivery) -> None:
        for fault in delivery.faults:
            if fault.kind == "late":
                await asyncio.sleep(fault.seconds or 0)
            elif fault.kind == "hold":
                await self._move(-1)
                await self._gates.wait(fault.name or "")
                await self._move(1)
            elif fault.kind == "behind":
                await self._wait_for_the_next(fault.seconds)

    async def _wait_for_the_next(self, seconds: float | None) -> None:
        """Stand back until another webhook was tried, or for so long."""
        overtaken = asyncio.Event()
        self._behind.append(overtaken)
        try:
            await asyncio.wait_for(overtaken.wait(), seconds)
        except TimeoutError:
            self._behind.remove(overtaken)

    async def _attempt_until_taken(self, delivery: Delivery) -> None:
        repeat = delivery.faults.get("repeat")
        copies = (repeat and repeat.times) or 1
        for number, pause_s in enumerate((*self.retries_s, None), 1):
            attempts = [self._attempt(delivery, number) for _ in range(copies if number == 1 else 1)]
            statuses = await asyncio.gather(*attempts)
            delivery.tried.set()
            self._let_those_behind_go()
            if any(status is not None and (status < 300 or status == GONE) for status in statuses):
                return
            if pause_s is not None:
                await asyncio.sleep(pause_s)

    async def _attempt(self, delivery: Delivery, number: int) -> int | None:
        genuine = "wrong_signature" not in delivery.faults
        secret = delivery.endpoint.secret if genuine else fresh_secret()
        now_s = int(datetime.now(UTC).timestamp())
        headers = webhook_headers(secret, delivery.id, now_s, delivery.body)
        headers["content-type"] = "application/json"
        event = delivery.event
        sent = Sent(
            delivery.id, event.type, delivery.service, delivery.reference, number, genuine,
            delivery.body.decode(), headers,
        )  # fmt: skip
        self.sent.append(sent)
        sent.status = await post(delivery.endpoint.url, headers, delivery.body, ANSWER_TIMEOUT_S)
        return sent.status

    def _let_those_behind_go(self) -> None:
        for overtaken in self._behind:
            overtaken.set()
        self._behind.clear()

    async def _move(self, change: int) -> None:
        async with self._moved:
            self._under_way += change
            self._moved.notify_all()
