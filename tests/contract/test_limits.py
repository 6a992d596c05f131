"""Limits: a request costs what it may cost, and one that costs more is refused in time."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager

import httpx2
import pytest

from avow.api import app as app_module
from avow.api import exchange
from avow.api.app import Application
from avow.api.authentication import Trust
from avow.store import pool as pool_module
from tests.contract.fix_server import Tenancy, code_of
from tests.contract.fix_venue import ROOM
from tests.contract.raw import ask, connected, read

MEGABYTE = 1_048_576
BUSY = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'avow' AND state <> 'idle'
  AND pid <> pg_backend_pid()
"""


def test_a_body_over_the_limit_is_refused_by_its_length(venue: Tenancy) -> None:
    """L01: by Content-Length before any of it is read, and before anybody is authenticated."""
    head = b"POST /rooms HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    head += b"Content-Length: 1048577\r\n\r\n"
    status, _, body = ask(venue.server, head)
    assert (status, json.loads(body)["limit_bytes"]) == (413, MEGABYTE)


def test_a_body_over_the_limit_is_refused_by_counting(venue: Tenancy) -> None:
    """L01: and by counting where no length was announced."""
    token = venue.actor("ann", "clerk").token or ""
    head = (
        f"POST /rooms HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nIdempotency-Key: k\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    ).encode()
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    with connected(venue.server) as connection:
        connection.sendall(head)
        for _ in range(16):
            connection.sendall(chunk)
        connection.sendall(b"1\r\n \r\n")
        status, _, body = read(connection)
    assert (status, json.loads(body)["limit_bytes"]) == (413, MEGABYTE)
    assert venue.entries() == 0


def test_a_body_at_the_limit_is_read(venue: Tenancy) -> None:
    """L01: the limit itself is still allowed."""
    clerk = venue.actor("ann", "clerk")
    raw = json.dumps(ROOM).encode().ljust(MEGABYTE)
    assert clerk.post("/rooms", raw).status_code == 201


def test_addresses_and_headers_are_bounded(venue: Tenancy) -> None:
    """L01: 414 for an address of more than 8 KiB, 431 for headers of more than 32 KiB or 100 lines."""
    clerk = venue.actor("ann", "clerk")
    assert code_of(clerk.get("/rooms?name=" + "a" * 8_192)) == "uri-too-long"
    assert code_of(clerk.get("/rooms", X_Long="a" * 32_768)) == "headers-too-large"
    many = {f"X-{number}": "a" for number in range(101)}
    assert code_of(clerk.send("GET", "/rooms", headers=many)) == "headers-too-large"


def test_parameters_of_a_query_are_bounded(venue: Tenancy) -> None:
    """L01: more than 64 of them are refused."""
    assert code_of(venue.actor("ann").get("/rooms?" + "&".join(["a=1"] * 65))) == "bad-request"


@asynccontextmanager
async def served(venue: Tenancy, settings: str = "") -> AsyncGenerator[httpx2.AsyncClient]:
    """The application in this process, on the same database, so that a limit can be made small. settings: of
    its connections to it.
    """
    server = venue.server
    trust = Trust(development_secret=bytes.fromhex(server.environment["AVOW_DEVELOPMENT_SECRET"]))
    url = server.database.application_url + settings
    application = Application(server.database.system, url, b"s" * 32, trust)
    transport = httpx2.ASGITransport(app=application)
    headers = {"Authorization": f"Bearer {venue.actor('ann', 'clerk').token}", "Idempotency-Key": "k"}
    try:
        async with httpx2.AsyncClient(transport=transport, base_url="http://a", headers=headers) as client:
            yield client
    finally:
        await application.close()


async def test_a_request_has_a_deadline(venue: Tenancy, monkeypatch: pytest.MonkeyPatch) -> None:
    """L05: past it 504, nothing was executed, and the same key may be used again."""
    monkeypatch.setattr(app_module, "REQUEST_S_MAX", 0.5)
    room = venue.actor("ann", "clerk").create("/rooms", ROOM)
    async with served(venue) as client:
        started = time.monotonic()
        with venue.server.database.locked("rooms", room.id):
            late = await client.post(f"{room.path}/describe", json={"heated": True})
        assert time.monotonic() - started < pool_module.STATEMENT_S_MAX
        assert (late.status_code, code_of(late)) == (504, "deadline-exceeded")
        assert late.headers["retry-after"] == "1"
    monkeypatch.undo()
    async with served(venue) as client:
        again = await client.post(f"{room.path}/describe", json={"heated": True})
    assert again.status_code == 200
    assert venue.entries() == 2


async def test_a_statement_ends_before_its_request_does(
    venue: Tenancy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L05: the database's own timeout is the shorter one, and is answered with 504 as well."""
    assert pool_module.STATEMENT_S_MAX < app_module.REQUEST_S_MAX
    monkeypatch.setitem(pool_module._BOUNDED, "statement_timeout", "300ms")
    room = venue.actor("ann", "clerk").create("/rooms", ROOM)
    async with served(venue) as client:
        with venue.server.database.locked("rooms", room.id):
            late = await client.post(f"{room.path}/describe", json={"heated": True})
        assert (late.status_code, code_of(late)) == (504, "deadline-exceeded")
    monkeypatch.undo()
    async with served(venue) as client:
        assert (await client.post(f"{room.path}/describe", json={"heated": True})).status_code == 200


async def test_too_many_requests_are_refused_before_they_begin(
    venue: Tenancy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L05: whoever would wait behind too many others gets 503 with Retry-After at once."""
    monkeypatch.setattr(pool_module, "WAITING_MAX", 0)
    async with served(venue) as client:
        refused = await client.get("/rooms")
        assert (refused.status_code, code_of(refused)) == (503, "busy")
        assert refused.headers["retry-after"] == "1"
        assert refused.json()["retryable"] is True


async def test_a_database_that_is_gone_is_said_to_be_gone(venue: Tenancy) -> None:
    """L05: without a database commands and /readyz get 503, /healthz 200."""
    trust = Trust(development_secret=bytes.fromhex(venue.server.environment["AVOW_DEVELOPMENT_SECRET"]))
    gone = "postgresql://nobody:x@127.0.0.1:1/nothing"
    application = Application(venue.server.database.system, gone, b"s" * 32, trust)
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=application), base_url="http://a"
    ) as client:
        for path in ("/readyz", "/rooms"):
            answer = await client.get(path)
            assert (answer.status_code, code_of(answer)) == (503, "database-unavailable")
            assert "127.0.0.1" not in answer.text
        assert (await client.get("/healthz")).status_code == 200


async def test_a_database_that_takes_no_writes_is_said_to_be_gone(venue: Tenancy) -> None:
    """L05: on a standby commands and /readyz get 503, so that requests are sent elsewhere; it still reads."""
    async with served(venue, "?default_transaction_read_only=on") as client:
        for answer in (await client.get("/readyz"), await client.post("/rooms", json=ROOM)):
            assert (answer.status_code, code_of(answer)) == (503, "database-unavailable")
            assert answer.headers["retry-after"]
        assert (await client.get("/rooms")).json() == {"items": []}
    async with served(venue) as client:
        assert (await client.get("/readyz")).status_code == 200
        assert (await client.post("/rooms", json=ROOM)).status_code == 201


def test_a_slow_client_holds_no_connection_to_the_database(venue: Tenancy) -> None:
    """L06: while 40 bodies trickle in, other requests are served, and no transaction is open."""
    token = venue.actor("ann", "clerk").token
    clerk = venue.actor("bob", "clerk")
    head = (
        f"POST /rooms HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nIdempotency-Key: k\r\n"
        "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
    ).encode()
    with ExitStack() as slow:
        for _ in range(40):
            slow.enter_context(connected(venue.server)).sendall(head)
        for number in range(20):
            assert clerk.post("/rooms", {"name": f"{number}", "places": 1}).status_code == 201
        assert venue.server.database.fetch(BUSY)[0][0] == 0


async def test_a_body_that_does_not_arrive_is_given_up(
    venue: Tenancy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L06: after a while 408; what was sent so far isn't executed."""
    monkeypatch.setattr(exchange, "BODY_S_MAX", 0.2)
    server = venue.server
    trust = Trust(development_secret=bytes.fromhex(server.environment["AVOW_DEVELOPMENT_SECRET"]))
    application = Application(server.database.system, server.database.application_url, b"s" * 32, trust)
    headers = {
        "authorization": f"Bearer {venue.actor('ann', 'clerk').token}", "idempotency-key": "k",
        "content-type": "application/json", "content-length": "30",
    }  # fmt: skip
    scope = {
        "type": "http", "method": "POST", "path": "/rooms", "raw_path": b"/rooms", "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    sent = list[dict[str, object]]()
    parts = [{"type": "http.request", "body": b'{"name"', "more_body": True}]

    async def receive() -> dict[str, object]:
        if parts:
            return parts.pop()
        raise TimeoutError  # what waiting in vain comes to

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    await application(scope, receive, send)
    await application.close()
    assert sent[0]["status"] == 408
    assert venue.entries() == 0
