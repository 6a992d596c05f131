"""Every sort of mistake is reported once, on its line, with its code."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

import avow
from avow.errors import DeclarationError
from tests.unit.declare.body_cases import BODIES
from tests.unit.declare.declarations import DEFERRED, PRELUDE, SOUND, course, mistakes_of
from tests.unit.declare.hearing_cases import HEARING
from tests.unit.declare.newcomer_cases import NEWCOMER
from tests.unit.declare.people_cases import PEOPLE
from tests.unit.declare.private_cases import PRIVATE
from tests.unit.declare.publishing_cases import PUBLISHING
from tests.unit.declare.saga_cases import SAGAS
from tests.unit.declare.unfit_cases import UNFIT
from tests.unit.declare.waiting_cases import WAITING

CASES: dict[str, str] = {
    "sound": SOUND,
    "state of another entity": SOUND
    + """
class Room(Entity):
    visible = read(by=dean)
    free = State(initial=True)
    gone = State(final=True)
    add = create(free, by=dean)
    drop = transition(Course.open, to=gone, by=dean)  # <- state-undeclared
""",
    "no state to leave": course("vanish = transition([], to=closed, by=dean)  # <- state-undeclared"),
    "no start": """
class Room(Entity):  # <- no-start
    visible = read(by=dean)
    free = State(initial=True)
    gone = State(final=True)
    drop = transition(free, to=gone, by=dean)
""",
    "no states": """
class Room(Entity):  # <- no-states
    visible = read(by=dean)
""",
    "start that is not initial": course(
        "begin = create(closed, by=dean, sets=[seats])  # <- start-not-initial"
    ),
    "unreachable, told at its root alone": course(
        "lost = State()  # <- state-unreachable",
        "worse = State()",
        "on = transition(lost, to=worse, by=dean)",
        "back = transition(worse, to=closed, by=dean)",
    ),
    "trap, told once": course(
        "half = State()",
        "stuck = State()  # <- state-trap",
        "go = transition(open, to=half, by=dean)",
        "on = transition(half, to=stuck, by=dean)",
    ),
    "circle without end, told once": course(
        "ping = State()  # <- state-without-end",
        "pong = State()",
        "go = transition(open, to=ping, by=dean)",
        "there = transition(ping, to=pong, by=dean)",
        "back = transition(pong, to=ping, by=dean)",
    ),
    "final state that is left": course(
        "again = transition(closed, to=open, by=dean)",
        states="open = State(initial=True); closed = State(final=True)  # <- final-left",
    ),
    "two that could both fire": course(
        "one = transition(open, to=closed, by=dean, when=taken < 5, command='end')",
        "two = transition(open, to=open, by=dean, when=taken > 3, command='end')  # <- transitions-overlap",
    ),
    "two that never both fire": course(
        "one = transition(open, to=closed, by=dean, when=taken < 5, command='end')",
        "two = transition(open, to=open, by=dean, when=taken >= 5, command='end')",
    ),
    "command with other arguments": course(
        "one = transition(open, to=closed, by=dean, when=taken < 5, command='end')",
        "@transition(open, to=open, by=dean, when=taken >= 5, command='end')  # <- command-mixed",
        "def two(self, count: int) -> None:",
        "    self.taken = count",
    ),
    "command that creates and moves": course(
        "more = transition(open, to=closed, by=dean, command='announce')  # <- command-mixed"
    ),
    "nobody may": course("more = transition(open, to=closed)  # <- policy-missing"),
    "nobody may read": """
class Room(Entity):  # <- policy-missing
    free = State(initial=True, final=True)
    add = create(free, by=dean)
""",
    "read twice": course("also = read(by=dean)  # <- declared-twice"),
    "invariant over time": course("soon = invariant(now < now, 'x')  # <- invariant-not-compilable"),
    "invariant over the actor": course(
        "mine = invariant(owner == actor, 'x')  # <- invariant-not-compilable"
    ),
    "invariant in free Python": course(
        "odd = invariant(opaque(lambda c: True), 'x')  # <- invariant-not-compilable"
    ),
    "invariant over an argument": course("fits = invariant(given.x < 3, 'x')  # <- invariant-not-compilable"),
    "invariant over another record": SOUND
    + """
