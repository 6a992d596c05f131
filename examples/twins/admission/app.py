"""The door, and what goes on by itself: `uvicorn examples.twins.admission.app:app`."""

import base64
import hashlib
import hmac
import json
import os
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Annotated, Any

import httpx2 as httpx
import jwt
from dbos import DBOS, SetWorkflowID
from fastapi import Depends, FastAPI, Header, HTTPException, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import select

from .machine import CREATING, ENGINE, KINDS, PUBLISHED, WAYS, Actor, by_engine, may_see, move, shown
from .tables import URL, Base, Enrollment, Entry, Subscription, Task, source

SECRET, CLAIM = os.environ["ADMISSION_SECRET"], timedelta(hours=8)
LOCKING: Any = {"isolation_level": "READ COMMITTED"}


class Given(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Announce(Given):
    title: str = Field(max_length=200)
    seats: int = Field(ge=1)
    begins: AwareDatetime


class Start(Given):
    course: str


class Told(Given):
    essay: str | None = Field(None, max_length=20_000)
    transcript: str | None = Field(None, max_length=200)
    remark: str | None = Field(None, max_length=1_000)


class Subscribing(Given):
    url: str
    words: list[str]


@DBOS.workflow()
def command(kind: str, record: str, word: str, actor: Actor, given: dict[str, Any], print_: str) -> Any:
    return {**carry_on(source.run_tx_step(LOCKING, move, kind, record, word, actor, given)), "print": print_}


def carry_on(answer: dict[str, Any]) -> dict[str, Any]:
    """Begin what follows from a command; each has an id of its own, so that it begins once."""
    for name, arguments in answer.pop("begins"):
        DBOS.start_workflow(FLOWS[name], *arguments)
    return answer


@DBOS.workflow()
def wait(kind: str, record: str, since: int, word: str, seconds: float) -> None:
    """A time: it comes unless the state was left meanwhile."""
    DBOS.sleep(seconds)
    carry_on(source.run_tx_step(LOCKING, move, kind, record, word, ENGINE, {}, since))


@DBOS.workflow()
def nag(task: str, what: str, seconds: float) -> None:
    """Remind of a task, or let it go on to the head."""
    DBOS.sleep(seconds)
    source.run_tx_step(LOCKING, press, task, what)


def press(task_id: str, what: str) -> None:
    session = source.sql_session()
    task = session.get(Task, task_id, with_for_update=True)
    if task is not None:
        if what == "remind":
            task.reminded = True
        else:
            task.role, task.holder, task.held_until = "head", None, None
        session.add(Entry(record=task.enrollment, word=what, actor="engine", given={"task": task.word}))


@DBOS.workflow()
def deliver(subscription: str, message: str, body: dict[str, Any]) -> None:
    """Tell a subscriber, until it is taken, for three days."""
    pause_s, left_s = 5.0, 3 * 86_400.0
    while left_s > 0:
        target = source.run_tx_step(LOCKING, target_of, subscription)
        if target is None:
            return
        status = DBOS.run_step({"name": "deliver"}, post, *target, message, body)
        if status < 300:
            return
        if status == 410:
            source.run_tx_step(LOCKING, silence, subscription)
            return
        DBOS.sleep(pause_s)
        left_s, pause_s = left_s - pause_s, min(pause_s * 2, 3_600.0)


def target_of(subscription: str) -> tuple[str, str] | None:
    found = source.sql_session().get(Subscription, subscription)
    return (found.url, found.secret) if found and found.live else None


def silence(subscription: str) -> None:
    source.sql_session().get_one(Subscription, subscription).live = False


def post(url: str, secret: str, message: str, body: dict[str, Any]) -> int:
    """One attempt, signed as Standard Webhooks has it."""
    now, content = int(time.time()), json.dumps(body)
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signature = base64.b64encode(hmac.digest(key, f"{message}.{now}.{content}".encode(), "sha256")).decode()
    headers = {
        "webhook-id": message, "webhook-timestamp": str(now), "webhook-signature": f"v1,{signature}",
        "content-type": "application/json",
    }  # fmt: skip
    try:
        return httpx.post(url, content=content, headers=headers, timeout=20).status_code
    except httpx.HTTPError:
        return 599


FLOWS: dict[str, Any] = {"wait": wait, "nag": nag, "deliver": deliver}


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
    DBOS.launch()
    yield
    DBOS.destroy()


DBOS(config={"name": "admission", "system_database_url": URL, "log_level": "WARNING"})
Base.metadata.create_all(source.engine)
app = FastAPI(title="admission", lifespan=lifespan)


def authenticated(authorization: Annotated[str, Header()]) -> Actor:
    try:
        token = authorization.removeprefix("Bearer ")
        claims = jwt.decode(token, SECRET, ["HS256"], options={"require": ["exp"]})
        return Actor(claims["sub"], frozenset(claims.get("roles", ())))
    except (jwt.InvalidTokenError, KeyError):
        raise HTTPException(401) from None


Who = Annotated[Actor, Depends(authenticated)]
Key = Annotated[str, Header(max_length=255)]


def give(
    kind: str, record: str | None, word: str, actor: Actor, body: Given, key: str, answer: Response
) -> Any:
    """Give a command once: its key is the id of its workflow, whose result is kept."""
    given = body.model_dump(mode="json", exclude_none=True)
    record = record or str(uuid.uuid5(uuid.NAMESPACE_URL, f"{actor.subject}/{key}"))
    print_ = hashlib.sha256(json.dumps([kind, record, word, given], sort_keys=True).encode()).hexdigest()
    with SetWorkflowID(f"{actor.subject}/{key}"):
        done = DBOS.start_workflow(command, kind, record, word, actor, given, print_).get_result()
    if done["print"] != print_:
        raise HTTPException(422, "the key belongs to another request")
    answer.status_code = done["status"]
    return done["body"]


@app.post("/courses")
def announce(body: Announce, actor: Who, idempotency_key: Key, answer: Response) -> Any:
    return give("courses", None, "announce", actor, body, idempotency_key, answer)


@app.post("/enrollments")
def start(body: Start, actor: Who, idempotency_key: Key, answer: Response) -> Any:
    return give("enrollments", None, "start", actor, body, idempotency_key, answer)


@app.post("/enrollments/{record}/{word}")
def act(record: str, word: str, body: Told, actor: Who, idempotency_key: Key, answer: Response) -> Any:
    way = WAYS["enrollments"].get(word)
    if way is None or way.may is by_engine or word == CREATING["enrollments"]:
        raise HTTPException(404)
    return give("enrollments", record, word, actor, body, idempotency_key, answer)


@app.post("/tasks/{task}/{word}")
def hold(task: str, word: str, actor: Who) -> Any:
    def held() -> int:
        session, now = source.sql_session(), datetime.now(UTC)
        found = session.get(Task, task, with_for_update=True)
        if found is None or found.role not in actor.roles or word not in ("claim", "release"):
            return 404
        if found.holder not in (None, actor.subject) and (found.held_until or now) > now:
            return 409
        found.holder = actor.subject if word == "claim" else None
        found.held_until = now + CLAIM
        given = {"task": found.word}
        session.add(Entry(record=found.enrollment, word=word, actor=actor.subject, given=given))
        return 200

    if (status := reading(held)) != 200:
        raise HTTPException(status)
    return {}


@app.post("/subscriptions", status_code=201)
def subscribe(body: Subscribing, actor: Who) -> Any:
    if "mailer" not in actor.roles or not set(body.words) <= set(PUBLISHED):
        raise HTTPException(403)
    secret = "whsec_" + base64.b64encode(os.urandom(32)).decode()
    made = {"id": str(uuid.uuid4()), "secret": secret}
    reading(lambda: source.sql_session().add(Subscription(**body.model_dump(), **made)) or made)
    return made


def reading(function: Any) -> Any:
    if (told := source.run_tx_step(LOCKING, function)) is None:
        raise HTTPException(404)
    return told


@app.get("/tasks")
def tasks(actor: Who) -> Any:
    def found() -> Any:
        wanted = select(Task, Enrollment).join(Enrollment, Enrollment.id == Task.enrollment)
        rows = source.sql_session().execute(wanted.where(Task.role.in_(actor.roles)).order_by(Task.due))
        return {"items": [
            {"id": t.id, "enrollment": e.id, "command": t.word, "due": t.due.isoformat(), "holder": t.holder,
             "essay": e.essay} | ({"transcript": e.transcript} if t.word == "verify" else {})
            for t, e in rows if WAYS["enrollments"][t.word].may(e, actor)
        ]}  # fmt: skip

    return reading(found)


@app.get("/{kind}")
def page(kind: str, actor: Who, state: str | None = None, after: str = "", limit: int = 50) -> Any:
    def found() -> Any:
        if (table := KINDS.get(kind)) is None:
            return None
        wanted = select(table).where(table.id > after).order_by(table.id)
        wanted = wanted if state is None else wanted.where(table.state == state)
        seen = (shown(one, actor) for one in source.sql_session().scalars(wanted) if may_see(one, actor))
        return {"items": list(islice(seen, min(limit, 100)))}

    return reading(found)


@app.get("/{kind}/{record}")
def read(kind: str, record: str, actor: Who) -> Any:
    def found() -> Any:
        one = source.sql_session().get(KINDS[kind], record) if kind in KINDS else None
        return shown(one, actor) if one is not None and may_see(one, actor) else None

    return reading(found)


@app.get("/{kind}/{record}/history")
def history(kind: str, record: str, actor: Who) -> Any:
    def found() -> Any:
        entries = source.sql_session().scalars(select(Entry).where(Entry.record == record).order_by(Entry.id))
        return {"items": [
            {"word": e.word, "actor": e.actor, "at": e.at.isoformat(), "state": e.state, "refused": e.refused}
            for e in entries
        ]}  # fmt: skip

    read(kind, record, actor)
    return reading(found)
