"""`./test` runs everything there is, and fails when something in it fails."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from scripts import run_tests
from tests.house.tree import ROOT


def test_each_folder_under_tests_is_run_by_a_part_of_its_name() -> None:
    folders = {path.parent for path in (ROOT / "tests").rglob("test_*.py")}
    tops = {folder.relative_to(ROOT / "tests").parts[0] for folder in folders}
    known = run_tests.parts()
    assert tops <= set(known)
    assert all(known[top].commands[0][-1] == f"tests/{top}" for top in tops)


def test_no_test_lies_where_no_part_looks() -> None:
    known = run_tests.parts()
    assert list((ROOT / "tests").glob("test_*.py")) == []
    assert list(ROOT.glob("src/**/test_*.py")) == []
    assert known["examples"].commands[0][-1] == "examples"


def test_an_unknown_name_is_refused_instead_of_running_nothing() -> None:
    with pytest.raises(ValueError, match="untit"):
        run_tests.split(["untit"], run_tests.parts())


def test_what_follows_the_names_goes_to_pytest() -> None:
    chosen, rest = run_tests.split(["house", "-k", "parts"], run_tests.parts())
    assert [part.name for part in chosen] == ["house"]
    assert rest == ["-k", "parts"]


def test_arguments_of_pytest_alone_leave_the_checkers_out() -> None:
    chosen, _ = run_tests.split(["-x"], run_tests.parts())
    assert chosen
    assert all(part.is_pytest for part in chosen)


@pytest.mark.parametrize(
    ("first", "second", "held"), [("0", "0", True), ("1", "0", False), ("0", "1", False), ("0", "5", False)]
)
def test_a_part_holds_only_when_each_of_its_commands_does(
    first: str, second: str, held: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_tests, "STATE", tmp_path)
    commands = tuple(
        (sys.executable, "-c", f"print('said {code}'); exit({code})") for code in (first, second)
    )
    part = run_tests.Part("planted", commands)
    assert run_tests.run_all([part], []) == (0 if held else 1)
    assert (tmp_path / "log" / "planted.log").read_text().count("said") == 2


def test_a_part_with_workers_of_its_own_runs_beside_one_without_while_there_are_both() -> None:
    wide = [run_tests.Part(name, ((*run_tests.PARALLEL, name),)) for name in ("long", "longer")]
    narrow = run_tests.Part("short", (("short",),))
    assert run_tests.next_of([narrow, *wide], []) is wide[0]
    assert run_tests.next_of([wide[1], narrow], wide[:1]) is narrow
    assert run_tests.next_of([wide[1]], wide[:1]) is wide[1]
    assert run_tests.next_of([narrow], [narrow]) is narrow


def test_parts_can_be_interrupted_also_where_a_script_started_them_in_the_background() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert run_tests.main(["--list"]) == 0
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_continuous_integration_runs_the_command_of_the_readme_and_nothing_else() -> None:
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    commands = [line for line in lines if line and not line.startswith(("#", "set ", "CDPATH="))]
    assert commands == ['exec ./test "$@"']
    assert "./test" in (ROOT / "README.md").read_text()
