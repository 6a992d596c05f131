"""The door: `uvicorn examples.twins.checkout_dbos.app:app`."""

import base64
import hashlib
import hmac
import json
import os
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import islice
from typing import Annotated, Any

import jwt
from dbos import DBOS, SetWorkflowID
from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import select

from .flows import LOCKING, command, hear
from .machine import KINDS, WAYS, Actor, by_engine, keeper, may_see, shown
from .tables import URL, Base, Entry, Owed, source

SECRET, WEBHOOK_SECRET = os.environ["CHECKOUT_SECRET"], os.environ["CHECKOUT_WEBHOOK_SECRET"]
OLD_S_MAX = 300
HEARD = {"payment.authorized": "pay", "payment.declined": "reject"}


class Given(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Issue(Given):
    code: str = Field(max_length=40)
    cents: int = Field(ge=1)
    limit: int = Field(ge=1)
    until: AwareDatetime


class Sell(Given):
    holder: str
    balance: int = Field(ge=0)


class PlaceByTransfer(Given):
    sku: str = Field(max_length=64)
    quantity: int = Field(ge=1, le=1_000)
    price: int = Field(ge=1)
    address: str | None = Field(None, max_length=500)
    email: str | None = Field(None, max_length=254)
    coupon: str | None = None
    gift_card: str | None = None
    gift_cents: int = Field(0, ge=0)


class Place(PlaceByTransfer):
    card: str | None = Field(None, max_length=64)
    second_card: str | None = Field(None, max_length=64)
    second_cents: int = Field(0, ge=0)


class Back(Given):
    order: str
    on_first: int = Field(0, ge=0)
    on_second: int = Field(0, ge=0)
    on_gift: int = Field(0, ge=0)


class Told(Given):
    into: str | None = None


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
    DBOS.launch()
    yield
    DBOS.destroy()


DBOS(config={"name": "checkout", "system_database_url": URL, "log_level": "WARNING"})
Base.metadata.create_all(source.engine)
app = FastAPI(title="checkout", lifespan=lifespan)


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


@app.post("/coupons")
def issue(body: Issue, actor: Who, idempotency_key: Key, answer: Response) -> Any:
    return give("coupons", None, "issue", actor, body, idempotency_key, answer)


@app.post("/gift_cards")
def sell(body: Sell, actor: Who, idempotency_key: Key, answer: Response) -> Any:
    return give("gift_cards", None, "sell", actor, body, idempotency_key, answer)


@app.post("/orders")
def place(body: Place, actor: Who, idempotency_key: Key, answer: Response) -> Any:
    return give("orders", None, "place", actor, body, idempotency_key, answer)


@app.post("/orders/place_by_transfer")
def announce(body: PlaceByTransfer, actor: Who, idempotency_key: Key, answer: Response) -> Any:
    return give("orders", None, "place_by_transfer", actor, body, idempotency_key, answer)


@app.post("/refunds")
def refund(body: Back, actor: Who, idempotency_key: Key, answer: Response) -> Any:
    return give("refunds", None, "credit" if body.on_gift else "ask", actor, body, idempotency_key, answer)


@app.post("/{kind}/{record}/{word}")
def act(
    kind: str, record: str, word: str, body: Told, actor: Who, idempotency_key: Key, answer: Response
) -> Any:
    way = WAYS.get(kind, {}).get(word)
    if way is None or way.may is by_engine or "" in way.sources:
        raise HTTPException(404)
    return give(kind, record, word, actor, body, idempotency_key, answer)


@app.post("/events", status_code=202)
async def event(request: Request) -> Any:
    """What the provider says, signed as Standard Webhooks has it; once for its id."""
    body, headers = await request.body(), request.headers
    message, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "0")
    key = base64.b64decode(WEBHOOK_SECRET.removeprefix("whsec_"))
    wanted = base64.b64encode(hmac.digest(key, f"{message}.{at}.".encode() + body, "sha256")).decode()
    signed = any(hmac.compare_digest(f"v1,{wanted}", s) for s in headers.get("webhook-signature", "").split())
    if not signed or abs(time.time() - int(at)) > OLD_S_MAX:
        raise HTTPException(401)
    said = json.loads(body)
    if word := HEARD.get(said["type"]):
        with SetWorkflowID(f"psp/{message}"):
            await DBOS.start_workflow_async(hear, str(said["data"]["reference"]), word)
    return {}


@app.get("/owed")
def owed(actor: Who) -> Any:
    def found() -> Any:
        rows = source.sql_session().scalars(select(Owed).order_by(Owed.id))
        return {"items": [{"id": o.id, "record": o.record, "path": o.path, "code": o.code} for o in rows]}

    return reading(found) if keeper(actor) else reading(lambda: None)


@app.post("/owed/settle")
def settle(owed: str, actor: Who) -> Any:
    """A person has seen to it: what waits for it goes on."""

    def settled() -> Any:
        session = source.sql_session()
        found = session.get(Owed, owed, with_for_update=True) if keeper(actor) else None
        if found is None:
            return None
        flow, _, key = owed.partition("#")
        DBOS.send(flow, actor.subject, key, idempotency_key=owed)
        given = {"path": found.path}
        session.add(Entry(record=found.record, word="settle", actor=actor.subject, given=given))
        session.delete(found)
        return {}

    return reading(settled)


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
