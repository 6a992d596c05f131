"""Printing: what goes where, and how far a long work is."""

from __future__ import annotations

import io
import json

import pytest

from avow.cli import output
from avow.cli.init import application_name
from avow.errors import (
    AvowError,
    DeclarationError,
    EnvironmentFault,
    Mistake,
    Problem,
    ProblemError,
    UsageError,
)  # fmt: skip

FAILURES: list[tuple[AvowError, int, str]] = [
    (UsageError("it is wrong", "Right it."), 2, "usage"),
    (EnvironmentFault("disk-full", "no room", "Make room."), 3, "disk-full"),
    (ProblemError(Problem("not-found")), 1, "not-found"),
    (DeclarationError([Mistake("a.py", 3, "state-trap", "it is a trap", "Lead out.")]), 2, "declaration"),
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    """Seconds that go on only when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("error", "code", "name"), FAILURES)
def test_an_error_is_talk_for_people_and_an_object_for_programs(
    error: AvowError, code: int, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert output.failure(error, as_json=False) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert f"error[{name}]" in said.err
    assert "mend: " in said.err
    assert output.failure(error, as_json=True) == code
    said = capsys.readouterr()
    assert said.err == ""
    shown = json.loads(said.out)["error"]
    assert shown["code"] == name
    assert shown["detail"]
    assert shown["mend"]


def test_a_pipe_gets_one_line_each_ten_seconds() -> None:
    stream, clock = io.StringIO(), Clock()
    with output.Progress(stream, "entries", 1000, clock) as progress:
        for _ in range(100):
            clock.now += 0.25
            progress.advance(10)
    assert stream.getvalue().splitlines() == [
        "entries: 400 of 1,000 (40 %), 15 s left",
        "entries: 800 of 1,000 (80 %), 5 s left",
    ]


def test_a_terminal_gets_a_bar_at_most_ten_times_a_second_which_goes_at_the_end() -> None:
    stream, clock = Terminal(), Clock()
    with output.Progress(stream, "entries", 1000, clock) as progress:
        for _ in range(1000):
            clock.now += 0.001
            progress.advance()
    drawn = stream.getvalue()
    assert 9 <= drawn.count("[#") <= 11
    assert drawn.endswith("\r\x1b[K")
    assert "\n" not in drawn


def test_a_work_of_unknown_or_wrong_size_is_counted_all_the_same() -> None:
    for stream in (io.StringIO(), Terminal()):
        clock = Clock()
        with output.Progress(stream, "entries", 0, clock) as progress:
            clock.now = 20.0
            progress.advance(5)
        assert "entries: 5 of 0" in stream.getvalue()


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("My Shop-2", "my_shop_2"), ("shop", "shop"), ("2nd", "app_2nd"), ("avow", "app_avow"),
        ("pg_x", "app_pg_x"),
        ("", "app"), ("...", "app"), ("Ünï", "n"), ("x" * 80, "x" * 40), ("a__b", "a_b"),
    ],
)  # fmt: skip
def test_the_name_of_an_application_can_be_a_schema(folder: str, name: str) -> None:
    assert application_name(folder) == name


def test_a_warning_is_talk_with_its_place_and_its_mend(capsys: pytest.CaptureFixture[str]) -> None:
    output.warn([Mistake("system.py", 3, "body-impure", "it asks the clock", "Use self.now.", warning=True)])
    said = "system.py:3: warning[body-impure] it asks the clock\n    mend: Use self.now.\n"
    assert capsys.readouterr() == ("", said)


def test_words_from_a_database_cannot_move_the_cursor() -> None:
    assert output.plain("Zoë, 20 €") == "Zoë, 20 €"
    assert output.plain("a\x1b[2J\r\n\u202eb\udcff") == r"a\x1b[2J\r\n\u202eb\udcff"
