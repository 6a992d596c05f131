"""What may happen to courses and enrollments, and one command in one transaction."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select

from .tables import Course, Enrollment, Entry, Record, Subscription, Task, source

OFFER, FORGOTTEN, REMIND = timedelta(days=7), timedelta(days=28), timedelta(days=7)
DUE, TASK_REMIND = timedelta(days=5), timedelta(days=3)
KINDS: dict[str, type[Any]] = {"courses": Course, "enrollments": Enrollment}
PLACED = ("offered", "enrolled", "archived")
LIVE = ("draft", "submitted", "verified", "waiting", "offered", "enrolled")
TASKS = {"submitted": ("verify", "registrar"), "verified": ("approve", "dean")}
PUBLISHED = ("remind", "send_back", "reject", "move_up", "lapse", "miss")
READERS = {"essay": {"registrar", "dean"}, "transcript": {"registrar"}}


@dataclass(frozen=True)
class Actor:
    subject: str
    roles: frozenset[str] = frozenset()


ENGINE = Actor("engine")
Given = dict[str, Any]
Begins = list[tuple[str, list[Any]]]


class Refused(Exception):
    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


def demand(held: bool, code: str, status: int = 409) -> None:
    if not held:
        raise Refused(status, code)


Act = Callable[[Any, Actor, Given, Begins], None]


@dataclass(frozen=True)
class Way:
    """How a command leads from some states on: who may, what it does, and to which state."""

    sources: tuple[str, ...]
    to: str
    may: Callable[[Any, Actor], bool]
    act: Act = lambda record, actor, given, begins: None


def by_engine(record: Any, actor: Actor) -> bool:
    return actor == ENGINE


def by_anybody(record: Any, actor: Actor) -> bool:
    return actor != ENGINE


def by_applicant(record: Enrollment, actor: Actor) -> bool:
    return actor.subject == record.applicant


def by(*roles: str) -> Callable[[Any, Actor], bool]:
    return lambda record, actor: bool(actor.roles & {*roles})


def by_other(record: Enrollment, actor: Actor) -> bool:
    return bool(actor.roles & {"dean", "head"}) and actor.subject != record.verified_by


by_staff = by("registrar", "dean", "head")


def may_see(record: Any, actor: Actor) -> bool:
    return (
        isinstance(record, Course) or actor == ENGINE
        or by_applicant(record, actor) or by_staff(record, actor)
    )  # fmt: skip


def announce(course: Course, actor: Actor, given: Given, begins: Begins) -> None:
    demand(course.begins > datetime.now(UTC), "guard-failed")


def begin(course: Course, actor: Actor, given: Given, begins: Begins) -> None:
    """Who is still in line, or hasn't taken what was offered, has missed it."""
    late = select(Enrollment).where(
        Enrollment.course == course.id, Enrollment.state.in_(("waiting", "offered"))
    )
    for one in source.sql_session().scalars(late.with_for_update()):
        step(one, "miss", ENGINE, {}, "lapsed", begins)


def start(one: Enrollment, actor: Actor, given: Given, begins: Begins) -> None:
    course_of(one)
    other = select(Enrollment.id).where(
        Enrollment.course == one.course, Enrollment.applicant == one.applicant, Enrollment.state.in_(LIVE)
    )
    demand(source.sql_session().scalar(other) is None, "unique-violated")


def write(one: Enrollment, actor: Actor, given: Given, begins: Begins) -> None:
    one.essay, one.transcript = given.get("essay") or one.essay, given.get("transcript") or one.transcript


def submit(one: Enrollment, actor: Actor, given: Given, begins: Begins) -> None:
    demand(one.transcript is not None, "guard-failed")


def verify(one: Enrollment, actor: Actor, given: Given, begins: Begins) -> None:
    one.verified_by = actor.subject


def send_back(one: Enrollment, actor: Actor, given: Given, begins: Begins) -> None:
    demand(bool(given.get("remark")), "guard-failed")
    one.remark, one.verified_by = given["remark"], None


def reject(one: Enrollment, actor: Actor, given: Given, begins: Begins) -> None:
    one.remark = given.get("remark")


def approve(one: Enrollment, actor: Actor, given: Given, begins: Begins) -> None:
    """First approved, first served."""
    course = course_of(one)
    course.asked, course.version = course.asked + 1, course.version + 1
    one.turn = course.asked
    note(course, "line_up", ENGINE, {})


def give_back(one: Enrollment, actor: Actor, given: Given, begins: Begins) -> None:
    """Who stands behind moves up."""
    demand(course_of(one).state == "open", "guard-failed")


def archive(one: Enrollment, actor: Actor, given: Given, begins: Begins) -> None:
    demand(course_of(one).state == "begun", "guard-failed")


def course_of(one: Enrollment) -> Course:
    """The course, locked: all that is done in its line takes turns by this row."""
    course = source.sql_session().get(Course, one.course, with_for_update=True)
    if course is None:
        raise Refused(422, "reference-not-found")
    return course


def move_up(course: Course, begins: Begins) -> None:
    """Who stands first has a place offered, as long as there is one."""
    session, of_course = source.sql_session(), Enrollment.course == course.id
    taken = select(func.count()).where(of_course, Enrollment.state.in_(PLACED))
    free = course.seats - (session.scalar(taken) or 0) if course.state == "open" else 0
    waiting = select(Enrollment).where(of_course, Enrollment.state == "waiting").order_by(Enrollment.turn)
    for one in session.scalars(waiting.limit(max(free, 0)).with_for_update()).all():
        step(one, "move_up", ENGINE, {}, "offered", begins)


