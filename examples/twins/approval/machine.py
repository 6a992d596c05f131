"""What may happen to a request and a department, and one command in one transaction."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select

from .tables import Department, Entry, Request, Task, Vote, source

SMALL, LARGE = 50_000, 1_000_000
REMIND, LATE, TOO_LATE = timedelta(days=2), timedelta(days=3), timedelta(days=30)
SANCTION, SANCTION_REMIND = timedelta(days=7), timedelta(days=5)
OPEN = ("pending", "endorsed")


@dataclass(frozen=True)
class Actor:
    subject: str
    roles: frozenset[str] = frozenset()


ENGINE = Actor("engine")
Begins = list[tuple[str, list[Any]]]


class Refused(Exception):
    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


def demand(held: bool, code: str, status: int = 409) -> None:
    if not held:
        raise Refused(status, code)


@dataclass(frozen=True)
class Way:
    """How a command leads from some states on: who may, what it does, and to which state (None: it says)."""

    sources: tuple[str, ...]
    to: str | None
    may: Callable[[Request, Actor], bool]
    act: Callable[[Request, Actor, dict[str, Any]], str | None] = lambda request, actor, given: None


def by_requester(request: Request, actor: Actor) -> bool:
    return actor.subject == request.requester


def by_engine(request: Request, actor: Actor) -> bool:
    return actor == ENGINE


def seated(request: Request, actor: Actor) -> bool:
    return actor.subject in source.sql_session().get_one(Department, request.department).seats


def by_judge(request: Request, actor: Actor) -> bool:
    late = "director" in actor.roles and datetime.now(UTC) >= request.due
    return (late or ("manager" in actor.roles and seated(request, actor))) and not by_requester(
        request, actor
    )


def by_board(request: Request, actor: Actor) -> bool:
    return "board" in actor.roles and not by_requester(request, actor)


def by_cashier(request: Request, actor: Actor) -> bool:
    return "cashier" in actor.roles and not by_requester(request, actor)


def may_reject(request: Request, actor: Actor) -> bool:
    return (by_judge if request.state == "pending" else by_board)(request, actor)


def may_see(request: Request, actor: Actor) -> bool:
    return (
        bool(actor.roles & {"director", "board", "cashier"})
        or actor == ENGINE
        or by_requester(request, actor)
        or seated(request, actor)
    )


def votes(request: Request, *words: str) -> set[str]:
    wanted = select(Vote.subject).where(Vote.request == request.id, Vote.word.in_(words))
    return set(source.sql_session().scalars(wanted))


def vote(request: Request, actor: Actor, given: dict[str, Any], word: str) -> None:
    demand(given.get("version") is not None, "precondition-required", 428)
    demand(given["version"] == request.version, "precondition-failed", 412)
    demand(actor.subject not in votes(request, "approve", word), "four-eyes", 403)
    source.sql_session().add(Vote(request=request.id, word=word, subject=actor.subject))


def approve(request: Request, actor: Actor, given: dict[str, Any]) -> str:
    vote(request, actor, given, "approve")
    source.sql_session().flush()
    if len(votes(request, "approve")) < (1 if request.amount < SMALL else 2):
        return "pending"
    return grant(request) if request.amount < LARGE else "endorsed"


def sanction(request: Request, actor: Actor, given: dict[str, Any]) -> str:
    vote(request, actor, given, "sanction")
    return grant(request)


def grant(request: Request) -> str:
    """Approve, within the budget: its row is locked, so that two decisions don't share what is left."""
    session = source.sql_session()
    budget = session.get_one(Department, request.department, with_for_update=True).budget
    spent = select(func.coalesce(func.sum(Request.amount), 0)).where(
        Request.department == request.department, Request.state.in_(("approved", "paid"))
    )
    demand((session.scalar(spent) or 0) + request.amount <= budget, "invariant-violated")
    return "approved"


def reject(request: Request, actor: Actor, given: dict[str, Any]) -> None:
    request.reason = given.get("reason")


def revise(request: Request, actor: Actor, given: dict[str, Any]) -> None:
    demand(all(given.get(name) for name in ("amount", "purpose", "account")), "input-invalid", 400)
    request.amount, request.purpose, request.account = given["amount"], given["purpose"], given["account"]
    request.due = datetime.now(UTC) + LATE
    source.sql_session().execute(delete(Vote).where(Vote.request == request.id))


def pay(request: Request, actor: Actor, given: dict[str, Any]) -> None:
    demand(actor.subject not in votes(request, "approve", "sanction"), "four-eyes", 403)


WAYS = {
    "approve": Way(("pending",), None, by_judge, approve),
    "sanction": Way(("endorsed",), None, by_board, sanction),
    "reject": Way(OPEN, "rejected", may_reject, reject),
    "withdraw": Way(OPEN, "withdrawn", by_requester),
    "lapse": Way(OPEN, "lapsed", by_engine),
    "revise": Way(OPEN, "pending", by_requester, revise),
    "pay": Way(("approved",), "paid", by_cashier, pay),
}


