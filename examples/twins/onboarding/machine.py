"""What may happen to onboardings, jobs and papers, and one command in one transaction."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, select

from .tables import Case, Entry, Job, Paper, Record, Subscription, Task, source

NOTICE, NAG = timedelta(days=3), timedelta(days=2)
KINDS: dict[str, type[Any]] = {"onboardings": Case, "jobs": Job, "papers": Paper}
DOERS = {"laptop": "it", "desk": "facilities", "plan": "manager"}
OPEN_PAPERS = ("wanted", "overdue", "handed_in")
BEFORE = ("collecting", "naming", "preparing", "late", "ready")
PUBLISHED = ("warn", "be_late", "start", "end", "remind", "miss", "nag", "send_back")
READERS = {"name": {"hr", "it"}, "email": {"hr", "it"}, "file": {"hr"}}


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


Act = Callable[[Any, Actor, Given, Begins], str | None]


@dataclass(frozen=True)
class Way:
    """How a command leads from some states on: who may, what it does, and to which state (None: it says)."""

    sources: tuple[str, ...]
    to: str | None
    may: Callable[[Any, Actor], bool]
    act: Act = lambda record, actor, given, begins: None


def by_engine(record: Any, actor: Actor) -> bool:
    return actor == ENGINE


def by_person(record: Any, actor: Actor) -> bool:
    return actor.subject == record.person


def by(*roles: str) -> Callable[[Any, Actor], bool]:
    return lambda record, actor: bool(actor.roles & {*roles})


def by_doer(job: Job, actor: Actor) -> bool:
    """Only who will be the boss plans."""
    boss = job.kind != "plan" or case_of(job).boss == actor.subject
    return "lead" in actor.roles or (DOERS[job.kind] in actor.roles and boss)


def may_cancel(case: Case, actor: Actor) -> bool:
    return "hr" in actor.roles or by_person(case, actor)


def may_see(record: Any, actor: Actor) -> bool:
    if isinstance(record, Job):
        return actor == ENGINE or bool(actor.roles & {"hr", "it", "facilities", "manager", "lead"})
    if actor == ENGINE or by_person(record, actor) or actor.roles & {"hr", "lead"}:
        return True
    return isinstance(record, Case) and (record.boss == actor.subject or "it" in actor.roles)


def case_of(record: Any) -> Case:
    """The onboarding, locked: all that belongs to it takes turns by this row."""
    case = source.sql_session().get(Case, record.onboarding, with_for_update=True)
    if case is None:
        raise Refused(422, "reference-not-found")
    return case


def jobs_of(case: Case) -> dict[str, Job]:
    found = source.sql_session().scalars(select(Job).where(Job.onboarding == case.id))
    return {job.kind: job for job in found}


def papers_of(case: Case) -> list[Paper]:
    wanted = select(Paper).where(Paper.onboarding == case.id, Paper.state.in_(OPEN_PAPERS))
    return [*source.sql_session().scalars(wanted)]


def come(case: Case, actor: Actor, given: Given, begins: Begins) -> None:
    demand(case.first_day > datetime.now(UTC), "guard-failed")


def complete(case: Case, actor: Actor, given: Given, begins: Begins) -> None:
    demand(len(jobs_of(case)) == len(DOERS) and not papers_of(case), "guard-failed")


def name_again(case: Case, actor: Actor, given: Given, begins: Begins) -> None:
    demand(bool(given.get("login")), "input-invalid", 400)
    case.login = given["login"]


def made(case: Case, actor: Actor, given: Given, begins: Begins) -> str:
    case.account = given["account"]
    return next_state(case) if case.state == "making" else call_off(case, begins)


def not_made(case: Case, actor: Actor, given: Given, begins: Begins) -> str:
    case.problem = given["problem"]
    return "naming" if case.state == "making" else call_off(case, begins)


def cancel(case: Case, actor: Actor, given: Given, begins: Begins) -> str:
    return "stopping" if case.state == "making" else call_off(case, begins)


def call_off(case: Case, begins: Begins) -> str:
    """Nobody begins with what isn't done any more; what is done is taken back."""
    case.called_off = True
    for kind, job in jobs_of(case).items():
        owed = job.state == "ready" and kind != "plan"
        step(job, "owe" if owed else "drop", ENGINE, {}, "owed" if owed else "dropped", begins)
    for paper in papers_of(case):
        step(paper, "drop", ENGINE, {}, "dropped", begins)
    return next_state(case)