class Seat(Entity):
    course: Course = ref()
    number: int = field()
    visible = read(by=dean)
    taken = State(initial=True, final=True)
    within = invariant(number <= course.seats, "x")  # <- invariant-not-compilable
    alive = invariant(in_state(Course.open, of=course), "x")  # <- invariant-not-compilable
    take = create(taken, by=dean, sets=[course, number])
    full = quota(number, among=[taken], limit=3)  # <- invariant-not-compilable
    many = quota(course, among=[taken], limit=number)  # <- invariant-not-compilable
    some = quota(course, among=[], limit=3)  # <- invariant-not-compilable
    heavy = quota(course, among=[taken], limit=3, weight=number)  # <- invariant-not-compilable
    fine = quota(course, among=[taken], limit=course.seats + 1)
""",
    "always over the actor": course("mine = always(owner == actor, 'x')  # <- promise-unreadable"),
    "sometimes over an argument": course("fits = sometimes(given.x < 3, 'x')  # <- promise-unreadable"),
    "always over what isn't there": course("fits = always(owner < 3, 'x')  # <- comparison-mixed"),
    "always over time, and in free Python": course("x = always(opaque(lambda c: True) & (now == now))"),
    "opaque guard is a warning": course(
        "odd = transition(open, to=closed, by=dean, when=opaque(lambda c: True))  # <- guard-opaque"
    ),
    "opaque policy": course(
        "odd = transition(open, to=closed, by=opaque(lambda c: True))  # <- policy-opaque"
    ),
    "policy over an argument": course(
        "@transition(open, to=closed, by=given.who == actor)  # <- policy-argument argument-unknown",
        "def hand(self, who: Subject) -> None:",
        "    self.owner = who",
    ),
    "policy over a field that is not there": SOUND
    + """
class Seat(Entity):
    course: Course = ref()
    visible = read(by=actor == course.teacher)
    taken = State(initial=True, final=True)
    take = create(taken, by=actor == course.boss, sets=[course])  # <- field-unknown
""".replace("class Seat(Entity):", "class Seat(Entity):  # <- field-unknown"),
    "policy over another entity's field": SOUND
    + """
class Seat(Entity):
    owner: Subject = field()
    visible = read(by=dean)
    taken = State(initial=True, final=True)
    take = create(taken, by=actor == Course.owner, sets=[owner])  # <- field-unknown
""",
    "transition of another entity": SOUND
    + """
class Seat(Entity):
    visible = read(by=dean)
    taken = State(initial=True, final=True)
    take = create(taken, by=dean)
    again = create(taken, by=~performed(Course.close_it))  # <- transition-unknown
