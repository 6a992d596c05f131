"""The oracle of what is private: nothing that was planted stands where nobody may find it.

Neither in a table, of which what waits and what is kept of answers are some, nor in what was answered or
logged. What a reveal tells to whoever asked for it isn't looked at, nor is what a call sends to the outside.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from avow.model.private import SHOWN
from avow.model.types import Value
from avow.prove.execution import Done
from avow.prove.oracle import Break
from avow.prove.private import forms, planted_in, stands_in, unrevealed

UNTOLD: Final = "P12 private"


def leaks(
    journal: Sequence[Done], usual: Mapping[str, Value], rows: str, logged: Iterable[str]
) -> Iterator[Break]:
    """Where something private stands. rows: all there is in the database, by table, as JSON."""
    given = [value for done in journal for value in done.act.input.values()]
    private = planted_in([*given, *usual.values()])
    if not private:
        return
    if stands_in(rows, private):
        for table, held in json.loads(rows).items():
            if stands_in(json.dumps(held), private):
                yield Break(UNTOLD, f"A private value stands in the table {table} in clear.", _STANDS_FOR)
    for done in journal:
        if done.told is not None and stands_in(unrevealed(done.told.body), private):
            where = f"{done.act.entity}.{done.act.command}"
            yield Break(UNTOLD, f"The answer to {where} tells a private value.", _STANDS_FOR)
    for line in logged:
        if stands_in(line, private):
            yield Break(UNTOLD, "A private value stands in the log in clear.", masked(line, private))


def masked(line: str, private: Iterable[str]) -> str:
    """A line without what is private in it."""
    for one in private:
        for form in forms(one):
            line = line.replace(form, SHOWN)
    return line


_STANDS_FOR: Final = (
    "A digest stands for it everywhere; it is told by a reveal, and to a call that is told it."
)
