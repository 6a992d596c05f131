"""What no credential could carry, and what is no JSON, is refused as a wrong command line."""

from __future__ import annotations

import pytest

from avow.cli.group import USAGE, run

WHO = ("--as", "ann")
NOT_UTF_8 = "\udcff"
"""How Python hands over a byte that isn't UTF-8."""


@pytest.mark.parametrize(
    "arguments",
    [
        ("inbox", "complete", "task", *WHO, "--input", "{"),
        ("inbox", "complete", "task", *WHO, "--input", NOT_UTF_8),
        ("inbox", "complete", "task", *WHO, "--input", '{"a": 1, "a": 2}'),
        ("inbox", "claim", "task", *WHO, "--reason", NOT_UTF_8),
        ("inbox", "claim", "task", *WHO, "--reason", "x" * 1_001),
        ("effects", "settle", "1", *WHO, "--reason", "so", "--done", NOT_UTF_8),
        ("effects", "settle", "1", *WHO, "--reason", "so", "--done", "NaN"),
        ("effects", "settle", "1", *WHO, "--reason", "so", "--done", "null", "--evidence", NOT_UTF_8),
        ("effects", "settle", "1", *WHO, "--reason", "", "--done", "null"),
    ],
    ids=" ".join,
)
def test_a_command_line_that_makes_no_sense_ends_with_two(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == USAGE
    assert "error[usage]" in capsys.readouterr().err
