"""What is done with a task is no entry of the log, and whoever decides a log once more has to know that."""

from __future__ import annotations

from avow.model.actor import Actor
from avow.model.values import Subject
from avow.prove.act import TENANT, Act, Ref
from avow.prove.phase import Bench
from avow.prove.race import run_schedule
from avow.prove.rig import rig
from avow.prove.schedule import Schedule
from examples.approval.system import app

ADA = Actor(Subject("Ada"), TENANT, frozenset({"director"}))
BEN = Actor(Subject("Ben"), TENANT, frozenset({"manager"}))
DEPARTMENT = {
    "name": "a",
    "budget": 2,
    "first": Subject("Ada"),
    "second": Subject("Ben"),
    "third": Subject("Cleo"),
}
REQUEST = {"department": Ref("Department", 1), "amount": 1, "purpose": "a", "account": "a"}
ACTS = (
    Act("command", "Department", "found", 1, DEPARTMENT, ADA),
    Act("command", "Request", "ask", 1, REQUEST, ADA),
    Act("command", "Request", "approve", 1, {}, BEN),
    Act("time", "Request", "lapse", 1),
)


async def test_a_vote_after_reminders_is_decided_again_as_it_was() -> None:
    """The clock stands at the end of the request's time: whoever works reminds of the task first."""
    bench = Bench(app, 0)
    async with bench.stack:
        on = await bench.shared(rig)
        for order in ((0, 1, 1), (1, 0, 0), (1, 1, 0)):
            ran = await run_schedule(on, Schedule(ACTS, together=2, order=order))
            assert ran is not None
            assert [one.sentence for one in ran.broken] == []
        tasks = [entry.header for entry in (await on.database.picture()).entries]
    assert any(b'"acts":2' in header or b'"acts":1' in header for header in tasks)
