"""What is said of a mistake names what it is about, and what helps."""

from __future__ import annotations

import pytest

from tests.unit.declare.declarations import course, mistakes_of

AGREE = "agree = transition(open, to=closed, by=dean, approvals=2)"
MENDS = {
    "of another record": (
        "pass_on = transition(open, to=open, by=internal, uses=parent.owner)",
        "`parent.owner` is a field of another record",
        "Name `parent` alone",
    ),
    "a limit of a length of time": (
        "wait: timedelta = field(ge=hours(1))",
        "ge says nothing about timedelta",
        "compare the field in an invariant()",
    ),
    "votes that stay": (
        AGREE + "\n    edit = transition(open, to=open, by=dean, sets=seats)",
        "what agree has counted stays",
        "voids=agree, on a line below agree",
    ),
}


@pytest.mark.parametrize("case", MENDS)
def test_what_is_said_helps_where_it_was_once_no_help(case: str) -> None:
    line, detail, mend = MENDS[case]
    source = course(*line.split("\n    ")).replace("    seats", "    parent: Course = ref()\n    seats", 1)
    found = [one for one in mistakes_of(source)[0] if detail in one.detail]
    assert [mend in one.mend for one in found] == [True], mistakes_of(source)[0]
