"""What a process remembers of what it wrote is bounded, in number and in size."""

from __future__ import annotations

from uuid import UUID

import pytest

from avow import Entity, State, authenticated, create, field, read, system, transition
from avow.engine import memory
from avow.engine.memory import PERFORMERS_MAX, TEXT_LENGTH_MAX, Memory
from avow.kernel.command import Record


class Note(Entity):
    """A short one."""

    text: str = field(default="", max_length=TEXT_LENGTH_MAX)
    visible = read(by=authenticated)
    open = State(initial=True)
    gone = State(final=True)
    write = create(open, by=authenticated, sets=[text])
    drop = transition(open, to=gone, by=authenticated)


class Letter(Entity):
    """A long one."""

    text: str = field(default="", max_length=TEXT_LENGTH_MAX + 1)
    visible = read(by=authenticated)
    open = State(initial=True)
    gone = State(final=True)
    write = create(open, by=authenticated, sets=[text])
    drop = transition(open, to=gone, by=authenticated)


class Album(Entity):
    """One that holds many."""

    pages: list[int] = field(max_items=10)
    visible = read(by=authenticated)
    open = State(initial=True)
    gone = State(final=True)
    write = create(open, by=authenticated, sets=[pages])
    drop = transition(open, to=gone, by=authenticated)


post = system("post", Note, Letter, Album)


def record(number: int, entity: str = "Note", version: int = 1, performers: int = 0) -> Record:
    people = {"drop": tuple(f"p{n}" for n in range(performers))}
    return Record(entity, UUID(int=number), "open", version, {"text": ""}, people)


def test_the_newest_version_is_remembered_for_its_tenant() -> None:
    held = Memory(post)
    held.keep("a", record(1))
    held.keep("a", record(1, version=2))
    found = held.find("a", record(1).key)
    assert found is not None
    assert found.version == 2
    assert held.find("b", record(1).key) is None
    held.forget("a", record(1).key)
    assert held.find("a", record(1).key) is None


def test_what_was_written_longest_ago_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "RECORDS_MAX", 2)
    held = Memory(post)
    for number in (1, 2, 1, 3):
        held.keep("a", record(number))
    assert [number for number in (1, 2, 3) if held.find("a", record(number).key)] == [1, 3]


@pytest.mark.parametrize(
    "large", [record(1, "Letter"), record(1, "Album"), record(1, performers=PERFORMERS_MAX + 1)]
)
def test_what_may_be_large_is_not_remembered(large: Record) -> None:
    held = Memory(post)
    held.keep("a", record(1, performers=PERFORMERS_MAX))
    held.keep("a", large)
    assert held.find("a", large.key) is None


def test_what_is_recalled_takes_no_newer_ones_place_and_no_place_of_what_was_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "RECORDS_MAX", 2)
    held = Memory(post)
    held.keep("a", record(1, version=2))
    for number in (1, 2, 3):
        held.recall("a", record(number))
    found = held.find("a", record(1).key)
    assert found is not None
    assert found.version == 2
    assert held.find("a", record(2).key) is not None
    assert held.find("a", record(3).key) is None


def test_what_may_be_large_is_not_recalled() -> None:
    held = Memory(post)
    held.recall("a", record(1, "Letter"))
    assert held.find("a", record(1, "Letter").key) is None
