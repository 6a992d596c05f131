"""What is published, and to whom: what somebody may be told of, and how a subscription is shown to them.

Whoever asks, over HTTP or at a terminal, gets the same answers. Nobody learns of a subscription to something
that they couldn't subscribe to themselves.
"""

from __future__ import annotations

from typing import Any, Final, cast

from avow.api.authorization import RightToCall
from avow.api.ingress import input_invalid
from avow.engine.outside import AddressRefused
from avow.engine.outside.destination import checked
from avow.engine.workers.publishing import Telling, event_type, subscription_secret
from avow.kernel.policy import certainly_may
from avow.model.actor import Actor
from avow.model.system import System
from avow.model.types import Flaw, escape, instant
from avow.store.subscriptions import Subscription

URL_CHARACTERS_MAX: Final = 2_000


class Published:
    """The events of one system, by the names that the outside has for them."""

    def __init__(self, system: System, telling: Telling) -> None:
        self._telling = telling
        publications = [(e.name, p) for e in system.entities.values() for p in e.publications]
        self._right = RightToCall([p.by for _, p in publications], "subscriptions")
        self._policies = {
            event_type(system, f"{kind}.{transition}"): publication.by
            for kind, publication in publications
            for transition in publication.transitions
        }
        self._prefix = event_type(system, "")

    def demand_right(self, actor: Actor) -> None:
        """Raise `unauthenticated` or `forbidden` for whoever may subscribe to nothing at all."""
        self._right.demand(actor)

    def sees(self, actor: Actor, subscription: Subscription) -> bool:
        """What is published no longer hides nothing: somebody has to be able to end it."""
        events = self._events(subscription)
        return all(self._may(actor, event) for event in events if event in self._policies)

    def read_wish(self, actor: Actor, body: Any) -> tuple[str, list[str]]:
        """The address and the types of `{"url", "events"}`. Raises `input-invalid` with every flaw."""
        given = demand_members(body, ("url", "events"))
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
        return str(url), [str(event).removeprefix(self._prefix) for event in listed]

    def shown(self, subscription: Subscription) -> dict[str, Any]:
        """A subscription as its owner sees it, without its secret."""
        since = subscription.replaying_since
        return {
            "id": str(subscription.id),
            "url": subscription.url,
            "events": self._events(subscription),
            "state": subscription.state,
            "reason": subscription.reason,
            "subject": subscription.subject,
            "created_at": instant(subscription.created_at),
            "replaying_since": None if since is None else instant(since),
        }

    def with_secret(self, subscription: Subscription) -> dict[str, Any]:
        """The same, and the secret: in the answer that made it, and in no other."""
        secret = subscription_secret(self._telling.root, subscription.id, subscription.generation)
        return {**self.shown(subscription), "secret": secret}

    def _events(self, subscription: Subscription) -> list[str]:
        return [f"{self._prefix}{name}" for name in subscription.types]

    def _may(self, actor: Actor, event: str) -> bool:
        policy = self._policies.get(event)
        return policy is not None and certainly_may(policy, actor)

    def _is_callable(self, url: str) -> bool:
        try:
            parsed = checked(url)
        except AddressRefused:
            return False
        return len(url) <= URL_CHARACTERS_MAX and (parsed.scheme == "https" or self._telling.private)


def demand_members(body: Any, known: tuple[str, ...]) -> dict[str, Any]:
    """A JSON object with no other members than these. Raises `input-invalid`."""
    if not isinstance(body, dict):
        raise input_invalid([Flaw("#", "not-an-object", "must be a JSON object")])
    given = cast("dict[str, Any]", body)
    unknown = [name for name in given if name not in known]
    if unknown:
        raise input_invalid([Flaw(f"#/{escape(name)}", "unknown", "is not declared") for name in unknown])
    return given