""",
    "argument that is not there": course(
        "more = transition(open, to=closed, by=dean, when=given.count > 3)  # <- argument-unknown"
    ),
    "condition that is always false": course(
        "more = transition(open, to=closed, by=owner is None)  # <- condition-constant",
        "other = transition(open, to=closed, by=dean & (owner is None))  # <- condition-constant",
        "last = invariant(True, 'x')  # <- condition-constant",
    ),
    "no condition": course(
        "more = transition(open, to=closed, by='dean')  # <- condition-unreadable",
        "other = transition(open, to=closed, by=dean, when=taken)  # <- condition-unreadable",
        "last = transition(open, to=closed, by=dean & (taken + 1))  # <- condition-unreadable",
    ),
    "mixed comparison": course("odd = invariant(taken == owner, 'x')  # <- comparison-mixed"),
    "comparison without order": course("odd = invariant(paid < paid, 'x')  # <- comparison-unordered"),
    "mixed arithmetic": course("odd = invariant(taken + owner < 3, 'x')  # <- arithmetic-mixed"),
    "two faults in one condition": course(
        "odd = invariant((taken == owner) & (paid < paid), 'x')  # <- comparison-mixed comparison-unordered"
    ),
    "constants that can't be": course(
        "a = invariant(taken < 1.5, 'x')  # <- constant-unreadable",
        "b = invariant(taken != None, 'x')  # <- constant-unreadable",
        "c = invariant(taken < 2**60, 'x')  # <- constant-unreadable",
        "d = invariant(taken < Decimal('NaN'), 'x')  # <- constant-unreadable",
        "e = transition(open, to=closed, by=dean, when=now < datetime.now(UTC))  # <- constant-instant",
    ),
    "arithmetic that isn't offered": course(
        "odd = invariant(taken / 2 < 3, 'x')  # <- arithmetic-unsupported"
    ),
    "truth values": course(
        "a = invariant(taken > 0 and taken < 9, 'x')  # <- truth-value",
        "b = invariant(0 <= taken <= seats, 'x')  # <- truth-value",
        "c = transition(open, to=closed, by=not dean)  # <- truth-value condition-constant",
        "d = transition(open, to=closed, by=dean or clerk)  # <- truth-value",
        "e = invariant(taken in (1, 2), 'x')  # <- truth-value condition-constant",
        "if paid:  # <- truth-value",
        "    f = transition(open, to=closed, by=dean)",
        "g = invariant(len(owner) < 3, 'x')  # <- truth-value condition-constant",
    ),
    "text of an expression": course(
        "odd = invariant(taken < 3, f'at most {seats}')  # <- text-of-expression"
    ),
    "role without a name": course(
        "odd = transition(open, to=closed, by=role('the dean'))  # <- role-invalid"
    ),
    "types": course(
        "a = field()  # <- type-missing",
        "b: float = field()  # <- type-unreadable",
        "c: int | str = field()  # <- type-unreadable",
        "d: Money = field()  # <- type-unreadable",
        "e: int = field(max_length=3, default=1)  # <- type-unreadable",
        "f: int = field(ge=3, le=2, default=2)  # <- type-unreadable",
        "g: str = field(pattern='(', default='')  # <- type-unreadable",
        "h: str = field(max_length=0, default='')  # <- type-unreadable",
        "i: Nowhere = ref()  # <- type-unreadable",
        "j: list[list[str]] = field(default=[])  # <- type-unreadable",
        "k: Decimal = field(ge=0.5, default=1)  # <- type-unreadable",
        "l: Annotated[int, limits(ge=3)] = field(le=9, default=4)  # <- type-unreadable",
        "uses_them = invariant((a > 1) & (b < 3) & (d == c), 'x')",
    ),
    "value objects": """
@dataclass
class Loose:
    x: int

@dataclass(frozen=True)
class Nested:
    x: Nested | None

class Colour(Enum):
    red = 1
"""
    + course(
        "a: Loose | None = field()  # <- type-unreadable",
        "b: Nested | None = field()  # <- type-unreadable",
        "c: Colour | None = field()  # <- type-unreadable",
    ),
    "wrong word": course(
        "a: int = ref(default=1)  # <- reference-word",
        "b: Course | None = field()  # <- reference-word",
    ),
    "defaults": course(
        "a: int = field(default='x')  # <- default-unfit",
        "b: int = field(default=None)  # <- default-unfit",
        "c: int = field(default=actor)  # <- default-unfit",
        "d: int = field(default=now)  # <- default-unfit",
        "e: int = field(default=taken + 1)  # <- default-unfit",
        "f: int = field(default=3, ge=4)  # <- default-unfit",
        "g: datetime = field(default=datetime.now(UTC))  # <- constant-instant",
    ),
    "field without a value": course("more: int = field()").replace(
        "announce = create(open, by=dean, sets=[seats])",
        "announce = create(open, by=dean, sets=[seats])  # <- field-unset",
    ),
    "field without a value after a body": course(
        "@create(open, by=dean)  # <- field-unset",
        "def begin(self, extra: int) -> None:",
        "    self.taken = extra",
        "@create(open, by=dean)",
        "def start(self, extra: int) -> None:",
        "    self.seats = extra",
    ),
    "bodies": SOUND
    + """
