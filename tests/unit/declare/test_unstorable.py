"""What PostgreSQL or the server would refuse later is reported with the declaration."""

from __future__ import annotations

from typing import Any

import pytest

import avow
from avow.errors import DeclarationError
from tests.unit.declare.declarations import course, mistakes_of

CASES: dict[str, str] = {
    "rules of the wrong shape": course(
        "a = exclude(seats, overlapping=(taken,))  # <- exclusion-span",
        "b = exclude(seats, overlapping=())  # <- exclusion-span",
        "g = exclude(seats, overlapping=(taken, taken))  # <- exclusion-span",
        "c = invariant(one_of(seats), 'x')  # <- condition-constant",
        f"d = unique({', '.join(['seats'] * 32)})  # <- unique-too-long",
        f"e = unique({', '.join(['seats'] * 31)})",
        "f = transition(open, to=closed, by=dean & ~performed('close_it'))  # <- transition-unknown",
    ),
    "names that are taken": course(
        "ctid: int = field(default=0)  # <- name-reserved",
        "xmax: int = field(default=0)  # <- name-reserved",
        "tableoid: int = field(default=0)  # <- name-reserved",
        "oid: int = field(default=0)",
    )
    + """
class Probe(Entity, plural="healthz"):  # <- name-reserved
    visible = read(by=dean)
    open = State(initial=True, final=True)
    start = create(open, by=dean)
""",
    "an enum that no text can hold": """
class Odd(StrEnum):
    NUL = "a\\x00"

class Half(StrEnum):
    SURROGATE = "\\ud800"
"""
    + course(
        "a: Odd | None = field()  # <- type-unreadable", "b: Half | None = field()  # <- type-unreadable"
    ),
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.replace(" ", "-"))
def test_a_mistake_is_reported_once_on_its_line(case: str) -> None:
    found, expected = mistakes_of(CASES[case])
    shown = "\n".join(map(str, found))
    assert sorted((m.line, m.code) for m in found) == sorted(expected), shown


@pytest.mark.parametrize("given", [int, None, "Course", avow.Entity])
def test_what_is_no_entity_is_reported_at_the_call_of_system(given: Any) -> None:
    with pytest.raises(DeclarationError) as caught:
        avow.system("app", given)
    (mistake,) = caught.value.mistakes
    assert (mistake.code, mistake.file) == ("no-entities", __file__)
    assert "is no entity" in mistake.detail
