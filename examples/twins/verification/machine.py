"""What may happen to a case, and one command in one transaction."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from .tables import Case, Entry, Subscription, Task, source

ANSWERED_WITHIN, HANDED_IN_WITHIN = timedelta(days=2), timedelta(days=14)
VALID, NOTICE = timedelta(days=365), timedelta(days=30)
HIGH = 70
FINDINGS = ("scan", "scan_risk", "screening", "screening_risk", "verdict", "grounds")
HEARD = ("awaiting", "review", "assessed", "verified", "expiring", "rejected")
HEARD_LATER = ("submitted", "cancelling", "wanting")
FIELDS = {"idscan": "scan", "bureau": "screening"}


@dataclass(frozen=True)
class Actor:
    subject: str
    roles: frozenset[str] = frozenset()

    @property
    def staff(self) -> bool:
        return bool(self.roles & {"analyst", "officer"})


ENGINE = Actor("engine")


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
    may: Callable[[Case, Actor], bool]
    act: Callable[[Case, Actor, dict[str, Any]], str | None] = lambda case, actor, given: None


def by_engine(case: Case, actor: Actor) -> bool:
    return actor == ENGINE


def by_person(case: Case, actor: Actor) -> bool:
    return actor.subject == case.person


def by_staff(case: Case, actor: Actor) -> bool:
    return actor.staff


def by_other(case: Case, actor: Actor) -> bool:
    return actor.staff and actor.subject != case.person


def by_second(case: Case, actor: Actor) -> bool:
    return by_other(case, actor) and actor.subject != case.assessed_by


def ordered(case: Case, actor: Actor, given: dict[str, Any]) -> str:
    case.scan_id, case.screening_id = given.get("idscan"), given.get("bureau")
    case.problem = given.get("problem")
    if case.state == "cancelling":
        return "withdrawn"
    return "review" if case.problem else "awaiting"


def hear(case: Case, actor: Actor, given: dict[str, Any]) -> str:
    name = FIELDS[given["provider"]]
    demand(getattr(case, f"{name}_id") == given["id"], "another-check")
    demand(given["revision"] > getattr(case, f"{name}_revision"), "older")
    for field in ("risk", "revision"):
        setattr(case, f"{name}_{field}", given[field])
    setattr(case, name, given["result"])
    case.assessed_by = None
    return weigh(case)


def weigh(case: Case) -> str:
    found = {case.scan, case.screening}
    if None in found:
        return "awaiting"
    if found == {"passed"} and max(case.scan_risk, case.screening_risk) < HIGH:
        return accept(case)
    return "rejected" if found == {"failed"} else "review"


def accept(case: Case) -> str:
    case.until = case.until or datetime.now(UTC) + VALID
    if case.renews:
        old = source.sql_session().get(Case, case.renews, with_for_update=True)
        if old and old.state == "expiring":
            step(old, "replace", ENGINE, {}, "renewed")
    return "verified"


def assess(case: Case, actor: Actor, given: dict[str, Any]) -> None:
    demand(bool(given.get("verdict") and given.get("grounds")), "input-invalid", 400)
    case.verdict, case.grounds, case.assessed_by = given["verdict"], given["grounds"], actor.subject


def confirm(case: Case, actor: Actor, given: dict[str, Any]) -> str:
    return accept(case) if case.verdict == "accept" else "rejected"


def dispute(case: Case, actor: Actor, given: dict[str, Any]) -> None:
    case.grounds, case.assessed_by = given.get("grounds"), None


def ask_for(case: Case, actor: Actor, given: dict[str, Any]) -> None:
    case.wanted = given.get("wanted")


def hand_in(case: Case, actor: Actor, given: dict[str, Any]) -> None:
    demand(bool(given.get("proof")), "input-invalid", 400)
    case.proof = given["proof"]


WAYS = {
    "cancel": Way(("submitted",), "cancelling", by_person),
    "ordered": Way(("submitted", "cancelling"), None, by_engine, ordered),
    "hear": Way(HEARD, None, by_engine, hear),
    "go_on": Way(("awaiting",), "review", by_engine),
    "assess": Way(("review",), "assessed", by_other, assess),
    "confirm": Way(("assessed",), None, by_second, confirm),
    "dispute": Way(("assessed",), "review", by_second, dispute),
    "ask_for": Way(("review",), "wanting", by_staff, ask_for),
    "hand_in": Way(("wanting",), "review", by_person, hand_in),
    "remind": Way(("wanting",), "wanting", by_engine),
    "give_up": Way(("wanting",), "review", by_engine),
    "notice": Way(("verified",), "expiring", by_engine),
    "repeat": Way(("expiring",), "expiring", by_engine),
    "expire": Way(("expiring",), "expired", by_engine),
    "close": Way(("rejected",), "closed", by_engine),
    "withdraw": Way(("awaiting", "review", "wanting", "assessed"), "recalling", by_person),
    "recalled": Way(("recalling",), "withdrawn", by_engine),
}
PUBLISHED = ("ask_for", "remind", "notice", "repeat", "expire")
ENGINES = {word for word, way in WAYS.items() if way.may is by_engine}
TASKS = {
    "review": ("assess", timedelta(days=2), timedelta(days=1)),
    "assessed": ("confirm", timedelta(days=1), None),
}


def times(case: Case) -> list[tuple[str, datetime]]:
    """What comes by itself in the state that a case has entered."""
    now = datetime.now(UTC)
    match case.state:
        case "awaiting":
            return [("go_on", case.answer_by)]
        case "wanting":
            return [("remind", now + timedelta(days=3)), ("give_up", now + HANDED_IN_WITHIN)]
        case "verified" if case.until:
            return [("notice", case.until - NOTICE)]
        case "expiring" if case.until:
            return [("repeat", now + timedelta(days=7)), ("expire", case.until)]
        case "rejected":
            return [("close", now + VALID)]
        case _:
            return []


def step(
    case: Case, word: str, actor: Actor, given: dict[str, Any], target: str
) -> list[tuple[str, list[Any]]]:
    """Move a case, write it down, ask people; what has to be begun once this is committed."""
    session, begins = source.sql_session(), list[tuple[str, list[Any]]]()
    stays = target == case.state
    case.state, case.version = target, case.version + 1
    if not stays:
        case.since = case.version
        for task in session.scalars(select(Task).where(Task.case == case.id)):
            session.delete(task)
        if target in TASKS:
            asked, due, remind = TASKS[target]
            task = Task(id=str(uuid.uuid4()), case=case.id, word=asked, role="analyst")
            task.due = datetime.now(UTC) + due
            session.add(task)
            begins += [("nag", [task.id, "remind", remind.total_seconds()])] if remind else []
            begins.append(("nag", [task.id, "escalate", due.total_seconds()]))
    for name, due in times(case):
        if not stays or name == word:
            left = max(0.0, (due - datetime.now(UTC)).total_seconds())
            begins.append(("wait", [case.id, case.since, name, left]))
    if target == "submitted":
        begins.append(("ask", [case.id]))
    elif target == "recalling":
        begins.append(("take_back", [case.id, {"idscan": case.scan_id, "bureau": case.screening_id}]))
    session.add(Entry(
        case=case.id, version=case.version, word=word, actor=actor.subject, state=target, given=given
    ))  # fmt: skip
    if word in PUBLISHED:
        told = {"person": case.person, "wanted": case.wanted, "until": case.until and case.until.isoformat()}
        body = {"type": word, "data": {"id": case.id, "version": case.version, "state": target, **told}}
        for one in session.scalars(select(Subscription).where(Subscription.live)):
            if word in one.words:
                begins.append(("deliver", [one.id, f"{case.id}/{case.version}", body]))
    return begins


def move(
    case_id: str, word: str, actor: Actor, given: dict[str, Any], since: int | None = None
) -> dict[str, Any]:
    """Give a command; its answer, and what is to be begun. A refusal is written down and is an answer too."""
    session = source.sql_session()
    case, way = session.get(Case, case_id, with_for_update=True), WAYS[word]
    try:
        if case is None or not (by_person(case, actor) or actor.staff or actor == ENGINE):
            raise Refused(404, "not-found")
        if since not in (None, case.since):
            raise Refused(409, "stale")
        demand(way.may(case, actor), "forbidden", 403)
        demand(case.state in way.sources, "state-conflict")
        held = session.scalar(select(Task).where(Task.case == case_id, Task.word == word))
        if held and held.holder and held.held_until and held.held_until > datetime.now(UTC):
            demand(held.holder == actor.subject, "task-claimed")
        with session.begin_nested():
            target = way.act(case, actor, given) or way.to
            assert target is not None
            begins = step(case, word, actor, given, target)
            session.flush()
    except Refused as refused:
        session.add(Entry(
            case=case_id, version=None, word=word, actor=actor.subject, given=given, refused=refused.code
        ))  # fmt: skip
        allowed = [
            w for w, one in WAYS.items() if case and case.state in one.sources and one.may(case, actor)
        ]
        return {"status": refused.status, "body": {"code": refused.code, "allowed": allowed}, "begins": []}
    return {"status": 200, "body": shown(case, actor), "begins": begins}


def open_case(case_id: str, actor: Actor, given: dict[str, Any]) -> dict[str, Any]:
    """Apply, or renew."""
    session, now = source.sql_session(), datetime.now(UTC)
    old = session.get(Case, given["renews"]) if given.get("renews") else None
    if given.get("renews") and (old is None or old.person != actor.subject or old.state != "expiring"):
        return {"status": 409, "body": {"code": "guard-failed"}, "begins": []}
    under_way = select(Case.id).where(
        Case.person == actor.subject, Case.state.in_(("submitted", "cancelling", "awaiting"))
    )
    session.connection().exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext(%s))", (actor.subject,))
    if session.scalar(under_way):
        return {"status": 409, "body": {"code": "unique-violated"}, "begins": []}
    case = Case(
        id=case_id, state="", version=0, person=actor.subject, passport=given["passport"],
        renews=given.get("renews"), answer_by=now + ANSWERED_WITHIN,
    )  # fmt: skip
    session.add(case)
    begins = step(case, "renew" if old else "apply", actor, given, "submitted")
    session.flush()
    return {"status": 201, "body": shown(case, actor), "begins": begins}


def shown(case: Case, actor: Actor) -> dict[str, Any]:
    """A case as somebody may see it."""
    hidden = () if actor.staff else FINDINGS
    columns = [column.key for column in Case.__table__.columns if column.key not in hidden]
    return {name: _plain(getattr(case, name)) for name in columns}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
