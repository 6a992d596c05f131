"""What can be wrong with what is private, each on the line that is marked with its code."""

from tests.unit.declare.declarations import course

TOLD = """
@dataclass(frozen=True)
class Paid:
    course: UUID
    iban: str

psp = sender("psp", signature=standard_webhooks())
came, heard, rung, seen = (psp.event(name, Paid) for name in ("came", "heard", "rung", "seen"))

@effect()
def ask(course: Course, call: Call) -> Paid:
    \"""Ask whose it is.\"""
    return Paid(course.id, "X")

@effect()
def tell(course: Course, call: Call) -> None:
    return None
"""

PRIVATE: dict[str, str] = {
    "private fields": course(
        "iban: str | None = private(of=owner, searchable=True)",
        "born: date | None = private(of=actor, keep=timedelta(days=3_650))",
        "tags: list[str] | None = private(of=owner)",
        "whose: str | None = private(of=seats)  # <- private-of",
        'nobody: str | None = private(of="owner")  # <- private-of',
        "maybe: Subject | None = field()",
        "gone: str | None = private(of=maybe)  # <- private-of",
        "other: Course | None = private(of=owner)  # <- private-unfit reference-word",
        "zero: str | None = private(of=owner, keep=timedelta(0))  # <- private-keep",
        "ever: str | None = private(of=owner, keep=3_650)  # <- private-keep",
        "most: int | None = private(of=owner, max_length=3)  # <- type-unreadable",
        "find = create(open, by=dean, sets=[seats])  # <- name-reserved",
        "wide: str | None = private(of=owner, max_length=600, searchable=True)",
    ),
    "what is asked of private values": course(
        "iban: str | None = private(of=owner, searchable=True)",
        "born: date | None = private(of=owner)",
        "due: int | None = private(of=owner)",
        "there = transition(open, to=open, by=dean, when=missing(iban))",
        'here = transition(open, to=open, by=dean, when=iban == "X")  # <- private-compared',
        "them = transition(open, to=open, by=actor == iban)  # <- private-compared",
        'one = transition(open, to=open, by=dean, when=one_of(iban, "X"))  # <- private-compared',
        "more = transition(open, to=open, by=dean, when=due + 1 > 2)  # <- arithmetic-mixed",
        'put = transition(open, to=open, by=dean, sets={iban: "X"})  # <- comparison-mixed',
        "told = transition(open, to=open, by=dean, sets={seats: due})  # <- comparison-mixed",
        'small = invariant(due < 3, "It is small.")  # <- private-compared',
        "same = unique(iban)",
        "once = unique(born)  # <- private-unique",
        "free = exclude(seats, overlapping=(born, born))  # <- private-compared exclusion-span",
        "news = publish(announce, data=[iban], by=clerk)  # <- private-compared",
    ),
    "what is revealed": course(
        "iban: str | None = private(of=owner)",
        "see = reveal(iban, by=dean)",
        "seen = reveal(iban, by=dean, among=closed)",
        "none = reveal(by=dean)  # <- reveal-unfit",
        "plain = reveal(seats, by=dean)  # <- reveal-unfit",
        "elsewhere = State()",
        "lost = reveal(iban, by=dean, among=State())  # <- state-undeclared",
        "idle = State(reveals=[iban])  # <- reveal-unfit state-unreachable",
        "forth = transition(open, to=elsewhere, by=dean)",
        "back = transition(elsewhere, to=open, by=dean)",
    ),
    "what private fields are told": TOLD
    + course(
        "iban: str | None = private(of=owner, max_length=40)",
        "bic: str | None = private(of=owner)",
        "own: str | None = private(of=actor)",
        "due: int | None = private(of=owner)",
        "asking = State(invoke=ask)",
        "begin = transition(open, to=asking, by=dean)",
        "good = transition(asking, to=open, on=ask.done, sets={iban: ask.result.iban})",
        "bad = transition(asking, to=open, on=ask.failed)",
        "put = transition(open, to=open, on=came, match=came.data.course, sets={bic: came.data.iban})",
        "there = State()",
        "go = transition(open, to=there, by=dean)",
        "again = transition(  # <- private-told\n"
        "        there, to=open, on=came, match=came.data.course, sets={iban: came.data.iban})",
        "mine = transition(open, to=open, on=heard, match=heard.data.course,  # <- private-told\n"
        "        sets={own: heard.data.iban})",
        "mixed = transition(open, to=open, on=rung, match=rung.data.course,  # <- comparison-mixed\n"
        "        sets={due: rung.data.iban})",
        "asked = transition(open, to=open, on=seen, match=seen.data.course,  # <- private-compared\n"
        '        when=seen.data.iban == "X", sets={iban: seen.data.iban})',
        "telling = State(invoke=tell, reveals=[iban])  # <- reveal-purpose",
        "further = transition(open, to=telling, by=dean)",
        "told = transition(telling, to=open, on=tell.done)",
        "not_told = transition(telling, to=open, on=tell.failed)",
    ),
    "what is erased": course(
        "maybe: Subject | None = field()",
        "forget = transition(open, to=open, by=dean, erases=owner)",
        "some = transition(open, to=open, by=dean, erases=maybe)  # <- erases-unfit",
        "number = transition(open, to=open, by=dean, erases=seats)  # <- erases-unfit",
        "state = transition(open, to=open, by=dean, erases=closed)  # <- field-unknown name-reserved",
    ),
}
