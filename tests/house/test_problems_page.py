"""Every problem that Avow answers with is documented, from the table itself."""

from __future__ import annotations

from avow.errors import PROBLEMS
from scripts import docs_problems


def test_the_page_of_problems_is_the_table() -> None:
    written = docs_problems.PAGE.read_text() if docs_problems.PAGE.exists() else ""
    assert written == docs_problems.page(), f"make it again: {docs_problems.AGAIN}"


def test_every_problem_says_what_to_do_in_one_sentence() -> None:
    assert [row.code for row in PROBLEMS.values() if not row.mend.endswith(".") or not row.title] == []
