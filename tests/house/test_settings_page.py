"""The page of settings lists every environment variable that the source reads, and no other."""

from __future__ import annotations

import re

from tests.house.tree import ROOT, modules

PAGE = ROOT / "docs" / "reference" / "settings.md"
NAME = re.compile(r"AVOW_[A-Z][A-Z_]*[A-Z]")
# Set by click for the shell that asks for completions.
NOT_SETTINGS = {"AVOW_COMPLETE"}


def test_the_page_lists_what_the_source_reads() -> None:
    read = {name for module in modules("src") for name in NAME.findall(module.text)} - NOT_SETTINGS
    assert read == set(NAME.findall(PAGE.read_text("utf-8")))
