"""What no credential could carry, and what is no JSON, is refused as a wrong command line."""

from __future__ import annotations

import pytest

from avow.cli.group import run
from avow.cli.output import ENVIRONMENT, USAGE
from tests.house.tree import ROOT

WHO = ("--as", "ann")
CHECKOUT = ("--target", str(ROOT / "examples" / "checkout"))
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
        ("effects", "retry", "1", *WHO, "--reason", "so", "--preview"),
        ("effects", "skip", "1", *WHO, "--reason", "so", "--set", "0" * 64),
        ("effects", "list", "--entity", "Nothing", *CHECKOUT),
        ("effects", "list", "--destination", "nowhere", *CHECKOUT),
        ("effects", "pause", "nowhere", *WHO, "--reason", "so", *CHECKOUT),
    ],
    ids=" ".join,
)
def test_a_command_line_that_makes_no_sense_ends_with_two(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == USAGE
    assert "error[usage]" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["effects", "inbox"])
def test_a_database_that_does_not_answer_is_no_finding(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVOW_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    backend = str(ROOT / "examples" / ("checkout" if verb == "effects" else "approval"))
    who = () if verb == "effects" else WHO
    assert run((verb, "list", "--target", backend, *who)) == ENVIRONMENT
