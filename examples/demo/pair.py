"""One application under attack: by hand and declared, each on a database of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avow.store.schema.install import create_database
from avow.testing import Provider
from avow.testing.provider.webhooks import fresh_secret
from examples.demo.attack import Attack
from examples.demo.backend import database_of
from examples.demo.by_hand import ByHand
from examples.demo.checkout.attacks import ATTACKS as ON_CHECKOUT
from examples.demo.checkout.attacks import astray_at
from examples.demo.checkout.backends import CheckoutByHand, DeclaredCheckout
from examples.demo.declared import ROOT, Declared
from examples.demo.enrollment.attacks import ATTACKS as ON_ENROLLMENT
from examples.demo.enrollment.backends import DeclaredEnrollment, EnrollmentByHand


@dataclass(frozen=True, slots=True)
class Pair:
    """The two backends of one application. astray_cents: the money that doesn't add up at one of them."""

    by_hand: ByHand
    declared: Declared
    astray_cents: Callable[[Any], Awaitable[int]] | None = None

    def __iter__(self) -> Iterator[ByHand | Declared]:
        return iter((self.by_hand, self.declared))


@dataclass(frozen=True, slots=True)
class Application:
    """An application that the demo knows: its attacks, and how its pair is set up.

    Of the two stacks the first ends the servers, and the second lets go of their database.
    """

    attacks: Sequence[Attack[Any]]
    set_up: Callable[[Path, Path, ExitStack, ExitStack], Pair]


def _enrollment(target: Path, home: Path, stack: ExitStack, databases: ExitStack) -> Pair:
    declared = DeclaredEnrollment.set_up(target, home, _quiet)
    databases.callback(declared.stop)
    stack.callback(declared.end)
    by_hand = EnrollmentByHand(_database_beside(declared), home / "enrollment.log")
    stack.callback(by_hand.stop)
    return Pair(by_hand, declared)


def _checkout(target: Path, home: Path, stack: ExitStack, databases: ExitStack) -> Pair:
    declared = DeclaredCheckout.set_up(target, home, _quiet)
    databases.callback(declared.stop)
    stack.callback(declared.end)
    declared.connect(stack.enter_context(Provider()), home)
    by_hand = CheckoutByHand(
        _database_beside(declared), home / "checkout.log", stack.enter_context(Provider()), fresh_secret()
    )
    stack.callback(by_hand.stop)
    return Pair(by_hand, declared, astray_at)


APPLICATIONS = {
    "enrollment": Application(ON_ENROLLMENT, _enrollment),
    "checkout": Application(ON_CHECKOUT, _checkout),
}
"""By the name of the declared system, in the order of the table."""


def start(pairs: Sequence[Pair]) -> None:
    """Start all servers; returns when each accepts requests. Raises EnvironmentFault if one doesn't."""
    with ThreadPoolExecutor() as pool:
        for started in [pool.submit(each.start) for pair in pairs for each in pair]:
            started.result()


def _database_beside(declared: Declared) -> str:
    """The address of a new database beside the declared one's."""
    name = f"{declared.system.name}_by_hand"

    async def make() -> None:
        async with database_of(declared) as database:
            await create_database(database, name)

    asyncio.run(make())
    return f"{declared.admin_url.rpartition('/')[0]}/{name}"


def target_of(name: str) -> Path:
    """Where an application of the demo is declared."""
    return ROOT / "examples" / name


def _quiet(_: str) -> None:
    """Setting up has nothing to say that would help here."""
