"""The map in ARCHITECTURE.md, the contracts in .importlinter and the folders name the same rooms."""

from __future__ import annotations

import configparser
import re

from tests.house.tree import PURE_ROOMS, ROOT, rooms


def contracts() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter")
    return parser


def test_the_map_names_every_room_and_no_other() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    drawn = re.search(r"```\w*\n(src/avow/\n.*?)```", text, re.DOTALL)
    assert drawn, (
        "ARCHITECTURE.md has no map: a fenced block that begins with src/avow/ and has a room on each line"
    )
    named = re.findall(r"^\s+(\w+)(?:/|\.py)", drawn[1], re.MULTILINE)
    assert set(named) - {"__init__"} == rooms()


def test_every_room_is_placed_in_the_layers() -> None:
    layers = contracts()["importlinter:contract:arrows"]["layers"]
    assert rooms() <= set(re.findall(r"\w+", layers))


def test_every_pure_room_is_held_to_be_pure() -> None:
    held = contracts()["importlinter:contract:pure"]["source_modules"].split()
    assert set(held) == {f"avow.{room}" for room in PURE_ROOMS & rooms()}


def test_every_room_above_the_store_is_held_off_the_driver() -> None:
    held = contracts()["importlinter:contract:driver"]["source_modules"].split()
    assert set(held) == {f"avow.{room}" for room in rooms() - PURE_ROOMS - {"store"}}


def test_the_door_for_writing_is_held() -> None:
    door = contracts()["importlinter:contract:write"]
    assert door["protected_modules"].split() == ["avow.store.transaction", "avow.store.sealing"]
    assert set(door["allowed_importers"].split()) == {"avow.engine", "avow.store"}
