"""The door, and what goes on by itself: `uvicorn examples.twins.approval.app:app`."""

import hashlib
import json
import os
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Annotated, Any

import jwt
from dbos import DBOS, SetWorkflowID
from fastapi import Depends, FastAPI, Header, HTTPException, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from . import machine
from .machine import ENGINE, WAYS, Actor, may_see, plain, shown
from .tables import URL, Base, Department, Entry, Request, Task, source

SECRET, CLAIM = os.environ["APPROVAL_SECRET"], timedelta(hours=8)
LOCKING: Any = {"isolation_level": "READ COMMITTED"}


class Given(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Founding(Given):
    name: str = Field(max_length=100)
    budget: int = Field(ge=0)
    seats: list[str]


class Seating(Given):
    seats: list[str] = []


class Asking(Given):
    department: str
    amount: int = Field(ge=1)
    purpose: str = Field(max_length=500)
    account: str = Field(max_length=34)


class Told(Given):
    amount: int | None = Field(None, ge=1)
    purpose: str | None = Field(None, max_length=500)
    account: str | None = Field(None, max_length=34)
    reason: str | None = Field(None, max_length=500)


@DBOS.workflow()
def command(name: str, record: str, word: str, actor: Actor, given: dict[str, Any], print_: str) -> Any:
    """One command; what follows from it has an id of its own, so that it begins once."""
    return {
        **carry_on(source.run_tx_step(LOCKING, COMMANDS[name], record, word, actor, given)),
        "print": print_,
    }


def carry_on(answer: dict[str, Any]) -> dict[str, Any]:
    for name, arguments in answer.pop("begins"):
        DBOS.start_workflow({"wait": wait, "nag": nag}[name], *arguments)
    return answer


@DBOS.workflow()
def wait(request: str, since: int, seconds: float) -> None:
    """A time: it comes unless the state was left meanwhile."""
    DBOS.sleep(seconds)
    carry_on(source.run_tx_step(LOCKING, machine.move, request, "lapse", ENGINE, {}, since))


@DBOS.workflow()
def nag(task: str, role: str | None, seconds: float) -> None:
    """Remind of a task, or let it go on to another role."""
    DBOS.sleep(seconds)
    source.run_tx_step(LOCKING, press, task, role)


def press(task_id: str, role: str | None) -> None:
    session = source.sql_session()
    task = session.get(Task, task_id, with_for_update=True)
    if task is not None:
        if role is None:
            task.reminded = True
        else:
            task.role, task.holder, task.held_until = role, None, None
        word = "remind" if role is None else "escalate"
        session.add(Entry(record=task.request, word=word, actor="engine", given={"task": task.word}))


COMMANDS: dict[str, Any] = {"move": machine.move, "ask": machine.ask, "govern": machine.govern}


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
    DBOS.launch()
    yield
    DBOS.destroy()


DBOS(config={"name": "approval", "system_database_url": URL, "log_level": "WARNING"})
Base.metadata.create_all(source.engine)
app = FastAPI(title="approval", lifespan=lifespan)


def authenticated(authorization: Annotated[str, Header()]) -> Actor:
    try:
        token = authorization.removeprefix("Bearer ")
        claims = jwt.decode(token, SECRET, ["HS256"], options={"require": ["exp"]})
        return Actor(claims["sub"], frozenset(claims.get("roles", ())))
    except (jwt.InvalidTokenError, KeyError):
        raise HTTPException(401) from None


Who = Annotated[Actor, Depends(authenticated)]
Key = Annotated[str, Header(max_length=255)]
Version = Annotated[str | None, Header(pattern='^"[0-9]{1,18}"$')]


def give(
    name: str, record: str | None, word: str, actor: Actor, given: dict[str, Any], key: str, answer: Response
) -> Any:
    """Give a command once: its key is the id of its workflow, whose result is kept."""
    record = record or str(uuid.uuid5(uuid.NAMESPACE_URL, f"{actor.subject}/{key}"))
    print_ = hashlib.sha256(json.dumps([record, word, given], sort_keys=True).encode()).hexdigest()
    with SetWorkflowID(f"{actor.subject}/{key}"):
        done = DBOS.start_workflow(command, name, record, word, actor, given, print_).get_result()
    if done["print"] != print_:
        raise HTTPException(422, "the key belongs to another request")
    answer.status_code = done["status"]
    return done["body"]


@app.post("/departments")
def found(body: Founding, actor: Who, idempotency_key: Key, answer: Response) -> Any:
    return give("govern", None, "found", actor, body.model_dump(), idempotency_key, answer)


@app.post("/departments/{department}/{word}")
def govern(
    department: str, word: str, body: Seating, actor: Who, idempotency_key: Key, answer: Response
) -> Any:
    if word not in ("seat", "close"):
        raise HTTPException(404)
    return give("govern", department, word, actor, body.model_dump(), idempotency_key, answer)


@app.post("/requests")
def ask(body: Asking, actor: Who, idempotency_key: Key, answer: Response) -> Any:
    return give("ask", None, "ask", actor, body.model_dump(), idempotency_key, answer)


@app.post("/requests/{request}/{word}")
def act(
    request: str, word: str, body: Told, actor: Who, idempotency_key: Key, answer: Response,
    if_match: Version = None,
) -> Any:  # fmt: skip
    if word not in WAYS or word == "lapse":
        raise HTTPException(404)
    given = body.model_dump(exclude_none=True) | ({"version": int(if_match[1:-1])} if if_match else {})
    return give("move", request, word, actor, given, idempotency_key, answer)


def reading(function: Any, *arguments: Any) -> Any:
    """In a transaction, in which the machine's conditions can be asked."""
    return source.run_tx_step(LOCKING, function, *arguments)


@app.get("/departments")
def departments(_: Who) -> Any:
    return reading(
        lambda: {"items": [plain(one) for one in source.sql_session().scalars(select(Department))]}
    )


@app.get("/requests")
def page(actor: Who, state: str | None = None, after: str = "", limit: int = 50) -> Any:
    def found() -> Any:
        wanted = select(Request).where(Request.id > after).order_by(Request.id)
        wanted = wanted if state is None else wanted.where(Request.state == state)
        seen = (shown(one, actor) for one in source.sql_session().scalars(wanted) if may_see(one, actor))
        return {"items": list(islice(seen, min(limit, 100)))}

    return reading(found)


@app.get("/requests/{request}")
def read(request: str, actor: Who) -> Any:
    def found() -> Any:
        one = source.sql_session().get(Request, request)
        return None if one is None or not may_see(one, actor) else shown(one, actor)

    if (told := reading(found)) is None:
        raise HTTPException(404)
    return told


@app.get("/requests/{request}/history")
def history(request: str, actor: Who) -> Any:
    def found() -> Any:
        entries = source.sql_session().scalars(
            select(Entry).where(Entry.record == request).order_by(Entry.id)
        )
        return {"items": [
            {"word": e.word, "actor": e.actor, "at": e.at.isoformat(), "state": e.state, "refused": e.refused}
            for e in entries
        ]}  # fmt: skip

    read(request, actor)
    return reading(found)


@app.get("/tasks")
def tasks(actor: Who) -> Any:
    def found() -> Any:
        wanted = select(Task, Request).join(Request, Request.id == Task.request)
        rows = source.sql_session().execute(wanted.where(Task.role.in_(actor.roles)).order_by(Task.due))
        return {"items": [
            {"id": t.id, "request": r.id, "command": t.word, "due": t.due and t.due.isoformat(),
             "holder": t.holder, "amount": r.amount}
            | ({"account": r.account} if t.word == "pay" else {"purpose": r.purpose})
            for t, r in rows if WAYS[t.word].may(r, actor)
        ]}  # fmt: skip

    return reading(found)


@app.post("/tasks/{task}/{word}")
def hold(task: str, word: str, actor: Who) -> Any:
    def held() -> int:
        found, now = source.sql_session().get(Task, task, with_for_update=True), datetime.now(UTC)
        if found is None or found.role not in actor.roles or word not in ("claim", "release"):
            return 404
        if found.holder not in (None, actor.subject) and (found.held_until or now) > now:
            return 409
        found.holder = actor.subject if word == "claim" else None
        found.held_until = now + CLAIM
        machine.note(found.request, word, actor, {"task": found.word}, None, None)
        return 200

    if (status := reading(held)) != 200:
        raise HTTPException(status)
    return {}