class Seat(Entity):
    course: Course = ref()
    number: int = field(default=0)
    visible = read(by=dean)
    taken = State(initial=True)
    gone = State(final=True)
    take = create(taken, by=dean, sets=[course])

    @transition(taken, to=gone, by=dean)
    def leave(self) -> None:
        self.numbr = 3  # <- field-unknown
        self.number = self.nmber  # <- field-unknown
        self.course.taken = 3  # <- foreign-assignment
        self.course.close_it()  # <- uses-missing

    @transition(taken, to=gone, by=dean)  # <- body-not-plain
    async def drift(self) -> None:
        self.number = 4

    @transition(
        taken,
        to=gone,
        by=dean, when=number < 3,
    )
    def fine(self, other: int = 3) -> None:
        self.number = other
""",
    "arguments": course(
        "@transition(open, to=open, by=dean)  # <- argument-unreadable",
        "def a(self, *many: int) -> None: ...",
        "@transition(open, to=open, by=dean)  # <- type-missing",
        "def b(self, count) -> None: ...",
        "@transition(open, to=open, by=dean)  # <- type-unreadable",
        "def c(self, count: float) -> None: ...",
        "@transition(open, to=open, by=dean)  # <- default-unfit",
        "def d(self, count: int = 'x') -> None: ...",
        "@transition(open, to=open, by=dean, sets=[taken])  # <- declared-twice",
        "def e(self, taken: int) -> None: ...",
        "@transition(open, to=open, by=dean)  # <- argument-unreadable",
        "def f() -> None: ...",
    ),
    "names": course(
        "Seats: int = field(default=1)  # <- name-invalid",
        "tenant: str = field(default='')  # <- name-reserved",
        "end = transition(open, to=closed, by=dean, command='The End')  # <- name-invalid",
    ),
    "names of classes": """
class cOurse(Entity, plural="The Courses"):  # <- name-invalid name-invalid
    visible = read(by=dean)
    open = State(initial=True, final=True)
    start = create(open, by=dean)
""",
    "field without word": course() + "\n    nothing: int  # <- field-without-word\n",
    "words that are lost": course(
        "invariant(taken <= seats, 'never held')  # <- word-lost",
        "twice = transition(open, to=closed, by=dean)  # <- word-lost",
        "twice = transition(open, to=closed, by=clerk)",
        "gone: int = field(default=1)  # <- word-lost",
        "gone = unique(seats)",
    ),
    "inherited words": SOUND
    + """
class Seminar(Course):  # <- entity-inherits
    visible = read(by=dean)
    open = State(initial=True, final=True)
    start = create(open, by=dean)
""",
    "twice the same plural": SOUND
    + """
class Lesson(Entity, plural="courses"):  # <- declared-twice
    visible = read(by=dean)
    open = State(initial=True, final=True)
    start = create(open, by=dean)
""",
    "references that lead nowhere": """
class Elsewhere: ...
"""
    + course(
        "a: Course | None = ref()",
        "b = transition(open, to=closed, by=dean, uses=seats)  # <- uses-not-reference",
        "c = transition(open, to=closed, by=dean, uses=3)  # <- field-unknown",
    ),
    "rules": course(
        "tags: list[str] = field(default=[])",
        "long: str = field(default='', max_length=900)",
        "a = unique()  # <- unique-empty",
        "b = unique(tags)  # <- unique-compound",
        "c = unique(long)  # <- unique-too-long",
        "d = exclude(seats, overlapping=(owner, owner))  # <- exclusion-span",
    ),
    "who may read a field": SOUND
    + """
class Seat(Entity):
    course: Course = ref()
    note: str = field(default="", read=actor == course.owner)  # <- field-read-remote
    visible = read(by=dean)
    taken = State(initial=True, final=True)
    take = create(taken, by=dean, sets=[course])
