"""Known defects of an engine, planted in a run of its own, are found; without one nothing is."""

from __future__ import annotations

import pytest

from avow.prove.conform import ACCEPTED, Expected, conforms
from avow.prove.crash import crash, look_at, once
from avow.prove.databases import Databases
from avow.prove.defect import Defect
from avow.prove.defects import DEFECTS
from avow.prove.orders import Orders
from avow.prove.race import run_race
from avow.prove.reference import reference
from avow.prove.rig import Rig
from avow.prove.selftest import BOUGHT, PATHS, RACES, hunt

pytestmark = pytest.mark.anyio

PLANTED = (
    "key not checked", "key per attempt", "stale cache", "queue after commit", "timer early",
    "done before it is made", "call key per attempt", "guard dropped", "tenant forgotten",
)  # fmt: skip
"""Some of each kind: `avow prove` plants all of them in each run."""


def test_there_are_at_least_twenty_defects_each_with_a_name_of_its_own() -> None:
    assert len({defect.name for defect in DEFECTS}) == len(DEFECTS) >= 20


async def test_planted_defects_are_found(own: Databases) -> None:
    missed = list[tuple[str, object]]()
    for defect in (one for one in DEFECTS if one.name in PLANTED):
        caught = await hunt(own, defect, only=True)
        if caught is None:
            missed.append((defect.name, caught))
    assert missed == []


async def test_without_a_defect_nothing_is_found(on: Rig) -> None:
    found = [await conforms(on, Expected(ACCEPTED, path[:-1], path[-1])) for path in PATHS]
    subject = await look_at(on, BOUGHT[:-1], BOUGHT[-1])
    assert subject is not None
    found += [await crash(on, subject, faults) for faults in once(subject)]
    orders = Orders()
    while orders.more:
        ran = await run_race(on, RACES[1], orders.choose)
        orders.ran(ran.ops)
        found.append(ran.broken)
    assert [broken for broken in found if broken] == []
    assert on.executions >= 15


async def test_a_defect_that_no_longer_fits_the_engine_says_so(own: Databases) -> None:
    gone = next(defect for defect in DEFECTS if defect.name == "key not checked")
    made = await own.make()
    await gone.alter(made.admin, reference)
    with pytest.raises(ValueError, match="doesn't say"):
        await gone.alter(made.admin, reference)


async def test_what_nothing_finds_is_told_as_such(own: Databases) -> None:
    assert await hunt(own, Defect("harmless", "Nothing is wrong.", "conform"), only=True) is None
