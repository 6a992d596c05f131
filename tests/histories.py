"""Histories without a database: commands of the enrollment example, decided and logged in memory.

What comes out is what the store would keep: entries with their hashes, long values, and live rows in the
form that verification reads them in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import avow
from avow.engine.entries import entries_of
from avow.evidence.boundaries import Boundaries, Shape, read_boundaries, shape_of
from avow.evidence.chain import Live, Logged, RecordCheck
from avow.evidence.finding import Finding
from avow.kernel.command import Command, Key, Record, Rejection
from avow.kernel.decide import decide
from avow.model.actor import Actor
from avow.model.system import System
from avow.model.types import instant
from avow.model.values import Subject
from examples.enrollment.system import app

START = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
TENANT = "main"


@dataclass
class World:
    """Records and their log, as commands made them."""

    system: System = app
    records: dict[Key, Record] = field(default_factory=dict[Key, Record])
    log: list[Logged] = field(default_factory=list[Logged])
    payloads: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    changed_at: dict[Key, datetime] = field(default_factory=dict[Key, datetime])
    ids: int = 0

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=len(self.log))

    def new_id(self) -> UUID:
        self.ids += 1
        return UUID(int=self.ids)

    def attempt(
        self, kind: str, name: str, record: UUID | None, given: Mapping[str, Any], who: str, *roles: str
    ) -> UUID | Rejection:
        """Decide one command, and log it where it is accepted."""
        actor = Actor(Subject(who), TENANT, frozenset(roles))
        command = Command(kind, name, record or self.new_id(), given, actor, self.new_id())
        decided = decide(self.system, self.records, command, self.now)
        if isinstance(decided, Rejection):
            return decided
        at, steps = self.now, decided.steps
        heads = dict[Key, bytes]()
        for entry, step in zip(entries_of(self.system, command, decided, at, "request"), steps, strict=True):
            (entity, record_id), version = step.after.key, step.after.version
            heads[step.after.key] = entry.hash
            self.payloads.update(entry.payloads)
            self.log.append(
                Logged(
                    len(self.log) + 1, TENANT, entity, str(record_id), version, entry.header, entry.hash, at
                )
            )
        for key, final in decided.final.items():
            self.records[key] = final._replace(head=heads[key])
            self.changed_at[key] = at
        return command.id

    def do(self, kind: str, name: str, record: UUID | None, given: Mapping[str, Any], *who: str) -> UUID:
        """One command that must be accepted."""
        done = self.attempt(kind, name, record, given, *who)
        assert isinstance(done, UUID), done
        return done

    def entries(self, key: Key) -> list[Logged]:
        """The entries of one record."""
        return [entry for entry in self.log if (entry.kind, entry.id) == (key[0], str(key[1]))]

    def live(self, key: Key) -> Live:
        """A record's row, as verification reads it."""
        record, entity = self.records[key], self.system.entities[key[0]]
        values = {
            name: None if value is None else entity.fields[name].type.dump(value)
            for name, value in record.values.items()
        }
        performers = tuple(list(record.performers.get(name, ())) or None for name in entity.tracked)
        changed_at = instant(self.changed_at[key])
        return Live(
            record.version, record.state, record.head, self.system.fingerprint, changed_at, values, performers
        )

    def boundaries(self) -> Boundaries:
        """The one boundary of this world."""
        return read_boundaries([(self.system.fingerprint, self.system.description)])

    def shape(self, kind: str) -> Shape:
        """The shape of the rows of a kind of this world, which has no JSON fields."""
        return shape_of(self.system.entities[kind], (), self.boundaries())

    def check(self, key: Key, entries: list[Logged], live: Live | None) -> list[Finding]:
        """What verification says of these entries and this row."""
        kind, record = key
        check = RecordCheck(self.boundaries(), self.shape(kind), TENANT, kind, str(record))
        for entry in entries:
            check.follow(entry)
        check.conclude(live)
        return check.findings


def lived_through(essay: str = "because") -> tuple[World, Key, Key]:
    """A world with one course and one enrollment that was approved, left and archived; and their keys."""
    world = World()
    course = world.do("Course", "announce", None, {"title": "Greek", "seats": 3}, "rita", "registrar")
    enrollment = world.do("Enrollment", "start", None, {"course": course}, "ana")
    world.do("Enrollment", "submit", enrollment, {"essay": essay}, "ana")
    world.do("Enrollment", "verify", enrollment, {}, "rita", "registrar")
    world.do("Enrollment", "approve", enrollment, {}, "dora", "dean")
    world.do("Enrollment", "leave", enrollment, {}, "ana")
    world.do("Enrollment", "archive", enrollment, {}, "rita", "registrar")
    return world, ("Course", course), ("Enrollment", enrollment)


class Reservation(avow.Entity):
    """Something that is held for somebody until they come."""

    visible = avow.read(by=avow.everybody)
    held, collected, given_up = avow.State(initial=True), avow.State(final=True), avow.State(final=True)
    hold = avow.create(held, by=avow.everybody)
    collect = avow.transition(held, to=collected, by=avow.everybody, task=avow.task(avow.role("desk")))
    give_up = avow.transition(held, to=given_up, after=timedelta(days=2))


def waited_for() -> World:
    """A world with a reservation that had a deadline, and doesn't wait for it any more."""
    world = World(avow.system("reservations", Reservation))
    reservation = world.do("Reservation", "hold", None, {}, "ana")
    world.do("Reservation", "collect", reservation, {}, "ana")
    return world
