"""A record's chain: what was written holds, and whatever is done to it afterwards is found."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avow import canonical
from avow.evidence.boundaries import read_boundaries
from avow.evidence.chain import Live, Logged, is_header
from avow.evidence.finding import FINDINGS, Finding
from avow.kernel.command import Key
from tests.histories import World, lived_through

WORLD, COURSE, ENROLLMENT = lived_through("because " * 400)
KEYS = (COURSE, ENROLLMENT)


def codes(findings: list[Finding]) -> list[str]:
    return [finding.code for finding in findings]


def rehash(entry: Logged, header: bytes) -> Logged:
    """The entry with another header and the hash that belongs to it: what a careful forger writes."""
    return entry._replace(header=header, hash=canonical.leaf_hash(header))


def changed(entry: Logged, **members: Any) -> Logged:
    """The entry with some members of its header replaced, and hashed anew."""
    return rehash(entry, canonical.encode({**json.loads(entry.header), **members}))


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """What any sequence of commands leads to, refused ones among them."""
    world = World()
    courses = [
        world.do(
            "Course", "announce", None, {"title": "x", "seats": draw(st.integers(1, 2))}, "r", "registrar"
        )
        for _ in range(draw(st.integers(1, 2)))
    ]
    enrollments = list[Any]()
    step = st.sampled_from(["start", "submit", "verify", "approve", "reject", "withdraw", "leave", "archive"])
    for name in draw(st.lists(step, max_size=25)):
        who = draw(st.sampled_from(["ana", "bob", "rita", "dora"]))
        roles = draw(st.sampled_from([(), ("registrar",), ("dean",)]))
        if name == "start":
            made = world.attempt(
                "Enrollment", name, None, {"course": draw(st.sampled_from(courses))}, who, *roles
            )
            if not hasattr(made, "code"):
                enrollments.append(made)
        elif enrollments:
            given_ = {"essay": draw(st.sampled_from(["", "short", "long" * 300]))} if name == "submit" else {}
            world.attempt("Enrollment", name, draw(st.sampled_from(enrollments)), given_, who, *roles)
    return world


@given(worlds())
@settings(max_examples=60, deadline=None)
def test_whatever_commands_lead_to_holds(world: World) -> None:
    for key in world.records:
        assert world.check(key, world.entries(key), world.live(key)) == []


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_any_byte_changed_in_any_entry_is_found(data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(KEYS))
    entries = WORLD.entries(key)
    place = data.draw(st.integers(0, len(entries) - 1))
    header = bytearray(entries[place].header)
    at, bit = data.draw(st.integers(0, len(header) - 1)), data.draw(st.integers(0, 7))
    header[at] ^= 1 << bit
    entries[place] = entries[place]._replace(header=bytes(header))
    found = WORLD.check(key, entries, WORLD.live(key))
    assert (
        Finding(found[0].tenant, key[0], str(key[1]), place + 1, "", "entry-altered", found[0].detail)
        in found
    )


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_any_byte_changed_with_its_hash_made_to_fit_is_found(data: st.DataObject) -> None:
    """The next entry, or the row, still names the hash that was."""
    key = data.draw(st.sampled_from(KEYS))
    entries = WORLD.entries(key)
    place = data.draw(st.integers(0, len(entries) - 1))
    header = bytearray(entries[place].header)
    header[data.draw(st.integers(0, len(header) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    entries[place] = rehash(entries[place], bytes(header))
    assert WORLD.check(key, entries, WORLD.live(key))


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_any_entries_removed_moved_or_repeated_are_found(data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(KEYS))
    entries = WORLD.entries(key)
    order = data.draw(st.lists(st.integers(0, len(entries) - 1), max_size=len(entries) + 1))
    kept = [entries[place] for place in order]
    if order != list(range(len(entries))):
        assert WORLD.check(key, kept, WORLD.live(key))
    # Put into their places by hand: each says another version than it stands at.
    placed = [entry._replace(version=version) for version, entry in enumerate(kept, start=1)]
    if order != list(range(len(entries))):
        assert WORLD.check(key, placed, WORLD.live(key))


COLUMNS = {
    "version": st.integers(1, 9),
    "state": st.sampled_from(["draft", "open", "approved", "archived"]),
    "head": st.binary(min_size=32, max_size=32),
    "boundary": st.binary(min_size=32, max_size=32),
    "changed_at": st.sampled_from(["2026-11-21T09:30:07.000001Z", "infinity"]),
}
VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5))


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_any_column_of_a_row_changed_is_found(data: st.DataObject) -> None:
    key: Key = data.draw(st.sampled_from(KEYS))
    live = WORLD.live(key)
    column = data.draw(st.sampled_from([*COLUMNS, *live.values]))
    if column in COLUMNS:
        edited: Live = live._replace(**{column: data.draw(COLUMNS[column])})
    else:
        edited = live._replace(values={**live.values, column: data.draw(VALUES)})
    found = WORLD.check(key, WORLD.entries(key), edited)
    same = edited == live and [*map(type, edited.values.values())] == [*map(type, live.values.values())]
    assert bool(found) is not same
    if found:
        assert found[0].field in (column, "") or column == "version"


def test_true_in_the_place_of_one_is_found() -> None:
    live = WORLD.live(COURSE)
    edited = live._replace(values={**live.values, "taken": False})
    assert live.values["taken"] == 0
    assert codes(WORLD.check(COURSE, WORLD.entries(COURSE), edited)) == ["value-edited"]


def test_a_rewritten_transition_that_was_never_declared_is_found() -> None:
    entries = WORLD.entries(COURSE)
    forged = changed(entries[-1], transition="give_away")
    live = WORLD.live(COURSE)._replace(head=forged.hash)
    assert codes(WORLD.check(COURSE, [*entries[:-1], forged], live)) == ["transition-undeclared"]


def test_a_rewritten_boundary_that_was_never_in_force_is_found() -> None:
    entries = WORLD.entries(COURSE)
    forged = changed(entries[-1], boundary="ab" * 32)
    live = WORLD.live(COURSE)._replace(head=forged.hash, boundary=bytes.fromhex("ab" * 32))
    assert codes(WORLD.check(COURSE, [*entries[:-1], forged], live)) == ["boundary-unknown"]


def test_a_field_that_the_boundary_does_not_declare_is_found() -> None:
    entries = WORLD.entries(COURSE)
    forged = changed(entries[-1], changes={"taken": 0, "bribe": 5})
    live = WORLD.live(COURSE)._replace(head=forged.hash)
    found = WORLD.check(COURSE, [*entries[:-1], forged], live)
    assert [(f.code, f.field) for f in found] == [("field-undeclared", "bribe")]


def test_an_entry_that_starts_from_another_state_is_found() -> None:
    entries = WORLD.entries(ENROLLMENT)
    forged = changed(entries[-1], **{"from": "withdrawn"})
    live = WORLD.live(ENROLLMENT)._replace(head=forged.hash)
    assert codes(WORLD.check(ENROLLMENT, [*entries[:-1], forged], live)) == ["state-jump"]


def test_a_value_that_was_backfilled_by_a_default_is_not_an_edit() -> None:
    """A field that was declared later has its default in rows that no entry ever set it in."""
    earlier = json.loads(WORLD.system.description)
    del earlier["entities"]["Course"]["fields"]["taken"]
    description = canonical.encode(earlier)
    world = World()
    course = world.do("Course", "announce", None, {"title": "Greek", "seats": 3}, "rita", "registrar")
    key = ("Course", course)
    [entry] = world.entries(key)
    header = json.loads(entry.header)
    del header["changes"]["taken"]
    was = rehash(entry, canonical.encode({**header, "boundary": canonical.digest(description).hex()}))
    both = [
        (canonical.digest(description), description),
        (world.system.fingerprint, world.system.description),
    ]
    world.boundaries = lambda: read_boundaries(both)  # type: ignore[method-assign]
    live = world.live(key)._replace(head=was.hash, boundary=canonical.digest(description))
    assert world.check(key, [was], live) == []
    edited = live._replace(values={**live.values, "taken": 3})
    assert codes(world.check(key, [was], edited)) == ["value-edited"]


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=3),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner)),
       st.data())  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_a_member_of_any_shape_is_an_answer_and_not_a_crash(value: Any, data: st.DataObject) -> None:
    entries = WORLD.entries(ENROLLMENT)
    place = data.draw(st.integers(0, len(entries) - 1))
    name = data.draw(st.sampled_from(sorted(json.loads(entries[place].header))))
    header = json.dumps({**json.loads(entries[place].header), name: value}).encode()
    entries[place] = rehash(entries[place], header)
    assert WORLD.check(ENROLLMENT, entries, WORLD.live(ENROLLMENT))
    is_header(json.loads(header))


@pytest.mark.parametrize("value", [None, 5, "x", [], ["ab"], [["verify", ["ana"]]]])
@pytest.mark.parametrize(
    "name", ["performers", "changes_sha256", "input_sha256", "changes", "cause", "reads"]
)
def test_a_member_of_the_wrong_type_in_a_forged_entry_does_not_end_the_verification(
    name: str, value: Any
) -> None:
    """Linked and hashed as it must be: whoever forges an entry must not stop others from being checked."""
    entries = WORLD.entries(COURSE)
    forged = changed(entries[-1], **{name: value})
    live = WORLD.live(COURSE)._replace(head=forged.hash)
    WORLD.check(COURSE, [*entries[:-1], forged], live)
    assert is_header(json.loads(forged.header)) is ((name, value) in [("cause", None), ("reads", [])])


def test_a_finding_holds_no_value_of_a_record() -> None:
    live = WORLD.live(ENROLLMENT)
    edited = live._replace(values={**live.values, "essay": "a secret", "applicant": "someone"})
    found = WORLD.check(ENROLLMENT, WORLD.entries(ENROLLMENT), edited)
    said = " ".join(str(getattr(f, member.name)) for f in found for member in fields(f))
    assert "a secret" not in said
    assert "someone" not in said
    assert "because" not in said


def test_each_code_of_a_finding_is_said_somewhere() -> None:
    assert all(text.endswith(".") for text in FINDINGS.values())
