"""The map in ARCHITECTURE.md, the contracts in .importlinter and the folders name the same rooms."""

from __future__ import annotations

import configparser
import re

from tests.house.tree import PURE_ROOMS, ROOT, SOURCE, files, rooms

FILE = re.compile(r"`([\w./-]+/[\w.-]+\.(?:py|sql|html|md|json|sh))(?:::\w+)?`")
"""A file that a page names: below one of the rooms, or from the top."""


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
    assert door["protected_modules"].split() == ["avow.store.transaction", "avow.store.log.sealing"]
    assert set(door["allowed_importers"].split()) == {"avow.engine", "avow.store"}


def test_every_file_that_a_page_names_is_there() -> None:
    tops = {path.name for path in ROOT.iterdir() if path.is_dir()}
    missing: list[str] = []
    for page in (path for path in files() if path.suffix == ".md"):
        for named in FILE.findall(page.read_text()):
            first = named.partition("/")[0]
            root = SOURCE if first in rooms() else ROOT if first in tops else None
            if root is not None and not (root / named).exists():
                missing.append(f"{page.relative_to(ROOT)}: {named}")
    assert missing == []


def test_every_module_of_the_store_that_the_map_names_is_there() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text().partition("```")[0]
    named = set(re.findall(r"`((?:(?:log|schema)/)?\w+\.py)`", text))
    assert {"log/sealing.py", "schema/install.py"} <= named
    assert {name for name in named if not (SOURCE / "store" / name).is_file()} == set()
