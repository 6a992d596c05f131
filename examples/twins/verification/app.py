"""The door: `uvicorn examples.twins.verification.app:app`."""

import hashlib
import hmac
import json
import os
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import jwt
from dbos import DBOS, SetWorkflowID
from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from .flows import PROVIDERS, command, listen, signature
from .machine import ENGINES, PUBLISHED, WAYS, Actor, shown
from .tables import URL, Base, Case, Entry, Subscription, Task, source

SECRET, CLAIM = os.environ["VERIFICATION_SECRET"], timedelta(hours=8)


class Given(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Application(Given):
    passport: str = Field(max_length=20)
    renews: str | None = None


class Told(Given):
    verdict: str | None = Field(None, pattern="accept|reject")
    grounds: str | None = Field(None, max_length=2_000)
    wanted: str | None = Field(None, max_length=200)
    proof: str | None = Field(None, max_length=200)


class Subscribing(Given):
    url: str
    words: list[str]


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
    DBOS.launch()
    yield
    DBOS.destroy()


DBOS(config={"name": "verification", "system_database_url": URL})
Base.metadata.create_all(source.engine)
app = FastAPI(title="verification", lifespan=lifespan)


def authenticated(authorization: Annotated[str, Header()]) -> Actor:
    try:
        claims = jwt.decode(
            authorization.removeprefix("Bearer "), SECRET, ["HS256"], options={"require": ["exp"]}
        )
        return Actor(claims["sub"], frozenset(claims.get("roles", ())))
    except (jwt.InvalidTokenError, KeyError):
        raise HTTPException(401) from None


Who = Annotated[Actor, Depends(authenticated)]
Key = Annotated[str, Header(max_length=255)]


def give(case: str, word: str, actor: Actor, given: dict[str, Any], key: str, response: Response) -> Any:
    """Give a command once: its key is the id of its workflow, whose result is kept."""
    fingerprint = hashlib.sha256(json.dumps([case, word, given], sort_keys=True).encode()).hexdigest()
    with SetWorkflowID(f"{actor.subject}/{key}"):
        answer = DBOS.start_workflow(command, case, word, actor, given, fingerprint).get_result()
    if answer["fingerprint"] != fingerprint:
        raise HTTPException(422, "the key belongs to another request")
    response.status_code = answer["status"]
    return answer["body"]


@app.post("/verifications/apply")
def apply(body: Application, actor: Who, idempotency_key: Key, response: Response) -> Any:
    case = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{actor.subject}/{idempotency_key}"))
    word = "renew" if body.renews else "apply"
    return give(case, word, actor, body.model_dump(), idempotency_key, response)


@app.post("/verifications/{case}/{word}")
def act(case: str, word: str, body: Told, actor: Who, idempotency_key: Key, response: Response) -> Any:
    if word not in WAYS or word in ENGINES:
        raise HTTPException(404)
    return give(case, word, actor, body.model_dump(exclude_none=True), idempotency_key, response)


@app.get("/verifications")
def page(actor: Who, state: str | None = None, after: str = "", limit: int = 50) -> Any:
    with Session(source.engine) as session:
        wanted = select(Case).where(Case.id > after).order_by(Case.id).limit(min(limit, 100))
        wanted = wanted if actor.staff else wanted.where(Case.person == actor.subject)
        wanted = wanted if state is None else wanted.where(Case.state == state)
        return {"items": [shown(case, actor) for case in session.scalars(wanted)]}


@app.get("/verifications/{case}")
def read(case: str, actor: Who) -> Any:
    with Session(source.engine) as session:
        found = session.get(Case, case)
        if found is None or not (actor.staff or found.person == actor.subject):
            raise HTTPException(404)
        return shown(found, actor)


@app.get("/verifications/{case}/history")
def history(case: str, actor: Who) -> Any:
    read(case, actor)
    with Session(source.engine) as session:
        entries = session.scalars(select(Entry).where(Entry.case == case).order_by(Entry.id))
        return {"items": [{"word": e.word, "actor": e.actor, "at": e.at, "state": e.state} for e in entries]}


@app.get("/tasks")
def tasks(actor: Who) -> Any:
    with Session(source.engine) as session:
        wanted = select(Task, Case).join(Case, Case.id == Task.case).where(Task.role.in_(actor.roles))
        wanted = wanted.where(or_(Task.word == "settle", Case.person != actor.subject)).order_by(Task.due)
        return {"items": [
            {"id": t.id, "case": c.id, "command": t.word, "due": t.due, "holder": t.holder, "scan": c.scan,
             "screening": c.screening, "proof": c.proof, "problem": c.problem, "verdict": c.verdict}
            for t, c in session.execute(wanted)
        ]}  # fmt: skip


@app.post("/tasks/{task}/{word}")
def hold(task: str, word: str, actor: Who) -> Any:
    with Session(source.engine) as session, session.begin():
        found, now = session.get(Task, task, with_for_update=True), datetime.now(UTC)
        if found is None or found.role not in actor.roles or word not in ("claim", "release", "settle"):
            raise HTTPException(404)
        free = not found.holder or (found.held_until or now) <= now or found.holder == actor.subject
        if not free:
            raise HTTPException(409, "task-claimed")
        session.add(Entry(case=found.case, word=word, actor=actor.subject, given={"task": found.word}))
        if word == "settle":
            DBOS.send(found.id, actor.subject, "settled", idempotency_key=found.id)
            session.delete(found)
        else:
            found.holder = actor.subject if word == "claim" else None
            found.held_until = now + CLAIM
    return {}


@app.post("/subscriptions", status_code=201)
def subscribe(body: Subscribing, actor: Who) -> Any:
    if "mailer" not in actor.roles or not set(body.words) <= set(PUBLISHED):
        raise HTTPException(403)
    made = Subscription(id=str(uuid.uuid4()), url=body.url, words=body.words)
    made.secret = "whsec_" + hashlib.sha256(os.urandom(32)).hexdigest()[:44]
    with Session(source.engine) as session, session.begin():
        session.add(made)
        return {"id": made.id, "secret": made.secret}


@app.post("/events/{provider}", status_code=202)
async def event(provider: str, request: Request) -> Any:
    if provider not in PROVIDERS:
        raise HTTPException(404)
    headers, body = request.headers, await request.body()
    message, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    wanted = signature(PROVIDERS[provider]["secret"], message, at, body)
    signed = any(hmac.compare_digest(wanted, one) for one in headers.get("webhook-signature", "").split())
    if not signed or not at.isdecimal() or abs(time.time() - int(at)) > 300:
        raise HTTPException(401)
    said = json.loads(body)
    if said["type"] == "check.completed":
        with SetWorkflowID(f"{provider}/{message}"):
            DBOS.start_workflow(listen, provider, said["data"])
    return {}
