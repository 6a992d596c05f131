"""The door, and the times that come: `uvicorn examples.twins.booking.app:app`."""

import hashlib
import json
import os
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import islice
from typing import Annotated, Any

import jwt
from dbos import DBOS, SetWorkflowID
from fastapi import Depends, FastAPI, Header, HTTPException, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import select

from .machine import CREATING, ENGINE, KINDS, WAYS, Actor, by_engine, may_see, move, shown
from .tables import URL, Base, Entry, source

SECRET = os.environ["BOOKING_SECRET"]
LOCKING: Any = {"isolation_level": "READ COMMITTED"}


class Given(BaseModel):
    model_config = ConfigDict(extra="forbid")


class AddRoom(Given):
    number: str = Field(max_length=20)
    beds: int = Field(ge=1, le=20)


class Hold(Given):
    room: str
    arrives: AwareDatetime
    leaves: AwareDatetime
    people: int = Field(ge=1)


class Offer(Given):
    title: str = Field(max_length=200)
    places: int = Field(ge=1)
    starts: AwareDatetime


class Ask(Given):
    tour: str
    people: int = Field(ge=1, le=50)


@DBOS.workflow()
def command(kind: str, record: str, word: str, actor: Actor, given: dict[str, Any], print_: str) -> Any:
    return {**carry_on(source.run_tx_step(LOCKING, move, kind, record, word, actor, given)), "print": print_}


def carry_on(answer: dict[str, Any]) -> dict[str, Any]:
    """Begin what follows from a command; each has an id of its own, so that it begins once."""
    for arguments in answer.pop("begins"):
        DBOS.start_workflow(wait, *arguments)
    return answer


@DBOS.workflow()
def wait(kind: str, record: str, since: int, word: str, seconds: float) -> None:
    """A time: it comes unless the state was left meanwhile."""
    DBOS.sleep(seconds)
    carry_on(source.run_tx_step(LOCKING, move, kind, record, word, ENGINE, {}, since))


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
    DBOS.launch()
    yield
    DBOS.destroy()


DBOS(config={"name": "booking", "system_database_url": URL, "log_level": "WARNING"})
Base.metadata.create_all(source.engine)
app = FastAPI(title="booking", lifespan=lifespan)


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
    kind: str, record: str | None, word: str, actor: Actor, body: Given | None, key: str, answer: Response
) -> Any:
    """Give a command once: its key is the id of its workflow, whose result is kept."""
    given = {} if body is None else body.model_dump(mode="json")
    record = record or str(uuid.uuid5(uuid.NAMESPACE_URL, f"{actor.subject}/{key}"))
    print_ = hashlib.sha256(json.dumps([kind, record, word, given], sort_keys=True).encode()).hexdigest()
    with SetWorkflowID(f"{actor.subject}/{key}"):
        done = DBOS.start_workflow(command, kind, record, word, actor, given, print_).get_result()
    if done["print"] != print_:
        raise HTTPException(422, "the key belongs to another request")
    answer.status_code = done["status"]
    return done["body"]


@app.post("/rooms")
def add(body: AddRoom, actor: Who, idempotency_key: Key, answer: Response) -> Any:
    return give("rooms", None, "add", actor, body, idempotency_key, answer)


@app.post("/bookings")
def hold(body: Hold, actor: Who, idempotency_key: Key, answer: Response) -> Any:
    return give("bookings", None, "hold", actor, body, idempotency_key, answer)


@app.post("/tours")
def offer(body: Offer, actor: Who, idempotency_key: Key, answer: Response) -> Any:
    return give("tours", None, "offer", actor, body, idempotency_key, answer)


@app.post("/parties")
def ask(body: Ask, actor: Who, idempotency_key: Key, answer: Response) -> Any:
    return give("parties", None, "ask", actor, body, idempotency_key, answer)


@app.post("/{kind}/{record}/{word}")
def act(kind: str, record: str, word: str, actor: Who, idempotency_key: Key, answer: Response) -> Any:
    way = WAYS.get(kind, {}).get(word)
    if way is None or way.may is by_engine or word == CREATING[kind]:
        raise HTTPException(404)
    return give(kind, record, word, actor, None, idempotency_key, answer)


def reading(function: Any) -> Any:
    if (told := source.run_tx_step(LOCKING, function)) is None:
        raise HTTPException(404)
    return told


@app.get("/{kind}")
def page(kind: str, actor: Who, state: str | None = None, after: str = "", limit: int = 50) -> Any:
    def found() -> Any:
        if (table := KINDS.get(kind)) is None:
            return None
        wanted = select(table).where(table.id > after).order_by(table.id)
        wanted = wanted if state is None else wanted.where(table.state == state)
        seen = (shown(one) for one in source.sql_session().scalars(wanted) if may_see(one, actor))
        return {"items": list(islice(seen, min(limit, 100)))}

    return reading(found)


@app.get("/{kind}/{record}")
def read(kind: str, record: str, actor: Who) -> Any:
    def found() -> Any:
        one = source.sql_session().get(KINDS[kind], record) if kind in KINDS else None
        return shown(one) if one is not None and may_see(one, actor) else None

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
