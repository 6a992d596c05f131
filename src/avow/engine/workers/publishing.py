"""Events out: each published entry is told to every subscription, signed, in order, until it was taken.

A delivery is a piece of work like any other; what it tells is read from the audit log when it is made.
Nothing of it is logged. A subscriber is called as somebody unknown: at a public address, without following
redirects.
"""

from __future__ import annotations

import hmac
import json
import random
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from avow.engine.outside import AddressRefused, Destination, Limits, Outside, retry_after_s
from avow.model.cloud_event import CONTENT_TYPE, cloud_event
from avow.model.effect import Backoff
from avow.model.outcome import NotDone, Unclear
from avow.model.publication import Publication
from avow.model.signature import sign
from avow.model.system import System
from avow.store.loading import plan_record
from avow.store.pool import Pool
from avow.store.queue import Queue, Work
from avow.store.reads import Reads
from avow.store.subscriptions import ACTIVE, DISABLED, REPLAYS, Subscription, Subscriptions

TIMEOUT_S: Final = 20.0
"""How long a subscriber may take to answer."""
ROTATED_S: Final = 86_400.0
"""How long the secret before the current one signs as well."""
PAUSES: Final = Backoff(attempts=None, first_s=5.0, most_s=3_600.0)
"""When a delivery that wasn't taken is tried again."""
GONE: Final = 410
STATUS_ALONE: Final = Limits(answer_bytes_max=None)


@dataclass(frozen=True, slots=True)
class Telling:
    """What telling others needs of this service.

    root: from which the secrets of subscriptions follow. private: subscribers may be in a private network.
    """

    root: bytes
    private: bool = False


def telling_of(secret: bytes, *, private: bool) -> Telling:
    """From the service's own secret."""
    return Telling(hmac.digest(secret, b"avow subscriptions", "sha256"), private)


def subscription_secret(root: bytes, subscription: UUID, generation: int) -> str:
    """A secret of a subscription, as Standard Webhooks writes it. It is kept nowhere."""
    digest = hmac.digest(root, f"{subscription}/{generation}".encode(), "sha256")
    return f"whsec_{b64encode(digest).decode()}"


def event_type(system: System, published: str) -> str:
    """What the outside calls a published transition."""
    return f"{system.name}.{published}"


