"""Figures that a page takes from a measurement are those of its result in bench/results."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.house.tree import ROOT


def result(name: str) -> dict[str, Any]:
    return json.loads((ROOT / "bench" / "results" / f"{name}.json").read_text())


def page(name: str) -> str:
    """A page of how-to, as one line."""
    return " ".join((ROOT / "docs" / "how-to" / f"{name}.md").read_text().split())


@pytest.mark.parametrize(
    ("replay", "words"),
    [
        ("replay_enrollment", "{rows:,} course registrations"),
        ("replay_hotel_bookings", "{cases:,} reservations"),
        ("replay_hotel_bookings", "{keys:,} requests with a key of their own, in {minutes:.0f} minutes"),
        ("replay_receipt", "{cases:,} permit applications"),
        ("replay_bpic2012", "of all {cases:,} applications"),
        ("replay_olist", "sends {cases:,} orders"),
        ("sagas", "carries out {cases:,} orders"),
    ],
)
def test_what_a_replay_took_is_what_its_result_says(replay: str, words: str) -> None:
    found = result(replay)
    assert words.format(**found, minutes=found["seconds"] / 60) in page("replay")


def test_as_many_corruptions_are_told_of_as_were_planted_and_found() -> None:
    found = result("corruptions")
    assert found["corruptions"] == found["found"]
    assert f"plants {found['corruptions']:,} corruptions of {found['sorts']} sorts" in page("verify")


def cells(race: dict[str, Any]) -> list[str]:
    """What the table says of one tool and one race: as it is, and mended."""
    number = race["executions"]
    taken = f"{number} execution{'s' * (number != 1)}"
    found = f"found, {taken}" if race["found"] else f"not found in {number}"
    assert not race["mended_found"]
    return [
        f"{found}, {race['seconds']:.1f} s",
        f"holds, {race['mended_executions']} executions, {race['mended_seconds']:.1f} s",
    ]


def test_the_races_beside_frontrun_are_those_that_were_run() -> None:
    races = result("races")["results"]
    text = page("prove")
    for name in dict.fromkeys(race["race"] for race in races):
        [ours, theirs] = [cells(race) for race in races if race["race"] == name]
        assert f"| {ours[0]} | {theirs[0]} | {ours[1]} | {theirs[1]} |" in text