def asked(request: Request) -> tuple[str, str, datetime | None, timedelta | None, str | None] | None:
    """What people are asked in the state of a request: word, role, due, when to remind, who is next."""
    match request.state:
        case "pending":
            return "approve", "manager", request.due, REMIND, "director"
        case "endorsed":
            return "sanction", "board", datetime.now(UTC) + SANCTION, SANCTION_REMIND, None
        case "approved":
            return "pay", "cashier", None, None, None
        case _:
            return None


def step(request: Request, word: str, actor: Actor, given: dict[str, Any], target: str) -> Begins:
    """Move a request, write it down, ask people; what has to be begun once this is committed."""
    session, begins, stays = source.sql_session(), Begins(), target == request.state
    request.state, request.version = target, request.version + 1
    if not stays:
        request.since = request.version
        if target in OPEN:
            begins.append(("wait", [request.id, request.since, TOO_LATE.total_seconds()]))
    if not stays or word == "revise":
        session.execute(delete(Task).where(Task.request == request.id))
        if ask := asked(request):
            name, role, due, remind, then = ask
            task = Task(id=str(uuid.uuid4()), request=request.id, word=name, role=role, due=due)
            session.add(task)
            begins += [("nag", [task.id, None, remind.total_seconds()])] if remind else []
            begins += [("nag", [task.id, then, LATE.total_seconds()])] if then else []
    note(request.id, word, actor, given, request.version, target)
    return begins


def note(
    record: str, word: str, actor: Actor, given: dict[str, Any], version: int | None, state: str | None
) -> None:
    source.sql_session().add(
        Entry(record=record, version=version, word=word, actor=actor.subject, state=state, given=given)
    )


def refuse(record: str, word: str, actor: Actor, given: dict[str, Any], refused: Refused) -> dict[str, Any]:
    """A refusal is written down, and is an answer too."""
    source.sql_session().add(
        Entry(record=record, word=word, actor=actor.subject, given=given, refused=refused.code)
    )
    return {"status": refused.status, "body": {"code": refused.code}, "begins": []}


def move(
    request_id: str, word: str, actor: Actor, given: dict[str, Any], since: int | None = None
) -> dict[str, Any]:
    """Give a command; its answer, and what is to be begun."""
    session, way = source.sql_session(), WAYS[word]
    request = session.get(Request, request_id, with_for_update=True)
    try:
        if request is None or not may_see(request, actor):
            raise Refused(404, "not-found")
        demand(since in (None, request.since), "stale")
        demand(request.state in way.sources, "state-conflict")
        demand(way.may(request, actor), "forbidden", 403)
        held = session.scalar(select(Task).where(Task.request == request_id, Task.word == word))
        if held and held.holder and held.held_until and held.held_until > datetime.now(UTC):
            demand(held.holder == actor.subject, "task-claimed")
        with session.begin_nested():
            target = way.act(request, actor, given) or way.to
            assert target is not None
            begins = step(request, word, actor, given, target)
            session.flush()
    except Refused as refused:
        return refuse(request_id, word, actor, given, refused)
    return {"status": 200, "body": shown(request, actor), "begins": begins}


def ask(request_id: str, word: str, actor: Actor, given: dict[str, Any]) -> dict[str, Any]:
    session = source.sql_session()
    department = session.get(Department, given["department"], with_for_update={"read": True})
    try:
        demand(department is not None, "reference-not-found", 422)
        demand(department is not None and department.state == "running", "guard-failed")
    except Refused as refused:
        return refuse(request_id, word, actor, given, refused)
    request = Request(
        **given, id=request_id, state="", version=0, requester=actor.subject, due=datetime.now(UTC) + LATE
    )
    session.add(request)
    session.flush()
    begins = step(request, word, actor, given, "pending")
    return {"status": 201, "body": shown(request, actor), "begins": begins}


def govern(department_id: str, word: str, actor: Actor, given: dict[str, Any]) -> dict[str, Any]:
    """Found a department, seat other people, or close it."""
    session = source.sql_session()
    try:
        demand("director" in actor.roles, "forbidden", 403)
        if word == "found":
            department = Department(**given, id=department_id, state="running", version=0)
            session.add(department)
        else:
            department = session.get(Department, department_id, with_for_update=True)
            if department is None:
                raise Refused(404, "not-found")
            demand(department.state == "running", "state-conflict")
        if word == "close":
            department.state = "closed"
        else:
            demand(len(set(given["seats"])) == len(given["seats"]) == 3, "invariant-violated")
            department.seats = given["seats"]
    except Refused as refused:
        session.expunge_all()
        return refuse(department_id, word, actor, given, refused)
    department.version += 1
    note(department_id, word, actor, given, department.version, department.state)
    session.flush()
    return {"status": 201 if word == "found" else 200, "body": plain(department), "begins": []}


def shown(request: Request, actor: Actor) -> dict[str, Any]:
    """A request as somebody may see it: where the money goes is for who pays, and whose it is."""
    told = plain(request)
    if "cashier" not in actor.roles and not by_requester(request, actor):
        del told["account"]
    return told


def plain(record: Department | Request) -> dict[str, Any]:
    found = {column.key: getattr(record, column.key) for column in record.__table__.columns}
    return {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in found.items()
    }
