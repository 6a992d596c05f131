"""The twins that are written with DBOS do what they are counted for."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import jwt

from avow.store.pool import connect
from avow.store.schema.install import create_database
from avow.store.server.cluster import Cluster
from avow.testing import Fault, Provider
from bench.speed.service import free_port
from tests.acceptance.forked import Forked
from tests.acceptance.polling import until

SECRET = "of a twin, thirty-two characters long"
WEBHOOK_SECRET = "whsec_" + "c2VjcmV0IG9mIGEgdHdpbiwgMzIgY2hhcmFjdGVycw=="
CHAIR: dict[str, Any] = {"sku": "chair", "quantity": 1, "price": 5_000, "card": "4242"}
ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"checkout": "checkout_dbos"}
"""Where another twin has the name already."""
LOADED = ("dbos", "fastapi.responses", "sqlalchemy.dialects.postgresql.psycopg", "sqlalchemy.orm", "uvicorn")
"""What each of them takes over a second to load."""
READY_S_MAX, END_S_MAX = 60.0, 15.0


class Door:
    """What is asked of one twin, by whom."""

    def __init__(self, url: str) -> None:
        self.url, self.client = url, httpx2.AsyncClient(base_url=url, timeout=30)

    async def send(
        self,
        who: str,
        path: str,
        body: dict[str, Any] | None = None,
        version: int | None = None,
        key: str = "",
    ) -> httpx2.Response:
        """who: the subject, and after a slash a role."""
        subject, _, role = who.partition("/")
        claims = {"sub": subject, "roles": [role], "exp": time.time() + 600}
        headers = {"Authorization": f"Bearer {jwt.encode(claims, SECRET, 'HS256')}"}
        if body is None:
            return await self.client.get(path, headers=headers)
        headers |= {"Idempotency-Key": key or str(uuid4())}
        if version is not None:
            headers["If-Match"] = f'"{version}"'
        return await self.client.post(path, json=body, headers=headers)

    async def do(
        self, who: str, path: str, body: dict[str, Any] | None = None, version: int | None = None
    ) -> Any:
        answer = await self.send(who, path, body, version)
        assert answer.status_code < 300, answer.text
        return answer.json()

    async def refused(self, who: str, path: str, body: dict[str, Any], version: int | None = None) -> str:
        answer = await self.send(who, path, body, version)
        assert answer.status_code >= 400, answer.text
        return answer.json()["code"]


@asynccontextmanager
async def twin(name: str, cluster: Cluster, log: Path, **more: str) -> AsyncGenerator[Door]:
    """One that runs, on a database of its own; more: what its environment says besides."""
    database, port = f"twin_{name}", free_port()
    server = await connect(cluster.url())
    await create_database(server, database)
    await server.close()
    url = cluster.url(database).replace("postgresql://", "postgresql+psycopg://")
    environment = {f"{name.upper()}_DATABASE_URL": url, f"{name.upper()}_SECRET": SECRET, **more}
    process = _started(name, port, {**os.environ, **environment}, log)
    try:
        await until(lambda: _listens(process, port), f"the {name} listens", READY_S_MAX)
        door = Door(f"http://127.0.0.1:{port}")
        async with door.client:
            yield door
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(process.wait, END_S_MAX)
        except TimeoutError:
            process.send_signal(signal.SIGKILL)


def _started(name: str, port: int, environment: dict[str, str], log: Path) -> Forked:
    arguments = [f"examples.twins.{FOLDERS.get(name, name)}.app:app", "--port", str(port)]
    with log.open("wb") as said, open(os.devnull) as nothing:
        streams = [nothing.fileno(), said.fileno(), said.fileno()]
        return Forked("uvicorn", arguments, ROOT, environment, streams, loaded=LOADED)


async def _listens(process: Forked, port: int) -> bool:
    assert process.poll() is None, "it has ended; its log says why"
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def test_the_approval(cluster: Cluster, tmp_path: Path) -> None:
    """Two of three, the board and the cashier; a revision voids votes; a budget holds; a key counts once."""
    async with twin("approval", cluster, tmp_path / "log") as door:
        founding = {"name": "Research", "budget": 1_500_000, "seats": ["ann", "bea", "cid"]}
        department = (await door.do("dan/director", "/departments", founding))["id"]
        wanted = {"department": department, "amount": 1_000_000, "purpose": "a desk", "account": "DE02"}
        first, again = [(await door.send("rex", "/requests", wanted, key="k")).json() for _ in range(2)]
        assert first == again
        request = f"/requests/{first['id']}"

        await door.do("ann/manager", f"{request}/approve", {}, 1)
        assert await door.refused("ann/manager", f"{request}/approve", {}, 2) == "four-eyes"
        assert await door.refused("bea/manager", f"{request}/approve", {}, 1) == "precondition-failed"
        assert await door.refused("rex/manager", f"{request}/approve", {}, 2) == "forbidden"
        edited = {"amount": 1_000_000, "purpose": "two desks", "account": "DE03"}
        assert (await door.do("rex", f"{request}/revise", edited))["state"] == "pending"
        await door.do("ann/manager", f"{request}/approve", {}, 3)
        seen = await door.do("bea/manager", f"{request}/approve", {}, 4)
        assert (seen["state"], "account" in seen) == ("endorsed", False)
        assert [task["command"] for task in (await door.do("mia/board", "/tasks"))["items"]] == ["sanction"]
        assert (await door.do("mia/board", f"{request}/sanction", {}, 5))["state"] == "approved"
        assert await door.refused("mia/cashier", f"{request}/pay", {}) == "four-eyes"
        (task,) = (await door.do("cas/cashier", "/tasks"))["items"]
        await door.do("cas/cashier", f"/tasks/{task['id']}/claim", {})
        assert await door.refused("cat/cashier", f"{request}/pay", {}) == "task-claimed"
        assert (await door.do("cas/cashier", f"{request}/pay", {}))["account"] == "DE03"

        more = await door.do("rex", "/requests", wanted | {"amount": 600_000})
        path = f"/requests/{more['id']}/approve"
        await door.do("ann/manager", path, {}, 1)
        assert await door.refused("bea/manager", path, {}, 2) == "invariant-violated"
        told = (await door.do("rex", f"/requests/{more['id']}/history"))["items"]
        assert [(one["word"], one["refused"]) for one in told] == [
            ("ask", None), ("approve", None), ("approve", "invariant-violated"),
        ]  # fmt: skip


async def test_the_booking(cluster: Cluster, tmp_path: Path) -> None:
    """A room is let once, whoever asks at once; places that are given back go to the next in line."""
    async with twin("booking", cluster, tmp_path / "log") as door:
        room = (await door.do("dan/desk", "/rooms", {"number": "12", "beds": 2}))["id"]
        stay = {"room": room, "arrives": "2030-05-01T14:00Z", "leaves": "2030-05-03T10:00Z", "people": 2}
        answers = await asyncio.gather(*(door.send(who, "/bookings", stay) for who in ("amy", "bob", "cat")))
        assert sorted(one.status_code for one in answers) == [201, 409, 409]
        held = next(one.json() for one in answers if one.status_code == 201)
        path = f"/bookings/{held['id']}"
        assert (await door.send("zoe", path)).status_code == 404
        assert await door.refused("zoe", f"{path}/confirm", {}) == "not-found"
        for word in ("confirm", "check_in", "check_out"):
            who = held["owner"] if word == "confirm" else "dan/desk"
            state = (await door.do(who, f"{path}/{word}", {}))["state"]
        assert state == "departed"
        assert await door.refused("dan/desk", f"{path}/check_out", {}) == "state-conflict"
        assert await door.refused("amy", "/bookings", stay | {"people": 3}) == "guard-failed"

        tour = {"title": "Lake", "places": 4, "starts": "2030-05-02T09:00Z"}
        lake = (await door.do("dan/desk", "/tours", tour))["id"]
        parties = [
            (await door.do(who, "/parties", {"tour": lake, "people": count}))["id"]
            for who, count in (("amy", 3), ("bob", 2), ("cat", 1))
        ]
        states = [(await door.do("dan/desk", f"/parties/{one}"))["state"] for one in parties]
        assert states == ["held", "waiting", "waiting"]
        await door.do("amy", f"/parties/{parties[0]}/cancel", {})
        states = [(await door.do("dan/desk", f"/parties/{one}"))["state"] for one in parties]
        assert states == ["gone", "held", "held"]
        # Who leaves from behind gives nothing to those in front.
        small = (await door.do("dan/desk", "/tours", tour | {"places": 1}))["id"]
        parties = [
            (await door.do(who, "/parties", {"tour": small, "people": 1}))["id"]
            for who in ("amy", "bob", "cat")
        ]
        await door.do("cat", f"/parties/{parties[2]}/leave_line", {})
        states = [(await door.do("dan/desk", f"/parties/{one}"))["state"] for one in parties]
        assert states == ["held", "waiting", "gone"]


async def test_the_admission(cluster: Cluster, tmp_path: Path) -> None:
    """Papers, four eyes and a place; who comes next waits in line, and moves up when it is declined."""
    async with twin("admission", cluster, tmp_path / "log") as door:
        begins = "2100-10-01T08:00Z"
        announced = {"title": "Algebra", "seats": 1, "begins": begins}
        course = (await door.do("rita/registrar", "/courses", announced))["id"]
        past = announced | {"begins": "2001-10-01T08:00Z"}
        assert await door.refused("rita/registrar", "/courses", past) == "guard-failed"

        async def approved(who: str) -> str:
            path = f"/enrollments/{(await door.do(who, '/enrollments', {'course': course}))['id']}"
            assert await door.refused(who, f"{path}/submit", {}) == "guard-failed"
            await door.do(who, f"{path}/write", {"essay": "Why", "transcript": "s3://papers/1"})
            await door.do(who, f"{path}/submit", {})
            await door.do("hal/head", f"{path}/verify", {})
            assert await door.refused("hal/head", f"{path}/approve", {}) == "forbidden"
            (task,) = (await door.do("dea/dean", "/tasks"))["items"]
            assert (task["command"], task["essay"], "transcript" in task) == ("approve", "Why", False)
            await door.do("dea/dean", f"{path}/approve", {})
            return path

        first, second = await approved("amy"), await approved("bob")
        assert await door.refused("amy", "/enrollments", {"course": course}) == "unique-violated"
        states = [(await door.do("rita/registrar", path))["state"] for path in (first, second)]
        assert states == ["offered", "waiting"]
        third = await approved("cat")
        await door.do("cat", f"{third}/decline", {})
        assert (await door.do("rita/registrar", second))["state"] == "waiting", "one seat, whoever leaves"
        assert await door.refused("bob", f"{second}/accept", {}) == "state-conflict"
        assert (await door.do("amy", f"{first}/decline", {}))["state"] == "withdrawn"
        assert (await door.do("bob", f"{second}/accept", {}))["state"] == "enrolled"
        assert "essay" not in await door.do("hal/head", second)
        assert await door.refused("rita/registrar", f"{second}/archive", {}) == "guard-failed"


async def test_the_onboarding(cluster: Cluster, tmp_path: Path) -> None:
    """Nobody begins without everything; what is called off leaves nothing, also while the account is made."""
    with Provider() as outside:
        outside.behave("accounts", "create", script=["lose_reply"])
        outside.behave("accounts", "delete", script=["fail_after"])
        async with twin("onboarding", cluster, tmp_path / "log", ONBOARDING_PROVIDER_URL=outside.url) as door:
            await _prepare(door)
            await _call_off(door, outside)
        assert outside.ledger().doubled() == []


async def _announced(door: Door, person: str, first_day: str = "2100-01-05T08:00Z") -> str:
    given = {"person": person, "name": "A. B.", "login": person, "boss": "bea", "first_day": first_day}
    case = (await door.do("hal/hr", "/onboardings", given))["id"]
    for kind in ("laptop", "desk", "plan"):
        asked = {"onboarding": case, "kind": kind, "what": kind, "due": "2100-01-02T08:00Z"}
        await door.do("hal/hr", "/jobs", asked)
    return f"/onboardings/{case}"


async def _done(door: Door, who: str, name: str) -> None:
    """The task of this role, which only it may do."""
    task = next(one for one in (await door.do(who, "/tasks"))["items"] if one["command"] == name)
    path = "jobs" if name in ("do", "take_back") else "onboardings"
    assert await door.refused("zoe/lawyer", f"/{path}/{task['record']}/{name}", {}) == "not-found"
    await door.do(who, f"/tasks/{task['id']}/claim", {})
    await door.do(who, f"/{path}/{task['record']}/{name}", {})


async def _prepare(door: Door) -> None:
    case = await _announced(door, "ann")
    wanted = {"onboarding": case.split("/")[-1], "kind": "contract", "due": "2099-12-20T08:00Z"}
    paper = f"/papers/{(await door.do('hal/hr', '/papers', wanted))['id']}"
    assert await door.refused("hal/hr", f"{case}/complete", {}) == "guard-failed"
    assert await door.refused("ann", f"{paper}/hand_in", {}) == "guard-failed"
    await door.do("ann", f"{paper}/hand_in", {"file": "s3://1"})
    assert "file" not in await door.do("lea/lead", paper)
    (task,) = (await door.do("hal/hr", "/tasks"))["items"]
    assert (task["command"], task["file"]) == ("accept", "s3://1")
    await door.do("hal/hr", f"{paper}/accept", {})
    for who in ("ian/it", "fay/facilities"):
        await _done(door, who, "do")
    assert (await door.do("mia/manager", "/tasks"))["items"] == [], "only who will be the boss plans"
    await _done(door, "bea/manager", "do")
    await door.do("hal/hr", f"{case}/complete", {})
    assert "name" not in await _is(door, case, "ready")
    postponed = await door.do("hal/hr", f"{case}/postpone", {"first_day": "2100-02-05T08:00Z"})
    assert postponed["state"] == "ready"
    assert (
        await door.refused("hal/hr", f"{case}/postpone", {"first_day": "2001-02-05T08:00Z"}) == "guard-failed"
    )
    await door.do("ann", f"{case}/cancel", {})
    await _is(door, case, "undoing")
    for who in ("ian/it", "fay/facilities"):
        await _done(door, who, "take_back")
    assert (await _is(door, case, "cancelled"))["account"] is None


async def _call_off(door: Door, outside: Provider) -> None:
    case = await _announced(door, "bob")
    outside.behave("accounts", "create", script=[Fault("hold", at="reply")])
    await door.do("hal/hr", f"{case}/complete", {})
    await asyncio.to_thread(outside.wait_held)
    assert (await door.do("bob", f"{case}/cancel", {}))["state"] == "stopping"
    outside.release()
    await _is(door, case, "cancelled")


async def _is(door: Door, path: str, state: str) -> Any:
    return await _is_as(door, "lea/lead", path, state)


async def test_the_verification(cluster: Cluster, tmp_path: Path) -> None:
    """Both providers, whose replies are lost, are asked once; doubts are judged by two; a cancel ends it."""
    with Provider() as idscan, Provider() as bureau:
        providers = {"idscan": idscan, "bureau": bureau}
        for outside, fault in ((idscan, "lose_reply"), (bureau, "fail_after")):
            outside.behave("identity", "check", script=[fault])
        told = {name: {"url": one.url, "secret": WEBHOOK_SECRET} for name, one in providers.items()}
        async with twin(
            "verification", cluster, tmp_path / "log", VERIFICATION_PROVIDERS=json.dumps(told)
        ) as door:
            for name, outside in providers.items():
                outside.send_webhooks_to(f"{door.url}/events/{name}", secret=WEBHOOK_SECRET)
            await _verify(door)
            await _give_up(door, idscan)
            assert (await door.client.post("/events/idscan", json={})).status_code == 401
        for outside in providers.values():
            assert outside.ledger().doubled() == []


async def _applied(door: Door, who: str, passport: str) -> str:
    return f"/verifications/{(await door.do(who, '/verifications/apply', {'passport': passport}))['id']}"


async def _verify(door: Door) -> None:
    good, risky = await _applied(door, "ann", "P1"), await _applied(door, "bob", "risky")
    assert await door.refused("ann", "/verifications/apply", {"passport": "P1"}) == "unique-violated"
    assert "scan" not in await _is_as(door, "ann", good, "verified")
    await _is_as(door, "ana/analyst", risky, "review")
    judged = {"verdict": "accept", "grounds": "met in person"}
    assert await door.refused("bob/analyst", f"{risky}/assess", judged) == "forbidden"
    assert await door.refused("ana/analyst", f"{risky}/assess", {"verdict": "accept"}) == "input-invalid"
    await door.do("ana/analyst", f"{risky}/assess", judged)
    assert await door.refused("ana/analyst", f"{risky}/confirm", {}) == "forbidden"
    (task,) = (await door.do("alf/analyst", "/tasks"))["items"]
    assert (task["command"], task["verdict"]) == ("confirm", "accept")
    assert (await door.do("alf/analyst", f"{risky}/confirm", {}))["state"] == "verified"
    assert (await door.send("zoe", risky)).status_code == 404


async def _give_up(door: Door, idscan: Provider) -> None:
    idscan.behave("identity", "check", script=[Fault("hold", at="reply")])
    case = await _applied(door, "cid", "P2")
    await asyncio.to_thread(idscan.wait_held)
    assert (await door.do("cid", f"{case}/cancel", {}))["state"] == "cancelling"
    idscan.release()
    await _is_as(door, "cid", case, "withdrawn")


async def _is_as(door: Door, who: str, path: str, state: str) -> Any:
    async def there() -> Any:
        found = await door.do(who, path)
        return found if found["state"] == state else None

    return await until(there, f"{path} is {state}", timeout_s=40)


async def test_the_checkout(cluster: Cluster, tmp_path: Path) -> None:
    """Whole or undone, also where replies are lost; a transfer is awaited; what is given back is bounded."""
    keys = {"CHECKOUT_WEBHOOK_SECRET": WEBHOOK_SECRET}
    with Provider() as outside:
        outside.behave("payment", "authorize", script=["lose_reply", "fail_after"])
        outside.behave("payment", "capture", script=["cut_within", "duplicate"])
        async with twin(
            "checkout", cluster, tmp_path / "log", CHECKOUT_PROVIDER_URL=outside.url, **keys
        ) as door:
            outside.send_webhooks_to(f"{door.url}/events", secret=WEBHOOK_SECRET)
            await _buy(door)
            await _undo(door, outside)
            await _transfer(door, outside)
        assert outside.ledger().doubled({"payment.authorize": 2, "payment.capture": 2}) == []


async def _buy(door: Door) -> None:
    coupon = {"code": "SPRING", "cents": 500, "limit": 1, "until": "2100-01-01T00:00Z"}
    spring = (await door.do("dan/shopkeeper", "/coupons", coupon))["id"]
    given = (await door.do("dan/shopkeeper", "/gift_cards", {"holder": "amy", "balance": 700}))["id"]
    wanted = CHAIR | {"coupon": spring, "gift_card": given, "gift_cents": 700}
    wanted |= {"second_card": "4343", "second_cents": 1_000}
    assert await door.refused("bob", "/orders", wanted) == "refused"
    order = (await door.do("amy", "/orders", wanted))["id"]
    bought = await _ends(door, "amy", order, "completed")
    assert (bought["card_cents"], bought["coupon_cents"]) == (2_800, 500)
    assert await door.refused("bob", "/orders", CHAIR | {"coupon": spring}) == "invariant-violated"
    assert (await door.send("bob", f"/orders/{order}")).status_code == 404

    back = [door.send("dan/shopkeeper", "/refunds", {"order": order, "on_first": 1_500}) for _ in range(2)]
    assert sorted(one.status_code for one in await asyncio.gather(*back)) == [201, 409]
    await door.do("dan/shopkeeper", "/refunds", {"order": order, "on_gift": 200})
    cards = (await door.do("amy", "/gift_cards"))["items"]
    assert [(card["balance"], card["spent"]) for card in cards] == [(200, 500)]


async def _undo(door: Door, outside: Provider) -> None:
    order = (await door.do("amy", "/orders", CHAIR | {"second_card": "declined",
                                                      "second_cents": 1_000}))["id"]  # fmt: skip
    assert (await _ends(door, "amy", order, "cancelled"))["problem"] == "declined"
    outside.behave("stock", "reserve", script=[Fault("hold", at="reply")])
    order = (await door.do("amy", "/orders", CHAIR))["id"]
    await asyncio.to_thread(outside.wait_held)
    await door.do("amy", f"/orders/{order}/cancel", {})
    outside.release()
    await _ends(door, "amy", order, "cancelled")
    sums = outside.ledger().sums()[order]
    assert (sums["stock.reserve"], sums.get("payment.authorize")) == (sums["stock.release"], None)


async def _transfer(door: Door, outside: Provider) -> None:
    wanted = {"sku": "chair", "quantity": 1, "price": 5_000}
    order = (await door.do("amy", "/orders/place_by_transfer", wanted))["id"]
    await _ends(door, "amy", order, "awaiting")
    outside.settle("payment", order, "authorized")
    await _ends(door, "amy", order, "completed")
    assert outside.ledger().balance(order) == 5_000


async def _ends(door: Door, who: str, order: str, state: str) -> Any:
    async def there() -> Any:
        found = await door.do(who, f"/orders/{order}")
        return found if found["state"] == state else None

    return await until(there, f"the order is {state}")
