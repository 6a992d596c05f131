"""What somebody who comes from other libraries writes first, and what can never happen."""

from __future__ import annotations

from tests.unit.declare.declarations import SOUND, course

NEWCOMER: dict[str, str] = {
    "plain values where fields are meant": course(
        "LIMIT: ClassVar[int] = 3",
        "ROOM: Final = 'aula'",
        "plain = 3",
    )
    + "\n    note: str = ''  # <- field-without-word\n    count: int = 3  # <- field-without-word\n",
    "a stray comma": course(
        "note: str = field(default=''),  # <- word-lost",
        "half = State(),  # <- word-lost",
        "end = transition(open, to=closed, by=dean),  # <- word-lost",
    ),
    "a state whose name was used again": course(
        "end = transition(half, to=closed, by=dean)  # <- state-undeclared",
        "half = State(final=True)",
        states="open = State(initial=True); closed = State(final=True); half = State()",
    ),
    "nothing of its own beside what it inherits": SOUND
    + """
class Seminar(Course):  # <- entity-inherits
    pass
""",
    "a name of a class that is no address either": """
class Größe(Entity):  # <- name-invalid
    visible = read(by=dean)
    open = State(initial=True, final=True)
    start = create(open, by=dean)
""",
    "types that are nowhere": """
@effect()
async def sell(course: Nowhere, call: Call) -> None: ...
"""
    + course(
        "selling = State(invoke=sell)",
        "into = transition(open, to=selling, by=dean)",
        "sold = transition(selling, to=closed, on=sell.done)",
        "unsold = transition(selling, to=closed, on=sell.failed)",
        "@transition(open, to=open, by=dean)  # <- type-unreadable",
        "def swap(self, size: Nowhere) -> None: ...",
    ),
    "enums without a value to store": """
class Nothing(Enum): ...

class Blank(StrEnum):
    BLANK = ""
"""
    + course(
        "a: Nothing | None = field()  # <- type-unreadable", "b: Blank | None = field()  # <- type-unreadable"
    ),
    "currencies": course(
        "a: Money | None = field(currency='ERU')  # <- type-unreadable",
        "b: Money | None = field(currency='eur')  # <- type-unreadable",
        "c: Money | None = field(currency='PTS', scale=0)",
        "d: Money | None = field(currency='CLF')",
    ),
    "a member that is no name": """
@dataclass(frozen=True)
class Size:
    länge: int
"""
    + course("a: Size | None = field()  # <- type-unreadable"),
    "a creation that nobody can begin": """
class Room(Entity):
    visible = read(by=dean)
    free = State(initial=True)
    gone = State(final=True)
    add = create(free, by=internal)  # <- no-start
    drop = transition(free, to=gone, by=dean)
""",
    "a first record that needs one before it": """
class Node(Entity):
    parent: Node = ref()  # <- no-start
    visible = read(by=dean)
    free = State(initial=True, final=True)
    add = create(free, by=dean, sets=[parent])
""",
    "a circle of records that need each other, told once": """
class Egg(Entity):
    hen: Hen = ref()  # <- no-start
    visible = read(by=dean)
    whole = State(initial=True, final=True)
    lay = create(whole, by=dean, sets=[hen])

class Hen(Entity):
    egg: Egg = ref()
    friend: Hen | None = ref()
    visible = read(by=dean)
    alive = State(initial=True, final=True)
    hatch = create(alive, by=dean, sets=[egg])

class Coop(Entity):
    hen: Hen = ref()
    visible = read(by=dean)
    there = State(initial=True, final=True)
    build = create(there, by=dean, sets=[hen])
""",
}
