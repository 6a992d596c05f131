"""`avow check`: what it says about good, doubtful and broken declarations."""

from __future__ import annotations

import json
from pathlib import Path

from tests.acceptance.command_line import avow

GOOD = """
from avow import Entity, State, create, everybody, field, opaque, read, system, transition

class Door(Entity):
    width: int = field(default=1, ge=1)
    visible = read(by=everybody)
    shut, gone = State(initial=True), State(final=True)
    build = create(shut, by=everybody)
    remove = transition(shut, to=gone, by=everybody, when=GUARD)

app = system("doors", Door)
"""
BROKEN = """
from avow import Entity, State, create, field, read, everybody, system, transition

class Door(Entity):
    width: int = field(default=0, ge=1)
    visible = read(by=everybody)
    shut, lost = State(initial=True), State()
    build = create(shut)
    lose = transition(shut, to=lost, by=everybody)

app = system("doors", Door)
"""


def application(folder: Path, text: str) -> Path:
    (folder / "system.py").write_text(text, encoding="utf-8")
    return folder


def test_a_good_declaration_holds_and_is_shown_as_a_table() -> None:
    ended = avow("check", "examples/enrollment")
    assert ended.returncode == 0
    assert ended.stderr == "no mistakes\n"
    assert ended.stdout.startswith("enrollment: 2 entities, 10 states, 12 transitions; boundary ")
    rows = [line.split() for line in ended.stdout.splitlines()]
    assert ["verify", "submitted", "verified", "registrar"] in rows
    assert "  invariant   never_oversold: taken <= seats" in ended.stdout


def test_the_same_is_told_to_programs() -> None:
    shown = json.loads(avow("check", "examples/enrollment", "--json").stdout)
    assert (shown["ok"], shown["system"], shown["roles"]) == (True, "enrollment", ["dean", "registrar"])
    course = shown["entities"][0]
    assert course["states"] == [
        {"name": "open", "initial": True, "final": False},
        {"name": "closed", "initial": False, "final": True},
    ]
    close = {"name": "close", "command": "close", "from": ["open"], "to": "closed"}
    assert course["transitions"][1] == {**close, "by": "registrar", "trigger": None, "when": None}


def test_all_mistakes_are_reported_at_once_with_place_and_mend(tmp_path: Path) -> None:
    application(tmp_path, BROKEN)
    ended = avow("check", cwd=tmp_path)
    assert ended.returncode == 2
    lines = [line for line in ended.stdout.splitlines() if not line.startswith("    mend: ")]
    assert len(lines) >= 3
    assert all(line.startswith(f"{tmp_path / 'system.py'}:") for line in lines)
    shown = json.loads(avow("check", "--json", cwd=tmp_path).stdout)
    assert shown["ok"] is False
    assert {"policy-missing", "state-trap", "default-unfit"} <= {m["code"] for m in shown["mistakes"]}
    assert all(mistake["mend"] and mistake["line"] for mistake in shown["mistakes"])


def test_a_warning_holds_unless_strict(tmp_path: Path) -> None:
    application(tmp_path, GOOD.replace("GUARD", "opaque(lambda door: door.width > 1)"))
    ended = avow("check", cwd=tmp_path)
    assert ended.returncode == 0
    assert "warning[guard-opaque]" in ended.stdout
    assert ended.stderr == "no mistakes, 1 warning\n"
    assert avow("check", "--strict", cwd=tmp_path).returncode == 1
    application(tmp_path, GOOD.replace(", when=GUARD", ""))
    assert avow("check", "--strict", cwd=tmp_path).returncode == 0


def test_a_module_on_the_path_of_the_current_folder_is_a_target(tmp_path: Path) -> None:
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "rules.py").write_text(GOOD.replace(", when=GUARD", ""))
    assert avow("check", "shop.rules:app", cwd=tmp_path).returncode == 0
    assert avow("check", "shop/rules.py", cwd=tmp_path).returncode == 0


def test_a_broken_declaration_stops_other_verbs_with_2_as_well(tmp_path: Path) -> None:
    application(tmp_path, BROKEN)
    ended = avow("diagram", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "error[policy-missing]" in ended.stderr
    shown = json.loads(avow("diagram", "--json", cwd=tmp_path).stdout)
    assert shown["error"]["code"] == "declaration"
    assert shown["error"]["mistakes"]
