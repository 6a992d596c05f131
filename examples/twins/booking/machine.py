"""What may happen to rooms, stays, tours and parties, and one command in one transaction."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, select

from .tables import Booking, Entry, Party, Record, Room, Tour, source

PLACED = ("held", "coming", "came")
HOLD, DAY = timedelta(minutes=30), timedelta(days=1)
KINDS: dict[str, type[Any]] = {"rooms": Room, "bookings": Booking, "tours": Tour, "parties": Party}


@dataclass(frozen=True)
class Actor:
    subject: str
    roles: frozenset[str] = frozenset()


ENGINE = Actor("engine")
Given = dict[str, Any]
Begins = list[list[Any]]


class Refused(Exception):
    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


def demand(held: bool, code: str, status: int = 409) -> None:
    if not held:
        raise Refused(status, code)


@dataclass(frozen=True)
class Way:
    """How a command leads from some states on: who may, what it does, and to which state."""

    sources: tuple[str, ...]
    to: str
    may: Callable[[Any, Actor], bool]
    act: Callable[[Any, Given, Begins], None] = lambda record, given, begins: None


def by_engine(record: Any, actor: Actor) -> bool:
    return actor == ENGINE


def by_desk(record: Any, actor: Actor) -> bool:
    return "desk" in actor.roles


def by_owner(record: Any, actor: Actor) -> bool:
    return actor.subject == record.owner


def by_either(record: Any, actor: Actor) -> bool:
    return by_owner(record, actor) or by_desk(record, actor)


def by_anybody(record: Any, actor: Actor) -> bool:
    return actor != ENGINE


def may_see(record: Any, actor: Actor) -> bool:
    return isinstance(record, Room | Tour) or actor == ENGINE or by_either(record, actor)


def hold(stay: Booking, given: Given, begins: Begins) -> None:
    """The room's row is locked, so that two parties at once don't both find it free."""
    session = source.sql_session()
    room = session.get(Room, stay.room, with_for_update=True)
    if room is None:
        raise Refused(422, "reference-not-found")
    demand(room.state == "let" and stay.people <= room.beds, "guard-failed")
    demand(stay.arrives < stay.leaves, "invariant-violated")
    taken = select(Booking.id).where(
        Booking.room == stay.room, Booking.state.in_(("held", "confirmed", "staying")),
        Booking.arrives < stay.leaves, Booking.leaves > stay.arrives,
    )  # fmt: skip
    demand(session.scalar(taken) is None, "invariant-violated")


def in_time(stay: Booking, given: Given, begins: Begins) -> None:
    demand(datetime.now(UTC) < stay.leaves, "guard-failed")


def ask(party: Party, given: Given, begins: Begins) -> None:
    """Stand in line: first come, first served."""
    tour = locked(party)
    tour.asked, tour.version = tour.asked + party.people, tour.version + 1
    party.turn = tour.asked
    note(tour, "line_up", ENGINE, {"people": party.people})


def locked(party: Party) -> Tour:
    """The row of its tour, by which all that is done in its line takes turns."""
    tour = source.sql_session().get(Tour, party.tour, with_for_update=True)
    if tour is None:
        raise Refused(422, "reference-not-found")
    return tour


def move_up(tour: Tour, begins: Begins) -> None:
    """Who stands first has places held, as long as there are enough."""
    if tour.state != "open":
        return
    session, of_tour = source.sql_session(), Party.tour == tour.id
    taken = select(func.coalesce(func.sum(Party.people), 0)).where(of_tour, Party.state.in_(PLACED))
    waiting = select(Party).where(of_tour, Party.state == "waiting").order_by(Party.turn)
    for party in session.scalars(waiting.with_for_update()).all():
        if (session.scalar(taken) or 0) + party.people > tour.places:
            break
        step(party, "move_up", ENGINE, {}, "held", begins)
        session.flush()


WAYS = {
    "rooms": {
        "add": Way(("",), "let", by_desk),
        "withdraw": Way(("let",), "withdrawn", by_desk),
    },
    "bookings": {
        "hold": Way(("",), "held", by_anybody, hold),
        "confirm": Way(("held",), "confirmed", by_owner),
        "lapse": Way(("held",), "lapsed", by_engine),
        "cancel": Way(("held", "confirmed"), "cancelled", by_either),
        "check_in": Way(("confirmed",), "staying", by_desk, in_time),
        "miss": Way(("confirmed",), "missed", by_engine),
        "note_absence": Way(("confirmed",), "missed", by_desk),
        "check_out": Way(("staying",), "departed", by_desk),
    },
    "tours": {
        "offer": Way(("",), "open", by_desk),
        "end": Way(("open",), "over", by_engine),
    },
    "parties": {
        "ask": Way(("",), "waiting", by_anybody, ask),
        "confirm": Way(("held",), "coming", by_owner),
        "check": Way(("coming",), "came", by_desk),
        "leave_line": Way(("waiting",), "gone", by_either),
        "cancel": Way(("held", "coming"), "gone", by_either),
        "lapse": Way(("held",), "gone", by_engine),
    },
}
CREATING = {kind: next(iter(ways)) for kind, ways in WAYS.items()}


def time_of(record: Any) -> tuple[str, datetime] | None:
    """What comes by itself in the state that a record has entered."""
    match record.__tablename__, record.state:
        case (("booking" | "party"), "held"):
            return "lapse", datetime.now(UTC) + HOLD
        case "booking", "confirmed":
            return "miss", record.arrives + DAY
        case "tour", "open":
            return "end", record.starts + DAY
        case _:
            return None


def step(record: Any, word: str, actor: Actor, given: Given, target: str, begins: Begins) -> None:
    """Move a record and write it down; `begins`: what is to be waited for once this is committed."""
    record.state, record.version = target, record.version + 1
    record.since = record.version
    if time := time_of(record):
        left = max(0.0, (time[1] - datetime.now(UTC)).total_seconds())
        kind = next(name for name, table in KINDS.items() if isinstance(record, table))
        begins.append([kind, record.id, record.since, time[0], left])
    note(record, word, actor, given)


def note(record: Record, word: str, actor: Actor, given: Given) -> None:
    source.sql_session().add(Entry(
        record=record.id, word=word, actor=actor.subject, given=given, version=record.version,
        state=record.state,
    ))  # fmt: skip


def move(
    kind: str, record_id: str, word: str, actor: Actor, given: Given, since: int | None = None
) -> dict[str, Any]:
    """Give a command; its answer, and what is to be begun. A refusal is written down and is an answer too."""
    session, way, begins = source.sql_session(), WAYS[kind][word], Begins()
    try:
        with session.begin_nested():
            record = _made(kind, record_id, actor, given) if "" in way.sources else _locked(kind, record_id)
            demand(record is not None and may_see(record, actor), "not-found", 404)
            demand(since in (None, record.since), "stale")
            demand(way.may(record, actor), "forbidden", 403)
            demand(record.state in way.sources, "state-conflict")
            way.act(record, given, begins)
            session.add(record)
            session.flush()
            step(record, word, actor, given, way.to, begins)
            if isinstance(record, Party):
                session.flush()
                move_up(locked(record), begins)
            session.flush()
    except Refused as refused:
        session.add(Entry(
            record=record_id, word=word, actor=actor.subject, given=given, refused=refused.code
        ))  # fmt: skip
        return {"status": refused.status, "body": {"code": refused.code}, "begins": []}
    return {"status": 201 if "" in way.sources else 200, "body": shown(record), "begins": begins}


def _locked(kind: str, record_id: str) -> Any:
    """A record; a party behind its tour, in the order in which the line moves up."""
    session = source.sql_session()
    if kind == "parties" and (party := session.get(Party, record_id)):
        locked(party)
    return session.get(KINDS[kind], record_id, with_for_update=True, populate_existing=True)


def _made(kind: str, record_id: str, actor: Actor, given: Given) -> Any:
    times = {
        name: datetime.fromisoformat(given[name]) for name in ("arrives", "leaves", "starts") if name in given
    }
    owner = {"owner": actor.subject} if kind in ("bookings", "parties") else {}
    counts = {"asked": 0} if kind == "tours" else {}
    return KINDS[kind](**given | times | owner | counts, id=record_id, state="", version=0, since=0)


def shown(record: Any) -> dict[str, Any]:
    found = {column.key: getattr(record, column.key) for column in record.__table__.columns}
    return {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in found.items()
    }
