"""`avow subscriptions`: who is told of what is published, as HTTP has it, for whoever is at a terminal.

Whoever reaches the database from here acts as the person that they name, and may what that person may.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from uuid import UUID, uuid4

import click

from avow.api.published import Published
from avow.cli import output
from avow.cli.connection import ask_pool
from avow.cli.development import service_secret
from avow.cli.options import person_options
from avow.cli.target import load_target
from avow.cli.word import parse_id, parse_instant
from avow.engine.workers.publishing import ROTATED_S, telling_of
from avow.errors import UsageError, reject
from avow.model.actor import Actor
from avow.model.system import publishes
from avow.model.values import Subject
from avow.store.subscriptions import ACTIVE, PAUSED, Subscription, Subscriptions

CREDENTIAL: Final = "avow subscriptions"
"""The credential of whoever acts from here."""

Answer = TypeVar("Answer")

_person: Final = person_options("Who does it.")
_which: Final = click.argument("subscription", metavar="ID")


@dataclass(frozen=True, slots=True)
class _Desk:
    """What there is to subscribe to, and who has; in the eyes of one person."""

    actor: Actor
    published: Published
    kept: Subscriptions

    async def one(self, which: UUID) -> Subscription:
        """A subscription that they could have made. Raises `not-found`."""
        return self.there(await self.kept.find(self.actor.tenant, which))

    def there(self, found: Subscription | None) -> Subscription:
        """Raises `not-found` for what isn't there, or isn't theirs to see."""
        if found is None or not self.published.sees(self.actor, found):
            raise reject("not-found", "There is no such subscription for this person.")
        return found


@click.group(name="subscriptions")
def command() -> None:
    """Say who is told of what is published, and tell them again: as the person that --as names.

    Secrets follow from AVOW_SECRET, so use the same as the server. Without it, the one that `avow dev`
    keeps in its folder is used.
    """


@command.command(name="list")
@_person
def list_subscriptions(as_json: bool, **who: Any) -> int:
    """List the subscriptions, oldest first. Never with a secret."""

    async def ask(desk: _Desk) -> list[dict[str, Any]]:
        found = await desk.kept.all(desk.actor.tenant)
        return [desk.published.shown(each) for each in found if desk.published.sees(desk.actor, each)]

    items = _at_desk(ask, **who)
    if as_json:
        output.document({"items": items})
        return output.HOLDS
    for item in items:
        output.data(output.plain(_line(item)))
    if not items:
        output.talk("nobody is told of anything")
    return output.HOLDS


@command.command(name="add")
@click.argument("url")
@click.argument("events", metavar="EVENT...", nargs=-1, required=True)
@_person
def add(url: str, events: tuple[str, ...], as_json: bool, **who: Any) -> int:
    """Tell URL of each EVENT, such as shop.Invoice.pay, from now on. Shows the secret that signs, once."""

    async def ask(desk: _Desk) -> dict[str, Any]:
        wanted, types = desk.published.read_wish(desk.actor, {"url": url, "events": list(events)})
        subject = str(desk.actor.subject)
        return desk.published.with_secret(
            await desk.kept.put(desk.actor.tenant, uuid4(), subject, wanted, types)
        )

    return _secret_shown(_at_desk(ask, **who), as_json)


@command.command(name="pause")
@_which
@_person
def pause(subscription: str, as_json: bool, **who: Any) -> int:
    """Tell the subscription ID nothing for now; what happens meanwhile is kept for it."""
    return _turn(subscription, PAUSED, as_json, **who)


@command.command(name="resume")
@_which
@_person
def resume(subscription: str, as_json: bool, **who: Any) -> int:
    """Go on telling it: also where it was disabled because its receiver was gone."""
    return _turn(subscription, ACTIVE, as_json, **who)


@command.command(name="rotate")
@_which
@_person
def rotate(subscription: str, as_json: bool, **who: Any) -> int:
    """Give it a new secret, shown once; for 24 hours the one before it signs as well."""
    which = _id(subscription)

    async def ask(desk: _Desk) -> dict[str, Any]:
        known = await desk.one(which)
        turned = await desk.kept.rotate(known.tenant, known.id, uuid4(), ROTATED_S)
        return desk.published.with_secret(desk.there(turned))

    return _secret_shown(_at_desk(ask, **who), as_json)


@command.command(name="replay")
@_which
@click.option("--since", required=True, help="An instant, such as 2026-11-21T09:30:00Z.")
@_person
def replay(subscription: str, since: str, as_json: bool, **who: Any) -> int:
    """Tell it again of everything since an instant, of each record in order, under the same ids.

    Workers do it from now on. Until it is done, what happens meanwhile is told behind it.
    """
    which = _id(subscription)
    instant = parse_instant(since, "--since")

    async def ask(desk: _Desk) -> dict[str, Any]:
        known = await desk.one(which)
        begun = await desk.kept.replay(known.tenant, known.id, uuid4(), instant)
        return desk.published.shown(desk.there(begun))

    shown = _at_desk(ask, **who)
    return output.said(shown, f"everything since {shown['replaying_since']} will be told again", as_json)


@command.command(name="delete")
@_which
@_person
def delete(subscription: str, as_json: bool, **who: Any) -> int:
    """End it, with what it was still to be told."""
    which = _id(subscription)

    async def ask(desk: _Desk) -> bool:
        known = await desk.one(which)
        return await desk.kept.drop(known.tenant, known.id)

    _at_desk(ask, **who)
    return output.said({"id": str(which)}, f"{which} has ended", as_json)


def _turn(subscription: str, state: str, as_json: bool, **who: Any) -> int:
    which = _id(subscription)

    async def ask(desk: _Desk) -> dict[str, Any]:
        known = await desk.one(which)
        return desk.published.shown(desk.there(await desk.kept.turn(known.tenant, known.id, state)))

    shown = _at_desk(ask, **who)
    return output.said(shown, _line(shown), as_json)


def _secret_shown(shown: dict[str, Any], as_json: bool) -> int:
    if as_json:
        output.document(shown)
    else:
        output.data(shown["secret"])
        output.talk(f"id {shown['id']}; the secret is not shown again")
    return output.HOLDS


def _line(item: dict[str, Any]) -> str:
    why = f" ({item['reason']})" if item["reason"] else ""
    return f"{item['id']}  {item['state']}{why}  {item['url']}  {', '.join(item['events'])}"


def _id(text: str) -> UUID:
    return parse_id(text, "subscription", "Take one from `avow subscriptions list`.")


def _at_desk(
    ask: Callable[[_Desk], Awaitable[Answer]],
    *,
    subject: str,
    roles: tuple[str, ...],
    tenant: str,
    target: str,
) -> Answer:
    system = load_target(target)
    if not publishes(system):
        raise UsageError(
            f"{system.name} publishes nothing", "Write publish(TRANSITION, by=...) in an entity."
        )
    # As in the server that `avow dev` starts, which has no AVOW_SECRET of its own either.
    private = os.environ.get("AVOW_PRIVATE_SUBSCRIBERS") == "1" or "AVOW_SECRET" not in os.environ
    published = Published(system, telling_of(service_secret(), private=private))
    actor = Actor(Subject(subject), tenant, frozenset(roles), CREDENTIAL)
    published.demand_right(actor)

    return ask_pool(system, lambda pool: ask(_Desk(actor, published, Subscriptions(pool))))
