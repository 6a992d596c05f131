"""People and values are found that fit what is declared; where they aren't, there is no verdict."""

from __future__ import annotations

from pathlib import Path

from avow.prove.model import Model
from avow.prove.phase import Bench
from avow.prove.run import run
from tests.canaries.mutants import counted, declared

DEPARTMENT = """
from avow import Entity, State, Subject, authenticated, create, everybody, field, invariant, read, system


class Department(Entity):
    first: Subject = field()
    second: Subject = field()
    third: Subject = field()
    three = invariant((first != second) & (second != third) & (third != first), "Three seats, three people.")
    visible = read(by=everybody)

    running = State(initial=True, final=True)

    found = create(running, by=authenticated, sets=[first, second, third])


app = system("departments", Department)
"""


async def test_a_record_that_names_three_different_people_is_made(tmp_path: Path) -> None:
    bench = Bench(declared(DEPARTMENT, tmp_path), 0)
    await Model().run(bench, counted(2_000))
    (act,) = bench.coverage.states["Department", "running"]
    assert len({act.input[name] for name in ("first", "second", "third")}) == 3
    assert bench.unfit == []


async def test_where_no_record_could_be_made_there_is_no_verdict(tmp_path: Path) -> None:
    system = declared(DEPARTMENT.replace("third != first", "third == second"), tmp_path)
    report = await run(Bench(system, 0), [Model()], 5.0)
    assert report.held is None
    assert report.unfit == (
        "no Department could be made (found is refused with invariant-violated): nothing of it was tried",
    )


SOLD = """
from avow import Entity, State, Subject, actor, create, field, read, role, system, transition

agent = role("agent")


class Cover(Entity):
    holder: Subject = field()
    visible = read(by=agent)

    running, ended = State(initial=True), State(final=True)
    sell = create(running, by=agent & (actor != holder), sets=[holder])
    end = transition(running, to=ended, by=agent)


app = system("covers", Cover)
"""


async def test_somebody_gives_a_command_that_names_somebody_else(tmp_path: Path) -> None:
    bench = Bench(declared(SOLD, tmp_path), 0)
    await Model().run(bench, counted(200))
    (act,) = bench.coverage.states["Cover", "running"]
    assert act.actor is not None
    assert act.actor.subject != act.input["holder"]


PLATED = """
from dataclasses import dataclass
from avow import Entity, State, create, everybody, field, in_state, read, sometimes, system


@dataclass(frozen=True)
class Plate:
    canton: str
    number: int

    def __post_init__(self) -> None:
        if len(self.canton) != 2 or not self.canton.isupper():
            raise ValueError("two capital letters")


class Vehicle(Entity):
    plate: Plate = field()
    visible = read(by=everybody)

    sold = State(initial=True, final=True)
    can_be_sold = sometimes(in_state(sold), "A vehicle can be sold.")
    sell = create(sold, by=everybody, sets=[plate])


app = system("fleet", Vehicle)
"""


async def test_a_value_object_is_made_that_its_own_check_lets_pass(tmp_path: Path) -> None:
    bench = Bench(declared(PLATED, tmp_path), 0)
    await Model().run(bench, counted(200))
    (act,) = bench.coverage.states["Vehicle", "sold"]
    assert "canton='AB'" in str(act.input["plate"])


async def test_a_goal_of_what_was_never_made_is_no_finding_and_no_verdict(tmp_path: Path) -> None:
    system = declared(PLATED.replace("isupper()", "isspace()"), tmp_path)
    report = await run(Bench(system, 0), [Model()], 5.0)
    assert (report.held, [finding.sentence for finding in report.findings]) == (None, [])
    assert report.unfit == (
        "no Vehicle could be made (sell is refused with input-invalid): nothing of it was tried",
    )
