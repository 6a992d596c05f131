"""The backend under test, for tests that await nothing: a stage whose coroutines run on a thread of its own.

    def test_a_hold_lapses(backend, as_, clock):
        booking = as_("ann").do("Booking.hold", room=room, ...)
        clock.advance(minutes=30)
        assert backend.look(booking).state == "lapsed"

These are what the fixtures of pytest give (`avow.testing.plugin`). Each method does one thing of a stage.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from subprocess import run
from sys import executable
from typing import Any, Final, TypeAlias
from uuid import UUID

from avow.engine.outside import Destination
from avow.engine.request import Request
from avow.engine.workers.clients import Clients
from avow.engine.workers.hearing import Outcome
from avow.model.system import System
from avow.prove.gates import Cut, Mode
from avow.store.trials.picture import take_picture
from avow.testing.attack import Due, End, Order, Racer, Reach, check, ends_of, orders_of
from avow.testing.client import Provider
from avow.testing.databases import Database
from avow.testing.portal import Portal
from avow.testing.staging import Crashed, Found, Person, Refused, Stage, stage_on

__tracebackhide__ = True  # a test that fails shows its own lines, not these
REPLAY_S_MAX: Final = 120.0


class Client:
    """Somebody who gives commands, by way of the engine that serves."""

    def __init__(self, portal: Portal, on: Stage, person: Person) -> None:
        self._portal, self._on, self._person = portal, on, person

    def request(
        self, command: str, record: UUID | None = None, seen: int | None = None, /, **given: Any
    ) -> Request:
        """A command that isn't given yet, under a key of its own; `send` gives it, also again."""
        return self._person.request(command, record, seen, **given)

    def send(self, request: Request) -> UUID:
        """Give a command, or the same one again; the record's id. Raises Refused, or Crashed."""
        return self._portal.run(self._on.send(request))

    def do(self, command: str, record: UUID | None = None, seen: int | None = None, /, **given: Any) -> UUID:
        """Give a command: `Booking.hold`, with a record unless it creates one; the record's id.

        seen: the version of the record that they have seen, as If-Match names it. Raises Refused where the
        command is refused.
        """
        return self.send(self.request(command, record, seen, **given))

    def refused(
        self, command: str, record: UUID | None = None, seen: int | None = None, /, **given: Any
    ) -> Refused:
        """Give a command that is to be refused: its `code` and `detail`. Fails where it is accepted."""
        try:
            self.do(command, record, seen, **given)
        except Refused as refusal:
            return refusal
        raise AssertionError(f"{command} was accepted")

    def look(self, record: UUID) -> Found:
        """A record with no more of it than they may see. Raises LookupError where it isn't there for them."""
        return self._portal.run(self._person.look(record))

    def tasks(self) -> list[dict[str, Any]]:
        """What they are asked to do, the one due first coming first."""
        return self._portal.run(self._person.tasks())

    def act(self, word: str, record: UUID, /, **more: Any) -> None:
        """Claim, release, delegate or put off what they are asked to do with a record. Raises Refused."""
        self._portal.run(self._person.act(word, record, **more))


class Clock:
    """The database's clock, which stands still."""

    def __init__(self, portal: Portal, on: Stage) -> None:
        self._portal, self._on = portal, on

    @property
    def now(self) -> datetime:
        """What it shows."""
        return self._on.now

    def advance(self, **lengths: float) -> None:
        """Let time pass, `advance(days=1, hours=2)`, and do what is due by then."""
        self._portal.run(self._on.advance(**lengths))

    def at(self, moment: datetime) -> None:
        """The same, up to a moment."""
        self._portal.run(self._on.at(moment))

    def after(self, **lengths: float) -> Due:
        """What is due after so much time, to take part in a race."""
        return Due(self.now + timedelta(**lengths))


class Crash:
    """Ends the process that serves, in the middle of what it does."""

    def __init__(self, portal: Portal, on: Stage) -> None:
        self._portal, self._on = portal, on

    @contextmanager
    def at(self, statement: str, mode: Mode = "reply-lost", nth: int = 1) -> Generator[None]:
        """What is asked in the block ends the process at a statement: `load`, `commit`, ...

        mode: `cut-before-send`; `sent-without-reply`, which the server carries out after whatever is asked
        next; or `reply-lost`: carried out, and nobody is told. nth: of the statements of that name.
        Another process serves behind the block. Fails where the process never came to the statement.
        """
        cut = Cut(nth - 1, mode, statement)
        self._portal.run(self._on.restart(cut))
        try:
            yield
        except Crashed:
            return
        finally:
            if not cut.dead:
                self._portal.run(self._on.restart())
        sent = ", ".join(cut.names) or "none"
        raise AssertionError(f"the process never came to {statement!r}; its statements were: {sent}")

    def everywhere(self, request: Request) -> Iterator[End]:
        """End the process at each statement of a request, in each way: `for end in crash.everywhere(...)`.

        Each time all begins from where it stands now. In the loop another process serves, and nobody was
        told what came of the request. What is no longer true that was promised fails.
        """
        return self._portal.each(ends_of(self._on, request))


