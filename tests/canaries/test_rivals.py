"""Whoever comes second with something private is refused, and nothing of what was decided before is kept."""

from __future__ import annotations

from typing import Any

from avow.prove.phase import Bench
from avow.prove.race import run_schedule
from avow.prove.rig import rig
from avow.prove.schedule import schedule_from
from examples.onboarding.system import app

ADA = {"subject": "Ada", "tenant": "prove", "roles": ["hr", "it"]}
FIRST_DAY = "2026-01-06T12:00:00.000000Z"


def gives(entity: str, command: str, **given: Any) -> dict[str, Any]:
    """Ada gives a command to the first record of an entity."""
    return {
        "kind": "command", "entity": entity, "command": command, "record": 1, "input": given, "actor": ADA,
    }  # fmt: skip


PAPER = {"onboarding": {"record": ["Onboarding", 1]}, "kind": "a", "due": FIRST_DAY}
NEWCOMER = {
    "person": "Ada", "name": "canary-1", "email": "canary-1", "login": "a", "boss": "Ada",
    "first_day": FIRST_DAY,
}  # fmt: skip
SCHEDULE = {
    "acts": [
        gives("Onboarding", "announce", **NEWCOMER),
        gives("Paper", "want", **PAPER),
        gives("Onboarding", "see_newcomer", purpose="a"),
        gives("Paper", "hand_in", file="canary-1"),
        gives("Paper", "hand_in", file="canary-1"),
    ],
    "together": 3, "faults": [], "order": [2, 2, 0, 0, 1],
}  # fmt: skip


async def test_of_two_who_give_something_private_at_once_the_second_is_refused() -> None:
    bench = Bench(app, 0)
    async with bench.stack:
        on = await bench.shared(rig)
        ran = await run_schedule(on, schedule_from(app, SCHEDULE))
        assert ran is not None
        assert [one.sentence for one in ran.broken] == []