class Publishing:
    """Tells subscribers of one system. Belongs to one event loop."""

    def __init__(self, system: System, pool: Pool, telling: Telling) -> None:
        self._system, self._telling = system, telling
        self._subscriptions, self._queue = Subscriptions(pool), Queue(system, pool)
        self._outside, self._reads = Outside(), Reads(system, pool)
        self._publications = {
            (entity.name, name): publication
            for entity in system.entities.values()
            for publication in entity.publications
            for name in publication.transitions
        }

    async def ready(self) -> list[str]:
        """The destinations to which something can be told now, and after REPLAYS whose replay can go on."""
        return await self._subscriptions.deliverable()

    async def go_on(self, replay: str) -> None:
        """One step of a replay, as `ready` names it."""
        await self._subscriptions.go_on(UUID(replay.removeprefix(REPLAYS)))

    async def close(self) -> None:
        """Let go of every connection to a subscriber."""
        await self._outside.aclose()

    async def deliver(self, work: Work) -> str:
        """Tell one subscriber of one entry, and say what became of it."""
        addressee = await self._subscriptions.addressee(work)
        if addressee is None:
            return await self._end(work, "ended")
        found, left_to_replay = addressee
        if found.state != ACTIVE:
            await self._queue.give_back(work, found.state, "", pause_s=0.0)
            return found.state
        if left_to_replay:
            return await self._end(work, "left-to-replay")
        entry = await self._subscriptions.entry(work.tenant, work.kind, work.id, work.version)
        publication = self._publications.get((work.kind, entry["transition"]))
        if publication is None:
            return await self._end(work, "unpublished")
        values = await self._values(work, publication)
        if values is None:
            return await self._end(work, "dropped", "The entries that say what was true then were dropped.")
        return await self._send(work, found, publication, self._body(work, entry, values))

    async def _values(self, work: Work, publication: Publication) -> Mapping[str, Any] | None:
        """The fields as they were at the work's version; None where nobody can tell any more.

        What was set by entries that were dropped is as the row has it, if nothing has set it since.
        """
        which, fields = (work.tenant, work.kind, work.id), publication.fields
        found = await self._subscriptions.values(*which, work.version, fields)
        missing = {name for name in fields if name not in found}
        if missing and await self._reads.dropped(*which) is not None:
            entity = self._system.entities[work.kind]
            loaded = await self._reads.load(plan_record(self._system, entity, ()), work.tenant, work.id)
            if missing & await self._subscriptions.changed_after(*which, work.version):
                return None
            values = loaded.records[work.kind, work.id].values
            known = {name: values[name] for name in missing if values[name] is not None}
            found |= {name: entity.fields[name].type.dump(value) for name, value in known.items()}
        return {name: found.get(name) for name in fields}

    def _body(self, work: Work, entry: Mapping[str, Any], values: Mapping[str, Any]) -> bytes:
        event = cloud_event(
            event_id=str(work.key),
            source=f"/{self._system.entities[work.kind].plural}",
            kind=event_type(self._system, f"{work.kind}.{entry['transition']}"),
            subject=str(work.id),
            time=datetime.fromisoformat(entry["at"]),
            data={"id": str(work.id), "version": work.version, "state": entry["to"], **values},
        )
        return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()

    async def _send(self, work: Work, to: Subscription, publication: Publication, body: bytes) -> str:
        now = datetime.now(UTC)
        signed = sign(self._secrets(to, now), str(work.key), now, body)
        anywhere = Destination("a subscriber", allow_private=self._telling.private)
        http = self._outside.http(
            anywhere, key=str(work.key), deadline=time.monotonic() + TIMEOUT_S, limits=STATUS_ALONE
        )
        try:
            answer = await http.request(
                "POST",
                to.url,
                content=body,
                headers={**signed, "content-type": CONTENT_TYPE},
                idempotent=True,
            )
        except NotDone as fault:
            return await self._again(work, publication, str(fault), fault.retry_after_s or 0.0)
        except (Unclear, AddressRefused) as fault:
            return await self._again(work, publication, str(fault), 0.0)
        if answer.ok:
            return await self._end(work, "delivered", f"answered with {answer.status}")
        if answer.status == GONE:
            await self._end(work, "gone", f"answered with {answer.status}")
            await self._subscriptions.turn(work.tenant, to.id, DISABLED, "gone")
            return "gone"
        least_s = retry_after_s(answer.headers, now) or 0.0
        return await self._again(work, publication, f"answered with {answer.status}", least_s)

    def _secrets(self, to: Subscription, now: datetime) -> list[str]:
        """The secrets that sign now: the current one, and for a time the one before it."""
        both = to.previous_until is not None and now < to.previous_until
        generations = [to.generation, *([to.generation - 1] if both else [])]
        return [subscription_secret(self._telling.root, to.id, generation) for generation in generations]

    async def _end(self, work: Work, outcome: str, detail: str = "") -> str:
        await self._queue.give_back(work, outcome, detail)
        return outcome

    async def _again(self, work: Work, publication: Publication, detail: str, least_s: float) -> str:
        """Try it again, unless it was tried for as long as is declared: then a person has to look at it."""
        if work.taken_at - work.due >= timedelta(seconds=publication.retried_s):
            await self._queue.give_back(work, "stuck", detail, stuck="undeliverable")
            return "stuck"
        pause_s = max(least_s, PAUSES.pause_s(work.attempt, random.random()))
        await self._queue.give_back(work, "not-delivered", detail, pause_s=pause_s)
        return "not-delivered"