def next_state(case: Case) -> str:
    """What comes next, now that something has changed."""
    jobs = [job.state for job in jobs_of(case).values()]
    if case.called_off:
        return "deleting" if case.account else "undoing" if "owed" in jobs else "cancelled"
    if jobs.count("ready") == len(DOERS):
        return "ready"
    return "late" if datetime.now(UTC) >= case.first_day - NOTICE else "preparing"


def postpone(case: Case, actor: Actor, given: Given, begins: Begins) -> str:
    demand(bool(given.get("first_day")), "input-invalid", 400)
    case.first_day = datetime.fromisoformat(given["first_day"])
    come(case, actor, given, begins)
    return case.state if case.state == "collecting" else next_state(case)


def deleted(case: Case, actor: Actor, given: Given, begins: Begins) -> str:
    case.account = None
    return next_state(case)


def ask(job: Job, actor: Actor, given: Given, begins: Begins) -> None:
    case = case_of(job)
    demand(case.state == "collecting", "state-conflict")
    demand(job.kind not in jobs_of(case), "guard-failed")


def tell(job: Job, actor: Actor, given: Given, begins: Begins) -> None:
    """Who waits for this looks anew at what comes next."""
    begins.append(("look", []))


def want(paper: Paper, actor: Actor, given: Given, begins: Begins) -> None:
    case = case_of(paper)
    demand(case.state == "collecting", "state-conflict")
    paper.person = case.person


def hand_in(paper: Paper, actor: Actor, given: Given, begins: Begins) -> None:
    demand(bool(given.get("file")), "guard-failed")
    paper.file = given["file"]


def send_back(paper: Paper, actor: Actor, given: Given, begins: Begins) -> None:
    paper.remark = given.get("remark")


WAYS = {
    "onboardings": {
        "announce": Way(("",), "collecting", by("hr"), come),
        "complete": Way(("collecting",), "making", by("hr"), complete),
        "made": Way(("making", "stopping"), None, by_engine, made),
        "not_made": Way(("making", "stopping"), None, by_engine, not_made),
        "name_again": Way(("naming",), "making", by("it", "lead"), name_again),
        "warn": Way(("collecting",), "collecting", by_engine),
        "be_late": Way(("preparing",), "late", by_engine),
        "start": Way(("ready",), "started", by_engine),
        "postpone": Way(("collecting", "preparing", "late", "ready"), None, by("hr", "lead"), postpone),
        "cancel": Way((*BEFORE, "making"), None, may_cancel, cancel),
        "deleted": Way(("deleting",), None, by_engine, deleted),
    },
    "jobs": {
        "ask": Way(("",), "asked", by("hr"), ask),
        "do": Way(("asked",), "ready", by_doer, tell),
        "take_back": Way(("owed",), "undone", by_doer, tell),
    },
    "papers": {
        "want": Way(("",), "wanted", by("hr"), want),
        "remind": Way(("wanted",), "wanted", by_engine),
        "miss": Way(("wanted",), "overdue", by_engine),
        "nag": Way(("overdue",), "overdue", by_engine),
        "hand_in": Way(("wanted", "overdue"), "handed_in", by_person, hand_in),
        "send_back": Way(("handed_in",), "wanted", by("hr", "lead"), send_back),
        "accept": Way(("handed_in",), "accepted", by("hr", "lead")),
        "waive": Way(("overdue",), "waived", by("hr", "lead")),
    },
}
CREATING = {"onboardings": "announce", "jobs": "ask", "papers": "want"}


def times(record: Any) -> dict[str, datetime]:
    """What comes by itself in the state that a record has entered."""
    match record.state:
        case "collecting":
            return {"warn": record.first_day - NOTICE}
        case "preparing":
            return {"be_late": record.first_day - NOTICE}
        case "ready" if isinstance(record, Case):
            return {"start": record.first_day}
        case "wanted":
            return {"remind": record.due - NOTICE, "miss": record.due}
        case "overdue":
            return {"nag": datetime.now(UTC) + NAG}
        case _:
            return {}


def asked(record: Any) -> tuple[str, str, timedelta, list[int]] | None:
    """What people are asked in the state of a record: word, role, until when, after how many days again."""
    now = datetime.now(UTC)
    match record.state:
        case "naming":
            return "name_again", "it", timedelta(days=1), []
        case "late":
            return "postpone", "hr", timedelta(days=1), []
        case "asked":
            return "do", DOERS[record.kind], record.due - now, [2] if record.kind == "plan" else [2, 5]
        case "owed":
            return "take_back", DOERS[record.kind], timedelta(days=7), []
        case "handed_in":
            return "accept", "hr", timedelta(days=2), [1]
        case "overdue":
            return "waive", "hr", timedelta(days=7), []
        case _:
            return None


