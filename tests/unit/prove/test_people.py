"""The people of the model are enough for what is declared; where they weren't, there is no verdict."""

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
    assert report.unfit == ("no Department could be made: nothing of it was tried",)


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
