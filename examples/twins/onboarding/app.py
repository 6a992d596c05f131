"""The door: `uvicorn examples.twins.onboarding.app:app`."""

import base64
import hashlib
import json
import os
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Annotated, Any, Literal

import jwt
from dbos import DBOS, SetWorkflowID
from fastapi import Depends, FastAPI, Header, HTTPException, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import select

from .flows import LOCKING, command
from .machine import CREATING, KINDS, PUBLISHED, WAYS, Actor, by_engine, may_see, plain, shown
from .tables import URL, Base, Entry, Subscription, Task, source

SECRET, CLAIM = os.environ["ONBOARDING_SECRET"], timedelta(hours=8)
LOGIN = "[a-z][a-z0-9.]*"
TOLD = {
    "name_again": ("login", "problem"), "postpone": ("login", "first_day"), "settle": ("login", "account"),
    "do": ("kind", "what"), "take_back": ("kind", "what"), "accept": ("kind", "file"), "waive": ("kind",),
}  # fmt: skip


class Given(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Announce(Given):
    person: str
    name: str = Field(max_length=200)
    email: str | None = Field(None, max_length=254)
    login: str = Field(max_length=40, pattern=LOGIN)
    boss: str
    first_day: AwareDatetime


class Ask(Given):
    onboarding: str
    kind: Literal["laptop", "desk", "plan"]
    what: str = Field(max_length=500)
    due: AwareDatetime


class Want(Given):
    onboarding: str
    kind: str = Field(max_length=100)
    due: AwareDatetime


class Told(Given):
    login: str | None = Field(None, max_length=40, pattern=LOGIN)
    first_day: AwareDatetime | None = None
    file: str | None = Field(None, max_length=200)
    remark: str | None = Field(None, max_length=1_000)


class Subscribing(Given):
    url: str
    words: list[str]


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
    DBOS.launch()
    yield
    DBOS.destroy()


DBOS(config={"name": "onboarding", "system_database_url": URL, "log_level": "WARNING"})
Base.metadata.create_all(source.engine)
app = FastAPI(title="onboarding", lifespan=lifespan)


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


@app.post("/onboardings")
def announce(body: Announce, actor: Who, idempotency_key: Key, answer: Response) -> Any:
    return give("onboardings", None, "announce", actor, body, idempotency_key, answer)


@app.post("/jobs")
def ask(body: Ask, actor: Who, idempotency_key: Key, answer: Response) -> Any:
    return give("jobs", None, "ask", actor, body, idempotency_key, answer)


@app.post("/papers")
def want(body: Want, actor: Who, idempotency_key: Key, answer: Response) -> Any:
    return give("papers", None, "want", actor, body, idempotency_key, answer)


@app.post("/tasks/{task}/{word}")
def hold(task: str, word: str, actor: Who) -> Any:
    def held() -> int:
        session, now = source.sql_session(), datetime.now(UTC)
        found = session.get(Task, task, with_for_update=True)
        if found is None or found.role not in actor.roles or word not in ("claim", "release", "settle"):
            return 404
        if found.holder not in (None, actor.subject) and (found.held_until or now) > now:
            return 409
        if word == "settle":
            session.delete(found)
        else:
            found.holder = actor.subject if word == "claim" else None
            found.held_until = now + CLAIM
        given = {"task": found.word}
        session.add(Entry(record=found.record, word=word, actor=actor.subject, given=given))
        return 200

    if (status := reading(held)) != 200:
        raise HTTPException(status)
    if word == "settle":
        DBOS.send(task, actor.subject, "settled", idempotency_key=task)
    return {}


@app.post("/subscriptions", status_code=201)
def subscribe(body: Subscribing, actor: Who) -> Any:
    if "mailer" not in actor.roles or not set(body.words) <= set(PUBLISHED):
        raise HTTPException(403)
    secret = "whsec_" + base64.b64encode(os.urandom(32)).decode()
    made = {"id": str(uuid.uuid4()), "secret": secret}
    reading(lambda: source.sql_session().add(Subscription(**body.model_dump(), **made)) or made)
    return made


@app.post("/{kind}/{record}/{word}")
def act(
    kind: str, record: str, word: str, body: Told, actor: Who, idempotency_key: Key, answer: Response
) -> Any:
    way = WAYS.get(kind, {}).get(word)
    if way is None or way.may is by_engine or word == CREATING[kind]:
        raise HTTPException(404)
    return give(kind, record, word, actor, body, idempotency_key, answer)


def reading(function: Any) -> Any:
    """In a transaction, in which the machine's conditions can be asked."""
    if (told := source.run_tx_step(LOCKING, function)) is None:
        raise HTTPException(404)
    return told


@app.get("/tasks")
def tasks(actor: Who) -> Any:
    def found() -> Any:
        session, items = source.sql_session(), list[dict[str, Any]]()
        for task in session.scalars(select(Task).where(Task.role.in_(actor.roles)).order_by(Task.due)):
            record: Any = session.get_one(KINDS[task.kind], task.record)
            if task.word == "settle" or WAYS[task.kind][task.word].may(record, actor):
                told = plain({name: getattr(record, name) for name in TOLD[task.word]})
                items.append({
                    "id": task.id, "record": record.id, "command": task.word, "due": task.due.isoformat(),
                    "holder": task.holder, "reminded": task.reminded, **told,
                })  # fmt: skip
        return {"items": items}

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