class Race:
    """Runs requests at once, and what is due: `for order in race(a, b)`."""

    def __init__(self, portal: Portal, on: Stage) -> None:
        self._portal, self._on = portal, on
        self.reaches = dict[str, Reach]()

    def __call__(self, *racers: Racer) -> Iterator[Order]:
        """Every order of their statements that says anything new, or so many of them and a sample.

        Each time all begins from where it stands now, and the loop sees what has come of it: `order.answers`.
        What is no longer true that was promised fails.
        """
        names = " || ".join("work" if isinstance(one, Due) else one.command for one in racers)
        reach = self.reaches[names] = Reach()
        return self._portal.each(orders_of(self._on, racers, reach))


class Backend:
    """One application on one database.

    system: what is declared. admin_url: of a superuser. url: with the rights of the application.
    stage: the same for coroutines, which must run on its loop.
    """

    def __init__(self, portal: Portal, on: Stage, made: Database) -> None:
        self._portal, self.stage, self.system = portal, on, on.system
        self.admin_url, self.url = made.admin_url, made.application_url
        self.clock, self.crash, self.race = Clock(portal, on), Crash(portal, on), Race(portal, on)

    def as_(self, subject: str, *roles: str, tenant: str = "main") -> Client:
        """Somebody with these roles in this tenant."""
        return Client(self._portal, self.stage, self.stage.as_(subject, *roles, tenant=tenant))

    def look(self, record: UUID, tenant: str = "main") -> Found:
        """A record as it is, whatever its entity. Raises LookupError where there is none."""
        return self._portal.run(self.stage.look(record, tenant))

    def hear(self, sender: str, kind: str, data: Any, message: str = "", tenant: str = "main") -> Outcome:
        """Let a sender tell of an event, as if its signature had been found right.

        data: as it stands in the message. message: its id; a new one unless given.
        """
        return self._portal.run(self.stage.hear(sender, kind, data, message, tenant))

    def work(self) -> int:
        """Do everything that is ready, and what follows from it; how much that was."""
        return self._portal.run(self.stage.work())

    def settle(self) -> None:
        """Until nothing moves any more: also calls that rest between two attempts are made."""
        self._portal.run(self.stage.settle())

    def waiting(self) -> list[Any]:
        """What is still to be done: kind, id, name, due, attempt, stuck, detail."""
        return self._portal.run(self.stage.waiting())

    def check(self) -> None:
        """Hold everything against all that is promised, as `avow prove` does. Raises Broken."""
        self._portal.run(check(self.stage))

    def timeline(self) -> str:
        """What happened so far, as text."""
        return self.stage.timeline.told(self._portal.run(take_picture(self.stage.admin, self.system)))


As: TypeAlias = Callable[..., Client]
"""`as_("ann", "desk", tenant="main")`: somebody with these roles in this tenant."""
Replay: TypeAlias = Callable[..., None]
"""`replay(file, "system.py")`: do a schedule that `avow prove` has kept again, on what a target declares."""


@contextmanager
def backend_on(portal: Portal, made: Database, provider: Provider | None) -> Generator[Backend]:
    """A backend on a database. provider: where every destination of a call is, by HTTP."""
    clients = Clients({} if provider is None else destinations_of(made.system, provider.url))
    try:
        with portal.entered(stage_on(made, clients.open)) as on:
            yield Backend(portal, on, made)
    finally:
        portal.run(clients.aclose())


def destinations_of(system: System, url: str) -> dict[str, Destination]:
    """Every destination of a declaration's calls, at one address of this machine."""
    names = {effect.destination for entity in system.entities.values() for effect in entity.effects.values()}
    return {name: Destination(name, url, allow_private=True) for name in names}


def replay(schedule: Path, target: str = ".") -> None:
    """Do a schedule again that `avow prove` has kept. Fails with its story where it breaks a promise.

    target: a path counts from the nearest folder above the schedule in which it leads anywhere.
    """
    place = target.rpartition(":")[0] or target
    root = next((folder for folder in schedule.resolve().parents if (folder / place).exists()), None)
    named = target if root is None else str(root / target)
    again = [executable, "-m", "avow.cli", "prove", named, "--replay", str(schedule)]
    done = run(again, capture_output=True, text=True, check=False, timeout=REPLAY_S_MAX)
    if done.returncode:
        raise AssertionError(done.stdout + done.stderr)
