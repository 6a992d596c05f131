"""A pattern with which somebody could keep the server busy is refused, and what people write isn't."""

from __future__ import annotations

import re
import time
from math import inf

import pytest

from avow.declare.backtracking import STEPS_MAX, Untold, steps_of
from tests.unit.declare.declarations import course, mistakes_of

SLOW = [
    r"(a+)+b", r"(a*)*b", r"(a|a)*b", r"(a|aa)+b", r"(?:a|b|ab)*c", r"(?:[a-z]?){30}", r"(x+x+)+y",
    r"(.*a){12}",
    r"([a-zA-Z0-9])(([\-.]|[_]+)?([a-zA-Z0-9]+))*@", r"(?:(?=(a+)+b)a)*", r"(?i)(?:ab|AB)*1", r"(?:a?b?)*",
]  # fmt: skip
CUBIC = [r".*.*.*x", r"\s*\w*[ \w]*[\w ]*;", r"[a-z]{0,50}[a-z]{0,50}[a-z]{0,50}1"]
QUICK = [
    r"[a-z0-9]+(?:-[a-z0-9]+)*", r"[^@\s]+@[^@\s]+\.[^@\s]+", r"\d{4}-\d{2}-\d{2}", r"[0-9a-f]{64}", r"",
    r"(?:\d{1,3}\.){3}\d{1,3}", r"[A-Z]{2}[0-9]{2}(?:[A-Z0-9]{4}){2,7}[A-Z0-9]{1,3}", r"(?:[^,]*,){11}P",
    r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\.)+[a-zA-Z]{2,}", r"https?://[^\s/]+(/[^\s]*)?",
    r"(?=.*\d)(?=.*[a-z]).{8,}", r"(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", r"(?:[a-z]++)*",
    r"\+?[0-9 ()-]{5,20}", r"[A-Z][a-z]+(?: [A-Z][a-z]+)*",
]  # fmt: skip


@pytest.mark.parametrize("pattern", SLOW)
def test_what_doubles_with_each_character_is_found(pattern: str) -> None:
    assert steps_of(pattern, 10) == inf


@pytest.mark.parametrize("pattern", CUBIC)
def test_what_grows_with_the_third_power_is_too_slow_for_a_text_of_a_thousand(pattern: str) -> None:
    assert STEPS_MAX < steps_of(pattern, 1_000) < inf
    assert steps_of(pattern, 100) < STEPS_MAX


@pytest.mark.parametrize("pattern", QUICK)
def test_what_people_write_is_quick_and_is(pattern: str) -> None:
    """It is also measured: texts that such patterns choke on, if any do."""
    assert steps_of(pattern, 1_000) <= STEPS_MAX
    before = time.process_time()
    for text in ("a", "0", "A", "a-", "a.", "a@a.", "1,", "A1", " ", "Aa "):
        re.fullmatch(pattern, text * (1_000 // len(text)) + "!")
    assert time.process_time() - before < 1


def test_what_goes_back_to_a_group_cannot_be_told() -> None:
    with pytest.raises(Untold):
        steps_of(r"(\w+)\s\1", 10)


def test_a_slow_pattern_is_a_mistake_of_the_declaration_on_its_line() -> None:
    found, expected = mistakes_of(
        course(
            "a: str = field(pattern='(a+)+b', default='')  # <- type-unreadable",
            "b: str | None = private(of=owner, pattern='(a|a)*b')  # <- type-unreadable",
            "c: str = field(pattern='.*.*', default='')",
            "d: str = field(pattern='.*.*', max_length=100_000, default='')  # <- type-unreadable",
            r"e: str = field(pattern=r'(.)\1', default='a')  # <- type-unreadable",
        )
    )
    assert [(mistake.line, mistake.code) for mistake in found] == expected
    assert "for ever" in found[0].detail
