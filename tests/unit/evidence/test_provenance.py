"""From a value to its cause: the right entry, its rules of that time, and nothing that may not be seen."""

from __future__ import annotations

import json
from typing import Any

import pytest

from avow.evidence.provenance import Rules, Sight, Told, explain, history_item, place_of, rebuild, tell
from avow.kernel.command import Key
from tests.histories import World, lived_through

LONG = "because " * 400
WORLD, COURSE, ENROLLMENT = lived_through(LONG)
EVERYTHING = Sight((), everything=True)


def told(world: World, key: Key) -> list[Told]:
    """The entries of a record as they are told, with the long values they name."""
    found = list[Told]()
    for entry in world.entries(key):
        named = json.loads(entry.header).get("changes_sha256", {})
        payloads = {sha: world.payloads[bytes.fromhex(sha)] for sha in named.values()}
        before = found[-1] if found else None
        found.append(tell(entry.number, entry.header, entry.hash, payloads, before))
    return found


def rules(kind: str) -> Rules:
    entity = json.loads(WORLD.system.description)["entities"][kind]
    return Rules(WORLD.system.fingerprint.hex(), entity, current=True)


def step(key: Key, version: int, sight: Sight = EVERYTHING) -> dict[str, Any]:
    return explain(told(WORLD, key), version - 1, sight, rules(key[0]))


def test_the_entries_rebuild_the_record_at_each_version() -> None:
    entries = told(WORLD, ENROLLMENT)
    assert rebuild(entries, 0).value("essay") == {"value": None}
    assert rebuild(entries, 1).value("essay") == {"value": ""}
    assert rebuild(entries, 2).value("essay") == {"value": LONG}
    assert rebuild(entries, 2).performers == {}
    assert rebuild(entries, 6).performers == {"verify": ["rita"]}


def test_a_record_whose_beginning_was_not_looked_at_leaves_values_open() -> None:
    entries = told(WORLD, COURSE)[1:]
    known = rebuild(entries, 3)
    assert known.value("taken") == {"value": 0}
    assert known.value("title") == {"unknown": True}


@pytest.mark.parametrize(("field", "version"), [("taken", 3), ("title", 1), (None, 3)])
def test_the_entry_that_set_a_field_last_is_found(field: str | None, version: int) -> None:
    entries = told(WORLD, COURSE)
    place = place_of(entries, field, None)
    assert place is not None
    assert entries[place].version == version


def test_at_a_time_only_what_was_known_then_counts() -> None:
    entries = told(WORLD, COURSE)
    place = place_of(entries, "taken", entries[1].at)
    assert place == 1
    assert place_of(entries, "taken", WORLD.entries(COURSE)[0].at.replace(year=2020)) is None


def test_a_step_tells_who_what_when_under_which_rules_and_resting_on_what() -> None:
    seen = step(COURSE, 2)
    assert seen["actor"]["subject"] == "dora"
    assert seen["changes"] == {"taken": {"old": 0, "new": 1}}
    assert seen["allowed_by"]["policy"] == "internal"
    assert seen["allowed_by"]["invariants"] == {"never_oversold": "taken <= seats"}
    assert {"read": "taken", "value": 1} in seen["rested_on"]
    assert {"read": "seats", "value": 3} in seen["rested_on"]
    assert (seen["cause"]["kind"], seen["cause"]["ver"]) == ("Enrollment", 4)
    assert seen["boundary"] == {"fingerprint": rules("Course").fingerprint, "current": True, "known": True}


def test_four_eyes_is_told_with_who_had_done_the_other_step() -> None:
    seen = step(ENROLLMENT, 4)
    assert seen["allowed_by"]["policy"] == "dean & ~performed(verify)"
    assert seen["rested_on"] == [{"read": "performed(verify)", "value": ["rita"]}]


def test_a_boundary_that_is_not_known_is_said_to_be_so_and_gives_no_rules() -> None:
    seen = explain(told(WORLD, COURSE), 1, EVERYTHING, Rules("ab" * 32, {}, current=False))
    assert seen["boundary"] == {"fingerprint": "ab" * 32, "current": False, "known": False}
    assert "allowed_by" not in seen


def test_a_field_that_may_not_be_seen_shows_nowhere() -> None:
    sight = Sight(frozenset({"applicant", "course"}), everything=False)
    seen = [step(ENROLLMENT, version, sight) for version in range(1, 7)]
    items = [history_item(told(WORLD, ENROLLMENT), place, sight) for place in range(6)]
    assert seen[1]["changes"] == {"essay": {"hidden": True}}
    assert seen[1]["input"] == {"essay": {"hidden": True}}
    assert "because because" not in json.dumps([seen, items])


def test_an_argument_that_is_no_field_is_hidden_where_a_field_is() -> None:
    """It may hold whatever a hidden field was set to."""
    sight = Sight(frozenset({"course"}), everything=False)
    assert sight.sees_argument("course", {"course": None, "essay": None})
    assert not sight.sees_argument("text", {"course": None, "essay": None})
    assert EVERYTHING.sees_argument("text", {"course": None})


def test_a_history_shows_each_change_from_what_to_what() -> None:
    items = [history_item(told(WORLD, COURSE), place, EVERYTHING) for place in range(3)]
    assert [item["version"] for item in items] == [1, 2, 3]
    assert items[0]["changes"]["seats"] == {"old": None, "new": 3}
    assert items[2]["changes"] == {"taken": {"old": 1, "new": 0}}


def test_an_altered_entry_is_told_as_altered() -> None:
    entry, after = WORLD.entries(COURSE)[:2]
    whole = tell(entry.number, entry.header, entry.hash, {}, None)
    assert whole.intact
    header = entry.header.replace(b"rita", b"rico")
    forged = tell(entry.number, header, entry.hash, {}, None)
    assert not forged.intact
    elsewhere = Told(forged.number, 1, forged.header, bytes(32), {}, intact=True)
    assert not tell(after.number, after.header, after.hash, {}, elsewhere).intact


def test_a_long_value_that_is_gone_is_told_by_its_hash() -> None:
    entry = WORLD.entries(ENROLLMENT)[1]
    lost = tell(entry.number, entry.header, entry.hash, {}, None)
    assert list(lost.change("essay")) == ["sha256"]


@pytest.mark.parametrize("header", [b"[]", b"{}", b'"x"', b'{"v":1}'])
def test_what_is_no_header_is_refused(header: bytes) -> None:
    with pytest.raises(ValueError, match="isn't a header"):
        tell(1, header, bytes(32), {}, None)
