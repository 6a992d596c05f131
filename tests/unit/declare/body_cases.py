"""What bodies reach for outside, what none of them calls for, and what no row has room for."""

from __future__ import annotations

from tests.unit.declare.declarations import SOUND, course

BODIES: dict[str, str] = {
    "clocks and chance, by whatever way they come": """
import datetime as when
import random
import time as clock
from random import randint
from uuid import UUID, uuid4

def later(x):
    return x + datetime.now().second

def elsewhere():
    def drawn():
        return randint(1, 2)
    return drawn

drawn = elsewhere()
"""
    + course(
        "def doubled(self): return self.taken * 2",
        "def shaken(self): return self.taken * random.random()",
        "@transition(open, to=open, by=dean)",
        "def reckon(self) -> None:",
        "    self.taken = self.doubled() + self.now.second + UUID(int=1).int + datetime(2026, 1, 1).year",
        "    self.taken = int(clock.time())  # <- body-impure",
        "    self.taken = when.datetime.now(UTC).second + date.today().year  # <- body-impure body-impure",
        "    self.taken = later(1)  # <- body-impure",
        "    self.taken = drawn()  # <- body-impure",
        "    self.taken = self.shaken()  # <- body-impure",
        "    self.taken = max(random.choice([1, 2]) for _ in range(3))  # <- body-impure",
        "    self.taken = uuid4().int  # <- body-impure",
        "    with open('numbers') as file:  # <- body-impure",
        "        self.taken = int(file.read())",
        "    import socket  # <- body-impure",
        "end = transition(open, to=closed, by=dean, "
        "when=opaque(lambda held: held.taken > clock.monotonic()))  # <- guard-opaque body-impure",
    ),
    "an internal step that nobody calls for": course(
        "lost = transition(open, to=open, by=internal)  # <- transition-uncalled",
        "found = transition(open, to=open, by=internal)",
        "named = transition(open, to=open, by=internal)",
        "@transition(open, to=open, by=dean)",
        "def call_one(self) -> None:",
        "    self.found()",
        "    steps = {'named'}",
    ),
    "an internal step that another entity calls for": SOUND
    + """
    @transition(open, to=open, by=internal)
    def take(self) -> None:
        self.taken += 1

def taking(course):
    course.take()

class Seat(Entity):
    course: Course = ref()
    visible = read(by=dean)
    free, sold = State(initial=True), State(final=True)
    add = create(free, by=dean, sets=[course])

    @transition(free, to=sold, by=dean, uses=course)
    def sell(self) -> None:
        taking(self.course)
""",
    "internal steps behind names that are made when it runs": course(
        "found = transition(open, to=open, by=internal)",
        "@transition(open, to=open, by=dean)",
        "def call_one(self) -> None:",
        "    getattr(self, 'fo' + 'und')()",
    ),
    "creations that are called for": SOUND
    + """
class Seat(Entity):
    course: Course = ref()
    visible = read(by=dean)
    free, sold = State(initial=True), State(final=True)
    add = create(free, by=dean, sets=[course])

    @transition(free, to=sold, by=dean, uses=course)
    def sell(self) -> None:
        self.add(course=self.course)  # <- creation-called
        self.course.announce(seats=1)  # <- creation-called
""",
    "states by their names, or none": course(
        "a = transition(open, to=closed, by=dean, when=in_state('open'))  # <- state-undeclared",
        "b = transition(open, to=closed, by=dean, when=in_state())  # <- state-undeclared",
        "c = transition('open', to=closed, by=dean)  # <- state-undeclared",
        "d = transition(open, to=[closed], by=dean)  # <- state-undeclared",
    ),
    "more fields than a row has room for": course(
        *(f"f{number}: str | None = field()" for number in range(297))
    ).replace("class Course(Entity):", "class Course(Entity):  # <- fields-too-many"),
    "as many fields as there may be": course(*(f"f{number}: str | None = field()" for number in range(296))),
}
