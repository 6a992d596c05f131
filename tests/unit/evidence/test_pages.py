"""The pages about the audit log say what the code does: every member, every finding."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from avow.evidence.entry import FORMAT, HEADER_BYTES_MAX, INLINE_BYTES_MAX
from avow.evidence.finding import FINDINGS
from tests.histories import lived_through, waited_for

DOCS = Path(__file__).resolve().parents[3] / "docs"
ENTRY = (DOCS / "reference" / "audit-entry.md").read_text(encoding="utf-8")
AUDIT = (DOCS / "explanation" / "audit.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\S+?)` \| (.+?) \|", re.MULTILINE)


def _headers() -> list[dict[str, Any]]:
    """Headers of every sort: of long values, of several records, of what is waited for."""
    return [
        json.loads(entry.header)
        for world in (lived_through("because " * 400)[0], waited_for())
        for entry in world.log
    ]


def test_each_member_of_a_header_is_documented_and_no_other() -> None:
    """A member that may be absent is in some entry, and is marked so."""
    documented = dict(ROW.findall(ENTRY))
    headers = _headers()
    assert {name for header in headers for name in header} == set(documented)
    always = {name for name in documented if all(name in header for header in headers)}
    assert {name for name, kind in documented.items() if "absent" not in kind} == always


def test_each_member_has_the_type_that_is_documented() -> None:
    words = {"integer": int, "string": str, "object": dict, "array": list, "null": type(None)}
    documented = dict(ROW.findall(ENTRY))
    for header in _headers():
        for name, value in header.items():
            types = tuple(kind for word, kind in words.items() if word in documented[name])
            assert isinstance(value, types), name


def test_the_limits_are_those_of_the_code() -> None:
    assert f"at most {HEADER_BYTES_MAX:,} bytes" in ENTRY
    assert f"more than {INLINE_BYTES_MAX:,} bytes" in ENTRY
    assert f"the format: {FORMAT}" in ENTRY


def test_each_finding_is_documented_with_its_meaning() -> None:
    assert dict(ROW.findall(AUDIT)) == FINDINGS
