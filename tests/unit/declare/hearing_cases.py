"""What can be wrong with events from outside, each on the line that is marked with its code."""

from tests.unit.declare.declarations import course

_SENDER = """
@dataclass(frozen=True)
class Paid:
    name: str
    number: int
    key: UUID
    maybe: str | None = None
    at: datetime | None = None

psp = sender("psp", signature=standard_webhooks())
"""


def _on(name: str, match: str, codes: str = "", source: str = "open") -> str:
    """A transition on an event of its own, which finds its record so, and what is wrong with that."""
    event = f"psp.event('{name}', Paid)"
    return f"{name} = transition({source}, to={source}, on={event}, match={match})  # <- {codes}"


HEARING: dict[str, str] = {
    "senders and events": _SENDER
    + """
bad = sender("Bad Name", signature=standard_webhooks(), data_at="data")  # <- name-invalid sender-unreadable
twin = sender("psp", signature=standard_webhooks())  # <- declared-twice
odd = hmac_signature("x-signature")  # <- sender-unreadable
got = psp.event("paid for", Paid)  # <- event-unreadable
long = psp.event("long", Paid, parked_for=timedelta(days=365))  # <- event-unreadable
what = psp.event("what", Paid, early="later")  # <- event-unreadable
read_it = psp.event("read", int)  # <- type-unreadable
from_bad, from_twin = bad.event("a", Paid), twin.event("b", Paid)
"""
    + course(
        "a = transition(open, to=closed, on=got, match=got.data.key)",
        "b = transition(open, to=closed, on=long, match=long.data.key)",
        "c = transition(open, to=closed, on=what, match=what.data.key)",
        "d = transition(open, to=closed, on=read_it, match=read_it.data.key)",
        "e = transition(open, to=closed, on=from_bad, match=from_bad.data.key)",
        "f = transition(open, to=closed, on=from_twin, match=from_twin.data.key)",
    ),
    "which record it is": _SENDER
    + "got, told = psp.event('paid', Paid), psp.event('told', Paid)\n"
    + course(
        "name: str = field(default='', max_length=100)",
        "number: int = field(default=0)",
        "when: datetime | None = field()",
        "one = unique(number)",
        "other = unique(name, among=[open])",
        "moment = unique(when)",
        "a = transition(open, to=open, on=got)  # <- match-unreadable",
        "odd = transition(open, to=open, on=paid)  # <- trigger-unreadable",
        "b = transition(open, to=open, by=dean, match=got.data.key)  # <- match-unreadable",
        _on("c", "number < got.data.number", "match-unreadable"),
        _on("d", "name == got.data.name", "match-ambiguous"),
        _on("e", "number == got.data.name", "comparison-mixed"),
        _on("f", "got.data.name", "comparison-mixed"),
        _on("g", "name == got.data.nothing", "argument-unknown match-ambiguous"),
        _on("h", "when == got.data.at", "match-unreadable match-unreadable"),
        "i = transition(open, to=open, on=told, match=number == told.data.number)",
        "j = transition(closed, to=closed, on=told, match=told.data.key)  # <- match-ambiguous",
        "k = transition(open, to=open, on=told, by=dean, match=told.data.key)  # <- trigger-twice",
        states="open = State(initial=True); closed = State()",
    ).replace("close_it", "end = State(final=True); off = transition(closed, to=end, by=dean); close_it"),
    "what is kept for the engine": """
@effect(destination="events")  # <- name-reserved
async def tell(course: Course, call: Call) -> None: ...

class Event(Entity):  # <- name-reserved
    visible = read(by=dean)
    free = State(initial=True, final=True)
    add = create(free, by=dean)
"""
    + course(
        "telling = State(invoke=tell)",
        "more = transition(open, to=telling, by=dean)",
        "told = transition(telling, to=closed, on=tell.done)",
        "not_told = transition(telling, to=closed, on=tell.failed)",
    ),
}
