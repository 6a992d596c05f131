"""What a record waits for, as its entries say, against what the queue and the inboxes have of it.

Pure. A call that nobody makes any more, a time that never comes and a task that nobody is shown leave every
chain and every row as they were; only what was to happen doesn't.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final, NamedTuple
from uuid import UUID

MIGRATED: Final = "migrate"
"""Stands for the request of a time that no entry began: a deploy has declared it later."""


class Wait(NamedTuple):
    """A call or a time that an entry began. due: when, as the entry writes it."""

    version: int
    call: bool
    due: str


class Held(NamedTuple):
    """What the queue has under a name; `request` is that of the command that began it."""

    version: int
    call: bool
    due: str
    request: str


class Waiting(NamedTuple):
    """What is kept of one record: calls and times by name, and the steps of its tasks."""

    work: Mapping[str, Held]
    tasks: frozenset[str]


class Awaited:
    """Follows what begins and ends with a record's entries."""

    __slots__ = ("tasks", "waits")

    def __init__(self) -> None:
        self.waits = dict[str, Wait]()
        self.tasks = set[str]()

    def take(self, header: Mapping[str, Any]) -> None:
        """Go on with the next entry. Raises KeyError, TypeError or AttributeError where it can't be read."""
        begun = header.get("waits", {})
        self.waits.pop(header["transition"], None)  # a time that has come is over
        for name, wait in begun.items():
            if wait is None:
                self.waits.pop(name, None)
            else:
                self.waits[name] = Wait(header["ver"], wait["to"] != "", wait["due"])
        for step, told in header.get("tasks", {}).items():
            if told is not None and "role" in told:
                self.tasks.add(step)
            elif told is None or told.get("ends") is True:
                self.tasks.discard(step)

    def lost(self, kept: Waiting, names: frozenset[str]) -> dict[str, Wait]:
        """What should be waited for and isn't. names: of the calls and times that are declared today."""
        return {name: w for name, w in self.waits.items() if name in names and name not in kept.work}

    def differences(self, kept: Waiting) -> list[tuple[str, str]]:
        """The other differences: a code and what it is about."""
        found = list[tuple[str, str]]()
        for name, held in sorted(kept.work.items()):
            wait = self.waits.get(name)
            if wait is None and not (held.request == MIGRATED and not held.call):
                found.append(("work-unknown", f"{name} is to be done, and no entry has asked for it"))
            elif wait is not None and Wait(*held[:3]) != wait and held.request != MIGRATED:
                found.append(("work-edited", f"{name} isn't to be done as its entry says"))
        found += [
            ("task-missing", f"nobody is asked for {step} any more") for step in self.tasks - kept.tasks
        ]
        found += [("task-unknown", f"{step} is asked for by no entry") for step in kept.tasks - self.tasks]
        return sorted(found)


def key_of(tenant: str, kind: str, record: str, name: str, version: int) -> UUID:
    """The key of a work, which follows from the entry that began it."""
    text = "/".join((tenant, kind, record, name, str(version)))
    return UUID(sha256(text.encode()).hexdigest()[:32])
