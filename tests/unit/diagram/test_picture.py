"""What stands in a picture: everything that is declared, readable, and harmless."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, strategies

from avow.diagram import mermaid, svg
from avow.diagram.graph import Layout
from avow.diagram.layered import layered
from avow.diagram.machine import machine_of
from avow.diagram.picture import STYLE
from avow.diagram.placement import with_graphlay
from avow.model.entity import Entity, State, Transition
from avow.model.expression import All, Compare, Const, Everybody, FieldOf, HasRole, Internal, Not
from examples.enrollment.system import app
from tests.golden import assert_golden

HERE = Path(__file__).parent
NAMESPACE = "{http://www.w3.org/2000/svg}"
LAYOUTS: dict[str, Layout] = {"layered": layered, "graphlay": with_graphlay}
HOSTILE = [
    'a"b',
    "<script>alert(1)</script>",
    "]]>",
    "&amp;",
    "%% note",
    "x --> y",
    "end\nstate z",
    "#35;",
    "ü",
    "\0\ud800",
]


def machine(*transitions: Transition, states: tuple[str, ...] = ("open", "done")) -> Entity:
    held = {s: State(s, initial=s == states[0], final=s == states[-1]) for s in states}
    return Entity("Thing", "things", {}, held, {t.name: t for t in transitions}, Everybody())


def start(target: str = "open") -> Transition:
    return Transition("start", "start", (), target, Everybody(), creation=True)


def elements(text: str, kind: str) -> list[ElementTree.Element]:
    """All elements that have this class."""
    return [e for e in ElementTree.fromstring(text).iter() if kind in e.get("class", "").split()]


def texts(text: str, kind: str) -> list[str]:
    return [element.text or "" for element in elements(text, kind)]


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_enrollment_example_is_drawn_as_reviewed(name: str) -> None:
    assert_golden(
        HERE / "golden" / f"enrollment.{name}.svg", svg(*app.entities.values(), layout=LAYOUTS[name])
    )


def test_the_enrollment_example_is_written_in_mermaid_as_reviewed() -> None:
    assert_golden(HERE / "golden" / "enrollment.mmd", mermaid(*app.entities.values()))
    assert_golden(HERE / "golden" / "course.mmd", mermaid(app.entities["Course"]))


def test_a_picture_holds_every_state_and_every_command_with_who_may_and_when() -> None:
    guard = Compare(">", FieldOf(("size",)), Const(3))
    close = Transition("close", "close", ("open",), "done", HasRole("clerk"), guard)
    drawn = svg(machine(start(), close))
    assert texts(drawn, "command") == ["start", "close"]
    assert texts(drawn, "by") == ["everybody", "clerk"]
    assert texts(drawn, "when") == ["when size > 3"]
    assert [state.findtext(f"{NAMESPACE}text") for state in elements(drawn, "state")] == ["open", "done"]


def test_final_states_have_a_second_outline_and_initial_ones_are_marked() -> None:
    drawn = svg(machine(start(), Transition("close", "close", ("open",), "done", Everybody())))
    assert [len(state.findall(f"{NAMESPACE}rect")) for state in elements(drawn, "state")] == [1, 2]
    assert len(elements(drawn, "initial")) == 1


def test_only_what_is_caused_by_other_transitions_is_dashed() -> None:
    inner = Transition("tick", "tick", ("open",), "open", Internal())
    mixed = Transition("tock", "tock", ("open",), "open", All((Internal(), HasRole("clerk"))))
    outer = Transition("close", "close", ("open",), "done", Not(Internal()))
    drawn = svg(machine(start(), inner, mixed, outer))
    dashed = [arrow for arrow in elements(drawn, "arrow") if any(p.get("stroke-dasharray") for p in arrow)]
    assert [[t.text for t in arrow if t.get("class") == "command"] for arrow in dashed] == [["tick", "tock"]]
    assert len(elements(drawn, "internal")) == 1


def test_those_who_see_nothing_are_told_everything() -> None:
    root = ElementTree.fromstring(svg(app.entities["Course"]))
    assert root.get("role") == "img"
    assert root[0].tag == f"{NAMESPACE}title"
    assert root[1].tag == f"{NAMESPACE}desc"
    assert "From open to closed: close, by registrar." in str(root[1].text)


def test_a_picture_runs_and_fetches_nothing_and_has_no_ids() -> None:
    drawn = svg(*app.entities.values())
    assert not re.search(r"script|href|url\(|@import|@font-face|\bon\w+=|\bid=", drawn)


def test_colours_follow_the_page_by_custom_properties() -> None:
    assert "prefers-color-scheme:dark" in STYLE
    assert not re.search(r"(?<!-)(fill|stroke):#", STYLE)
    plain = svg(app.entities["Course"], style=False)
    assert "<style" not in plain
    assert ' style="' not in plain


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_hostile_name_is_text_and_nothing_else(hostile: str) -> None:
    close = Transition(hostile, hostile, ("open",), hostile, HasRole(hostile))
    entity = machine(start(), close, states=("open", hostile))
    drawn = svg(dataclasses.replace(entity, name=hostile))
    ElementTree.fromstring(drawn.encode("utf-8"))
    assert {e.tag.removeprefix(NAMESPACE) for e in ElementTree.fromstring(drawn).iter()} <= {
        "svg", "title", "desc", "style", "g", "text", "path", "polygon", "rect", "circle",
    }  # fmt: skip
    written = mermaid(dataclasses.replace(entity, name=hostile))
    plain = mermaid(
        machine(start(), Transition("a", "a", ("open",), "b", HasRole("c")), states=("open", "b"))
    )
    assert len(written.splitlines()) == len(plain.splitlines())
    assert not re.search(r"<(?!br/>)|%%|[^\x00-\x7f\n]", written)


@given(strategies.text(max_size=40))
def test_no_text_ends_a_line_or_a_label_of_mermaid(text: str) -> None:
    close = Transition("close", text, ("open",), "done", HasRole(text))
    lines = mermaid(machine(start(), close)).splitlines()
    assert len(lines) == 6
    label = lines[4].partition(": ")[2]
    assert re.fullmatch(r"[A-Za-z0-9 _.,()=|&~+*'!/#;-]*", label.replace("<br/>", ""))


def test_words_of_mermaid_may_be_names_of_states() -> None:
    written = mermaid(machine(start("end"), states=("end", "note")))
    assert 'state "end" as s_Thing_end' in written
    assert "[*] --> s_Thing_end" in written


def test_ways_between_the_same_states_share_an_arrow_in_declared_order() -> None:
    one = Transition("one", "one", ("open",), "done", Everybody())
    two = Transition("two", "two", ("open",), "done", HasRole("clerk"))
    arrows = machine_of(machine(one, two, start())).arrows
    assert [[way.command for way in arrow.ways] for arrow in arrows] == [["start"], ["one", "two"]]


def test_a_long_policy_is_broken_into_lines() -> None:
    policy = All(tuple(HasRole(f"role_number_{n}") for n in range(9)))
    drawn = svg(machine(start(), Transition("close", "close", ("open",), "done", policy)))
    assert len(texts(drawn, "by")) > 4
    assert max(map(len, texts(drawn, "by"))) <= 30