WAYS = {
    "courses": {
        "announce": Way(("",), "open", by("registrar"), announce),
        "begin": Way(("open",), "begun", by_engine, begin),
    },
    "enrollments": {
        "start": Way(("",), "draft", by_anybody, start),
        "write": Way(("draft",), "draft", by_applicant, write),
        "submit": Way(("draft",), "submitted", by_applicant, submit),
        "remind": Way(("draft",), "draft", by_engine),
        "forget": Way(("draft",), "lapsed", by_engine),
        "verify": Way(("submitted",), "verified", by("registrar", "head"), verify),
        "send_back": Way(("submitted", "verified"), "draft", by_staff, send_back),
        "approve": Way(("verified",), "waiting", by_other, approve),
        "reject": Way(("submitted", "verified"), "rejected", by_staff, reject),
        "withdraw": Way(("draft", "submitted", "verified"), "withdrawn", by_applicant),
        "accept": Way(("offered",), "enrolled", by_applicant),
        "archive": Way(("enrolled",), "archived", by("registrar"), archive),
        "decline": Way(("waiting", "offered", "enrolled"), "withdrawn", by_applicant, give_back),
        "lapse": Way(("offered",), "lapsed", by_engine, give_back),
    },
}
CREATING = {"courses": "announce", "enrollments": "start"}


def times(record: Any) -> dict[str, datetime]:
    """What comes by itself in the state that a record has entered."""
    now = datetime.now(UTC)
    match record.state:
        case "open":
            return {"begin": record.begins}
        case "draft":
            return {"remind": now + REMIND, "forget": now + FORGOTTEN}
        case "offered":
            return {"lapse": now + OFFER}
        case _:
            return {}


def step(record: Any, word: str, actor: Actor, given: Given, target: str, begins: Begins) -> None:
    """Move a record, write it down, ask people, tell others; `begins`: what follows once it is committed."""
    session, stays = source.sql_session(), target == record.state
    record.state, record.version = target, record.version + 1
    kind = "courses" if isinstance(record, Course) else "enrollments"
    if not stays:
        record.since = record.version
        session.execute(delete(Task).where(Task.enrollment == record.id))
        if target in TASKS:
            name, role = TASKS[target]
            task = Task(id=str(uuid.uuid4()), enrollment=record.id, word=name, role=role)
            task.due = datetime.now(UTC) + DUE
            session.add(task)
            begins.append(("nag", [task.id, "remind", TASK_REMIND.total_seconds()]))
            begins.append(("nag", [task.id, "escalate", DUE.total_seconds()]))
    for name, due in times(record).items():
        if not stays or name == word:
            left = max(0.0, (due - datetime.now(UTC)).total_seconds())
            begins.append(("wait", [kind, record.id, record.since, name, left]))
    note(record, word, actor, given)
    if word in PUBLISHED:
        told = {"applicant": record.applicant, "remark": record.remark}
        body = {"type": word, "data": {"id": record.id, "version": record.version, "state": target, **told}}
        for one in session.scalars(select(Subscription).where(Subscription.live)):
            if word in one.words:
                begins.append(("deliver", [one.id, f"{record.id}/{record.version}", body]))


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
            held = session.scalar(select(Task).where(Task.enrollment == record_id, Task.word == word))
            if held and held.holder and held.held_until and held.held_until > datetime.now(UTC):
                demand(held.holder == actor.subject, "task-claimed")
            way.act(record, actor, given, begins)
            session.add(record)
            session.flush()
            step(record, word, actor, given, way.to, begins)
            session.flush()
            if isinstance(record, Enrollment):
                move_up(course_of(record), begins)
            session.flush()
    except Refused as refused:
        session.add(Entry(
            record=record_id, word=word, actor=actor.subject, given=given, refused=refused.code
        ))  # fmt: skip
        return {"status": refused.status, "body": {"code": refused.code}, "begins": []}
    status = 201 if "" in way.sources else 200
    return {"status": status, "body": shown(record, actor), "begins": begins}


def _locked(kind: str, record_id: str) -> Any:
    """A record; an enrollment behind its course, in the order in which the line moves up."""
    session = source.sql_session()
    if kind == "enrollments" and (one := session.get(Enrollment, record_id)):
        course_of(one)
    return session.get(KINDS[kind], record_id, with_for_update=True, populate_existing=True)


def _made(kind: str, record_id: str, actor: Actor, given: Given) -> Any:
    new = {"id": record_id, "state": "", "version": 0, "since": 0}
    if kind == "courses":
        counts = {"asked": 0}
        return Course(**given | {"begins": datetime.fromisoformat(given["begins"])} | counts | new)
    return Enrollment(**given, **new, applicant=actor.subject, essay="", turn=0)


def shown(record: Any, actor: Actor) -> dict[str, Any]:
    """A record as somebody may see it."""
    found = {column.key: getattr(record, column.key) for column in record.__table__.columns}
    if isinstance(record, Enrollment) and not by_applicant(record, actor):
        for name, readers in READERS.items():
            if not actor.roles & readers:
                del found[name]
    return {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in found.items()
    }
