"""Decision notes can be found, and say how we'd know that they were wrong."""

from __future__ import annotations

import re

from tests.house.tree import ROOT

FOLDER = ROOT / "docs" / "decisions"
NOTE = re.compile(r"(\d{4})-[a-z0-9-]+\.md")


def test_each_note_is_in_the_index_once_and_each_link_leads_to_a_note() -> None:
    notes = sorted(path.name for path in FOLDER.glob("*.md") if path.name != "README.md")
    linked = re.findall(r"\]\((\d{4}-[^)]+)\)", (FOLDER / "README.md").read_text())
    assert sorted(linked) == notes


def test_each_note_has_a_number_of_its_own_which_its_title_repeats() -> None:
    notes = [path for path in FOLDER.glob("*.md") if path.name != "README.md"]
    numbers = [match[1] for path in notes if (match := NOTE.fullmatch(path.name))]
    assert len(set(numbers)) == len(notes)
    assert [path.name for path in notes if not path.read_text().startswith(f"# {path.name[:4]}")] == []


def test_each_note_says_what_was_chosen_what_refused_and_how_it_could_be_wrong() -> None:
    wanted = ("Context", "Choice", "Refused", "wrong")
    missing = {
        f"{path.name}: {word}"
        for path in FOLDER.glob("0*.md")
        for word in wanted
        if word.lower() not in path.read_text().lower()
    }
    assert missing == set()
