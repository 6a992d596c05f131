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
        "dated = transition(open, to=closed, after=begins)  # <- delay-unreadable",
        "dated_again = transition(open, to=open, every=begins)  # <- delay-unreadable",
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
    "lengths of time": """
from datetime import time

office = calendar("office", zone="Europe/Berlin", workdays=["Mon-Thu", "Sat"], holidays=["2026-12-25"])
nowhere = calendar("office", zone="Europe/Atlantis")  # <- calendar-unreadable
here = calendar("office", zone="localtime")  # <- calendar-unreadable
idle = calendar("office", zone="UTC", workdays=[])  # <- calendar-unreadable
odd_week = calendar("office", zone="UTC", workdays="Monday")  # <- calendar-unreadable
numbers = calendar("office", zone="UTC", workdays=[0, 1])  # <- calendar-unreadable
odd_day = calendar("office", zone="UTC", holidays=["2026-02-30"])  # <- calendar-unreadable
no_day = calendar("office", zone="UTC", holidays=[5])  # <- calendar-unreadable
instant = calendar("office", zone="UTC", holidays=[datetime(2026, 1, 1)])  # <- calendar-unreadable
two_words = calendar("my office", zone="UTC")  # <- calendar-unreadable
unnamed = calendar(None, zone=None)  # <- calendar-unreadable
"""
    + course(
        "begins: datetime | None = field()",
        "stay: timedelta | None = field()",
        "a = transition(open, to=closed, after=days(-1))  # <- delay-bounds",
        "b = transition(open, to=closed, after=hours(1.5))  # <- delay-bounds",
        "c = transition(open, to=closed, after=weeks(10**9))  # <- delay-bounds",
        "d = transition(open, to=closed, after=minutes(True))  # <- delay-bounds",
        "e = transition(open, to=closed, after=seconds('x'))  # <- delay-bounds",
        "f = transition(open, to=closed, after=office.days(-1))  # <- delay-bounds",
        "g = transition(open, to=closed, after=office.working_days(2, at='17:00'))  # <- delay-bounds",
        "h = transition(open, to=closed, after=timedelta(-1))  # <- delay-unreadable",
        "i = transition(open, to=closed, after=office)  # <- delay-unreadable",
        "j = transition(open, to=closed, at=begins + office.days(1))  # <- delay-by-calendar",
        "k = transition(open, to=open, by=dean, when=stay > office.working_days(1))  # <- delay-by-calendar",
        "l = transition(open, to=closed, by=dean, when=one_of(stay, office.days(1)))  # <- delay-by-calendar",
        "m = transition(open, to=closed, by=dean, when=one_of(stay, days(1), weeks(1)))",
        "n = transition(open, to=closed, by=dean, when=(stay >= days(1)) & (now < begins - hours(2)))",
        "o = transition(open, to=closed, after=office.working_days(3, at=time(17)))",
        "p = transition(open, to=closed, after=office.days(3))",
        "q = transition(open, to=open, every=seconds(90))",
        "s = transition(open, to=open, every=hours(0))  # <- delay-bounds",
        "t = transition(open, to=open, every=timedelta(0))  # <- delay-bounds",
        "u = transition(open, to=closed, after=timedelta(0))",
        "r = transition(open, to=closed, at=begins - days(1))",
    ),
}
