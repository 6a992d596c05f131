"""The tree says nothing of the machine it was written on."""

from __future__ import annotations

import re

from tests.house.tree import ROOT, files

# Put together from pieces, so that this file doesn't find itself.
MACHINE = re.compile(
    "|".join(("/" + "work/", "/" + "root/", "/" + "tmp/v", "/home/" + r"\w+/", "/Users/" + r"\w+/"))
)
TEXT_BYTES_MAX = 5_000_000


def test_no_file_names_a_path_of_one_machine() -> None:
    found: list[str] = []
    for path in files():
        if path.stat().st_size > TEXT_BYTES_MAX:
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in MACHINE.finditer(text)]
    assert found == []