""",
    "multi-line calls": course(
        "odd = transition(  # <- policy-missing",
        "    open,",
        "    to=closed,",
        ")",
        "good = invariant(",
        "    taken < 3  # <- truth-value",
        "    and paid,",
        "    'x',",
        ")",
    ),
    "everything at once": course(
        "a = transition(open, to=closed)  # <- policy-missing",
        "b = invariant(taken == owner, 'x')  # <- comparison-mixed",
        "c = State()  # <- state-unreachable",
        "d: float = field()  # <- type-unreadable",
    ),
    **UNFIT,
    **WAITING,
    **PEOPLE,
    **HEARING,
    **PRIVATE,
    **PUBLISHING,
    **SAGAS,
    **NEWCOMER,
    **BODIES,
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.replace(" ", "-"))
def test_a_mistake_is_reported_once_on_its_line(case: str) -> None:
    found, expected = mistakes_of(CASES[case])
    shown = "\n".join(map(str, found))
    assert sorted((m.line, m.code) for m in found) == sorted(expected), shown


@pytest.mark.skipif(sys.version_info < (3, 14), reason="before Python 3.14 names had to be there already")
def test_mistakes_are_the_same_where_python_itself_defers_annotations() -> None:
    for case, source in CASES.items():
        found, expected = mistakes_of(source, PRELUDE.replace(DEFERRED, ""))
        assert sorted((m.line, m.code) for m in found) == sorted(expected), case


def test_every_mistake_says_how_to_mend_it() -> None:
    for source in CASES.values():
        for mistake in mistakes_of(source)[0]:
            assert mistake.detail, mistake
            assert mistake.mend.endswith((".", ";")), mistake


def test_the_name_of_the_application_is_checked_at_the_call_of_system() -> None:
    for name in ("", "Avow", "avow", "pg_x", "a b", "x" * 49):
        with pytest.raises(DeclarationError) as caught:
            avow.system(name)
        codes = {mistake.code for mistake in caught.value.mistakes}
        assert codes == {"name-invalid", "no-entities"}
        assert caught.value.mistakes[0].file == __file__


def test_an_entity_that_is_left_out_of_the_system_is_named() -> None:
    registrar = avow.role("registrar")

    class Left(avow.Entity):
        visible = avow.read(by=registrar)
        here = avow.State(initial=True, final=True)
        start = avow.create(here, by=registrar)

    class Right(avow.Entity):
        left: Left = avow.ref()
        visible = avow.read(by=registrar)
        here = avow.State(initial=True, final=True)
        start = avow.create(here, by=registrar, sets=[left])

    with pytest.raises(DeclarationError) as caught:
        avow.system("app", Right)
    (mistake,) = caught.value.mistakes
    assert mistake.code == "reference-unknown"
    assert "Pass Left to system() too." in str(mistake)


def test_who_operates_is_settled_by_who_it_is_and_nobody_does_unless_it_is_said() -> None:
    operator, platform = avow.role("operator"), avow.role("platform")

    class Note(avow.Entity):
        visible = avow.read(by=operator)
        here = avow.State(initial=True, final=True)
        start = avow.create(here, by=operator)

    closed = avow.system("app", Note)
    assert (closed.operators, closed.pausers) == (None, None)
    opened = avow.system("app", Note, operators=operator, pausers=operator & platform)
    assert opened.roles == ("operator", "platform")
    assert opened.fingerprint != closed.fingerprint
    wrongs: list[Any] = [True, "operator", avow.actor == "ann"]
    for wrong in wrongs:
        with pytest.raises(DeclarationError) as caught:
            avow.system("app", Note, operators=wrong)
        assert [mistake.code for mistake in caught.value.mistakes] == ["operators-unreadable"]


def test_the_page_of_mistakes_lists_exactly_the_codes_that_are_used() -> None:
    folder = Path(avow.__file__).parent / "declare"
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.py")))
    used = set(re.findall(r"\"([a-z]+(?:-[a-z]+)+)\",\s", text))
    page = Path(__file__).parents[3] / "docs" / "reference" / "mistakes.md"
    documented = set(re.findall(r"^\| `([a-z-]+)`", page.read_text(encoding="utf-8"), re.MULTILINE))
    assert documented == used


def test_every_documented_mistake_has_a_case() -> None:
    page = Path(__file__).parents[3] / "docs" / "reference" / "mistakes.md"
    documented = set(re.findall(r"^\| `([a-z-]+)`", page.read_text(encoding="utf-8"), re.MULTILINE))
    cased = {code for source in CASES.values() for _, code in mistakes_of(source)[1]}
    assert documented - cased == {"no-entities", "operators-unreadable", "reference-unknown"}
