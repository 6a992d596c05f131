"""Every transition of tasks, slots, appointments, participants and encounters is walked."""

from __future__ import annotations

from uuid import UUID

import pytest

from tests.unit.declare.lifecycles.task_appointment import app
from tests.unit.declare.lifecycles.walking import Walk

WAYS = {
    "draft": (),
    "requested": ("request",),
    "received": ("request", "claim"),
    "accepted": ("request", "claim", "accept"),
    "ready": ("request", "claim", "accept", "prepare"),
    "in_progress": ("request", "claim", "accept", "prepare", "begin"),
    "failed": ("request", "claim", "accept", "begin", "fail"),
}
BY = {"request": "ann"}


def task(walk: Walk, state: str, part_of: UUID | None = None) -> UUID:
    made = walk.start("Task", "write", part_of=part_of)
    for command in WAYS[state]:
        walk.do("Task", command, made, BY.get(command, "pete"), "performer")
    assert walk.state("Task", made) == state
    return made


def walk_tasks(walk: Walk) -> None:
    for state in list(WAYS)[:-1]:
        made = task(walk, state)
        assert walk.do("Task", "suspend", made) == "on_hold"
        assert walk.do("Task", "resume", made) == state
        assert walk.do("Task", "mark_error", made) == "entered_in_error"
    assert walk.do("Task", "reject", task(walk, "received"), "pete") == "rejected"
    assert walk.do("Task", "assign", task(walk, "draft"), owner="pete") == "ready"
    stopped = task(walk, "in_progress")
    assert walk.do("Task", "stop", stopped, owner="paula") == "ready"
    assert walk.do("Task", "begin", stopped, "paula") == "in_progress"
    assert walk.do("Task", "complete", stopped, "paula", result="well") == "completed"
    again = task(walk, "failed")
    assert walk.do("Task", "reopen", again) == "in_progress"
    assert walk.do("Task", "give_up", task(walk, "failed")) == "cancelled"
    assert walk.do("Task", "cancel", again) == "cancelled"
    assert walk.do("Task", "attach", again, "pete", late_result="too late") == "cancelled"
    assert walk.refused("Task", "attach", again, "pete", late_result="again") == "guard-failed"


def appointment(walk: Walk, *people: str) -> tuple[UUID, UUID, list[UUID]]:
    slot = walk.start("Slot", "offer", "sue", "scheduler", starts=walk.now)
    made = walk.start("Appointment", "propose", slot=slot)
    invited = [
        walk.start("Participant", "invite", "sue", "scheduler", who=who, appointment=made) for who in people
    ]
    assert walk.do("Appointment", "ask", made, "sue", "scheduler") == "pending"
    assert walk.state("Slot", slot) == "busy_tentative"
    return slot, made, invited


def walk_appointments(walk: Walk) -> None:
    slot, made, (ann, bob) = appointment(walk, "ann", "bob")
    assert walk.do("Participant", "accept", ann) == "accepted"
    assert walk.refused("Participant", "accept", ann) == "guard-failed"
    assert walk.do("Participant", "waver", bob, "bob") == "tentative"
    assert walk.do("Appointment", "ask_again", made, "sue", "scheduler", instead=slot) == "pending"
    walk.do("Participant", "accept", bob, "bob")
    assert walk.state("Appointment", made) == "pending", "what was agreed to before is void"
    walk.do("Participant", "accept", ann)
    assert (walk.state("Appointment", made), walk.state("Slot", slot)) == ("booked", "busy")
    other = walk.start("Appointment", "propose", slot=slot)
    walk.start("Participant", "invite", "sue", "scheduler", who="cleo", appointment=other)
    assert walk.refused("Appointment", "ask", other, "sue", "scheduler") == "state-conflict"
    assert walk.not_started("Encounter", "plan", "sue", "scheduler", appointment=made) == "guard-failed"
    assert walk.do("Appointment", "arrive", made, "sue", "scheduler") == "arrived"
    meeting = walk.start("Encounter", "plan", "sue", "scheduler", appointment=made)
    walk.do("Encounter", "arrive", meeting, "sue", "scheduler")
    assert walk.refused("Encounter", "begin", meeting, "sue", "scheduler") == "guard-failed"
    assert walk.do("Appointment", "start", made, "sue", "scheduler") == "fulfilled"
    assert walk.do("Encounter", "begin", meeting, "sue", "scheduler") == "in_progress"
    assert walk.do("Encounter", "finish", meeting, "sue", "scheduler") == "finished"

    slot, made, (ann,) = appointment(walk, "ann")
    walk.do("Participant", "accept", ann)
    later = walk.start("Slot", "offer", "sue", "scheduler", starts=walk.now)
    assert walk.do("Appointment", "ask_again", made, "sue", "scheduler", instead=later) == "pending"
    assert (walk.state("Slot", slot), walk.state("Slot", later)) == ("free", "busy_tentative")
    walk.do("Participant", "accept", ann)
    assert (walk.state("Appointment", made), walk.state("Slot", later)) == ("booked", "busy")

    slot, made, (ann,) = appointment(walk, "ann")
    assert walk.do("Participant", "decline", ann) == "declined"
    assert (walk.state("Appointment", made), walk.state("Slot", slot)) == ("cancelled", "free")
    assert walk.do("Slot", "withdraw", slot, "sue", "scheduler") == "gone"

    slot, made, (ann,) = appointment(walk, "ann")
    walk.do("Participant", "accept", ann)
    assert walk.do("Appointment", "miss", made, "sue", "scheduler") == "noshow"
    assert walk.state("Slot", slot) == "free"


def test_every_transition_is_walked() -> None:
    walk = Walk(app)
    walk_tasks(walk)
    walk_appointments(walk)
    assert walk.not_walked() == []


@pytest.mark.parametrize("command", ["begin", "complete"])
def test_a_child_rests_while_its_parent_does(command: str) -> None:
    walk = Walk(app)
    parent = task(walk, "in_progress")
    child = task(walk, "ready" if command == "begin" else "in_progress", part_of=parent)
    walk.do("Task", "suspend", parent)
    assert walk.refused("Task", command, child, "pete") == "guard-failed"
    walk.do("Task", "resume", parent)
    walk.do("Task", command, child, "pete")
