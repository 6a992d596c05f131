"""Words that are given a value of another type, and functions that aren't what a transition needs."""

from __future__ import annotations

from tests.unit.declare.declarations import SOUND, course

SELL = "effect-bounds effect-bounds effect-bounds effect-bounds field-unknown value-unfit"

UNFIT: dict[str, str] = {
    "yes or no in other words": course(
        "half = State(final='no')  # <- value-unfit state-trap",
        "go = transition(open, to=half, by=dean, precondition=1)  # <- value-unfit",
    ),
    "texts that aren't": course(
        "one = unique(seats, message=3)  # <- value-unfit",
        "few = invariant(seats < 9, dean)  # <- value-unfit",
        "sum = always(seats < 9, 3)  # <- value-unfit",
        "go = transition(open, to=closed, by=dean, command=3)  # <- value-unfit",
        "who = transition(open, to=closed, by=role(3))  # <- role-invalid",
    ),
    "an entity's plural that is no text": SOUND.replace(
        "class Course(Entity):", "class Course(Entity, plural=3):  # <- value-unfit"
    ),
    "what no effect can be": f"""
@effect(timeout='x', retry=5, per_second='x', lookup=3, ordered_by='seats', destination=3)  # <- {SELL}
async def sell(course: object, call: Call) -> None: ...
"""
    + course(
        "selling = State(invoke=sell)",
        "into = transition(open, to=selling, by=dean)",
        "sold = transition(selling, to=closed, on=sell.done)",
        "unsold = transition(selling, to=closed, on=sell.failed)",
    ),
    "people who aren't": course(
        "a = transition(open, to=closed, by=dean, task=dean)  # <- task-role",
        "b = transition(open, to=closed, by=dean, approvals=[])  # <- approvals-number",
        "c = transition(open, to=closed, after=days(1), approvals=2)  # <- task-without-command",
        "d = transition(open, to=closed, by=dean, voids=[closed, 'x'])  # <- transition-unknown",
    ),
    "bounds that aren't": course(
        "a: Decimal | None = field(digits='x')  # <- type-unreadable",
        "b: Money | None = field(currency=3)  # <- type-unreadable",
        "c = exclude(owner, overlapping=3)  # <- exclusion-span field-unknown",
        "d: list['Course'] = field(default=())  # <- type-unreadable",
    ),
    "quotes where all annotations are deferred": course(
        "earlier: 'Course | None' = ref()",
        "names: 'list[str]' = field(default=())",
        "@transition(open, to=open, by=dean)",
        "def go(self, note: 'Annotated[str, limits(max_length=9)]') -> None: ...",
    ),
    "a guard that is no function": course(
        "go = transition(open, to=closed, by=dean, when=opaque(3))  # <- condition-unreadable"
    ),
    "a decorator above the transition": """
from functools import wraps

def logged(function):
    @wraps(function)
    def inner(*args, **rest):
        return function(*args, **rest)
    return inner
"""
    + course(
        "half = State()",
        "@logged",
        "@transition(open, to=half, by=dean)  # <- word-lost",
        "def go(self) -> None: ...",
        "@staticmethod",
        "@transition(half, to=closed, by=dean)  # <- word-lost",
        "def end(self) -> None: ...",
    ),
    "a decorator below the transition": """
from functools import wraps

def logged(function):
    @wraps(function)
    def inner(*args, **rest):
        return function(*args, **rest)
    return inner
"""
    + course(
        "@transition(open, to=open, by=dean)",
        "@logged",
        "def go(self, note: str) -> None: ...",
        "@transition(open, to=open, by=dean)  # <- body-not-plain",
        "@property",
        "def on(self) -> None: ...",
        "@transition(open, to=open, by=dean)  # <- body-not-plain",
        "@transition(open, to=closed, by=dean)  # <- word-lost",
        "def both(self) -> None: ...",
    ),
    "methods in place of a handle's own": course(
        "def id(self) -> int:  # <- name-reserved",
        "    return 3",
        "def __init__(self) -> None:  # <- name-reserved",
        "    self.seats = 3",
        "def twice(self) -> int:",
        "    return self.seats * 2",
    ),
    "a body that asks another record for what it hasn't": SOUND
    + """
class Place(Entity):
    course: Course = ref()
    visible = read(by=dean)
    free, taken = State(initial=True), State(final=True)
    add = create(free, by=dean, sets=[course])

    @transition(free, to=taken, by=dean, uses=course)
    def take(self) -> None:
        if self.course.seets > 3:  # <- field-unknown
            self.course.shut()  # <- field-unknown
        self.course.close_it()
""",
    "a final state that is left and never entered": course(
        "lost = State(final=True)  # <- final-left state-unreachable",
        "again = transition(lost, to=open, by=dean)",
    ),
}
