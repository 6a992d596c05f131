"""What can be wrong with calls and times, each on the line that is marked with its code."""

from __future__ import annotations

from tests.unit.declare.declarations import course

WAITING: dict[str, str] = {
    "calls": """
@effect(timeout=timedelta(days=2))  # <- effect-bounds
async def endless(course: Course, call: Call) -> None: ...

@effect()
async def sell(course: Course, call: Call) -> None: ...
"""
    + course(
        "odd = State(invoke=print)  # <- effect-unknown",
        "endless_one = State(invoke=endless)",
        "over = State(final=True, invoke=sell)  # <- effect-abandoned",
        "selling = State(invoke=sell)  # <- outcome-missing",
        "idle = State(withdraw=True)  # <- withdraw-nothing",
        "into = transition(open, to=selling, by=dean)",
        "away = transition(selling, to=closed, by=dean)  # <- effect-abandoned",
        "sold = transition(selling, to=over, on=sell.done)",
        "never = transition(open, to=idle, on=sell.failed)  # <- outcome-never",
        "rest = transition([idle, odd, endless_one], to=closed, by=dean)  # <- effect-abandoned",
        "more = transition(open, to=odd, by=dean)",
        "most = transition(open, to=endless_one, by=dean)",
        "done_endless = transition(endless_one, to=closed, on=endless.done)",
        "failed_endless = transition(endless_one, to=closed, on=endless.failed)",
    ),
    "times": course(
        "begins: datetime | None = field()",
        "twice = transition(open, to=closed, by=dean, after=timedelta(1))  # <- trigger-twice",
        "odd = transition(open, to=closed, after=5)  # <- delay-unreadable",
        "once = transition(open, to=closed, every=timedelta(1))  # <- every-leaves",
        "when_paid = transition(open, to=closed, at=paid)  # <- time-unreadable",
        "good = transition(open, to=closed, at=begins - timedelta(hours=1))",
    )
    + """
class Seat(Entity):
    course: Course = ref()
    visible = read(by=dean)
    taken = State(initial=True)
    free = State(final=True)
    take = create(taken, by=dean, sets=[course])
    leave = transition(taken, to=free, at=course.begins)  # <- time-remote
""",
}