def step(record: Any, word: str, actor: Actor, given: Given, target: str, begins: Begins) -> None:
    """Move a record, write it down, ask people, tell others; `begins`: what follows once it is committed."""
    session, stays = source.sql_session(), target == record.state and word != "postpone"
    record.state, record.version = target, record.version + 1
    kind = next(name for name, table in KINDS.items() if isinstance(record, table))
    if not stays:
        record.since = record.version
        session.execute(delete(Task).where(Task.record == record.id))
        if ask := asked(record):
            name, role, left, again = ask
            due = datetime.now(UTC) + left
            task = Task(id=str(uuid.uuid4()), kind=kind, record=record.id, word=name, role=role, due=due)
            session.add(task)
            begins += [("press", [task.id, "remind", days * 86_400.0]) for days in again]
            begins.append(("press", [task.id, "escalate", max(0.0, left.total_seconds())]))
        if target in ("making", "deleting"):
            begins.append((target, [record.id, f"{record.id}/{record.version}"]))
    for name, due in times(record).items():
        if not stays or (name, word) == ("nag", "nag"):
            left_s = max(0.0, (due - datetime.now(UTC)).total_seconds())
            begins.append(("wait", [kind, record.id, record.since, name, left_s]))
    note(record, word, actor, given)
    publish(record, "end" if target == "cancelled" else word, begins)


def publish(record: Any, word: str, begins: Begins) -> None:
    """Tell whoever sends mails."""
    if word in PUBLISHED:
        told = {
            name: getattr(record, name, None) for name in ("person", "kind", "remark", "first_day", "due")
        }
        data = {"id": record.id, "version": record.version, "state": record.state, **plain(told)}
        for one in source.sql_session().scalars(select(Subscription).where(Subscription.live)):
            if word in one.words:
                message = f"{record.id}/{record.version}"
                begins.append(("deliver", [one.id, message, {"type": word, "data": data}]))


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
            new = "" in way.sources
            record: Any = _made(kind, record_id, given) if new else _locked(kind, record_id)
            if record is None or not (new or may_see(record, actor)):
                raise Refused(404, "not-found")
            demand(since in (None, record.since), "stale")
            demand(way.may(record, actor), "forbidden", 403)
            demand(record.state in way.sources, "state-conflict")
            held = session.scalar(select(Task).where(Task.record == record_id, Task.word == word))
            if held and held.holder and held.held_until and held.held_until > datetime.now(UTC):
                demand(held.holder == actor.subject, "task-claimed")
            target = way.act(record, actor, given, begins) or way.to
            assert target is not None
            session.add(record)
            step(record, word, actor, given, target, begins)
            session.flush()
            if ("look", []) in begins and (case := case_of(record)).state in ("preparing", "late", "undoing"):
                step(case, "look", ENGINE, {}, next_state(case), begins)
            session.flush()
    except Refused as refused:
        session.add(Entry(
            record=record_id, word=word, actor=actor.subject, given=given, refused=refused.code
        ))  # fmt: skip
        return {"status": refused.status, "body": {"code": refused.code}, "begins": []}
    status = 201 if "" in way.sources else 200
    begins = [one for one in begins if one[0] != "look"]
    return {"status": status, "body": shown(record, actor), "begins": begins}


def _locked(kind: str, record_id: str) -> Any:
    """A record; a job or a paper behind its onboarding, so that all who move them lock in one order."""
    session = source.sql_session()
    if kind != "onboardings" and (one := session.get(KINDS[kind], record_id)):
        case_of(one)
    return session.get(KINDS[kind], record_id, with_for_update=True, populate_existing=True)


def _made(kind: str, record_id: str, given: Given) -> Any:
    new = {"id": record_id, "state": "", "version": 0, "since": 0}
    when = {name: datetime.fromisoformat(given[name]) for name in ("first_day", "due") if name in given}
    more = {"called_off": False} if kind == "onboardings" else {}
    return KINDS[kind](**given | when | more | new)


def shown(record: Any, actor: Actor) -> dict[str, Any]:
    """A record as somebody may see it."""
    found = {column.key: getattr(record, column.key) for column in record.__table__.columns}
    own = not isinstance(record, Job) and by_person(record, actor)
    hidden = {name for name, readers in READERS.items() if not own and not actor.roles & readers}
    return plain({name: value for name, value in found.items() if name not in hidden})


def plain(found: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in found.items()
    }
