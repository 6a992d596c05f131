"""Subscriptions over HTTP: made by whoever may, their secrets shown once, and told by the server."""

from __future__ import annotations

import json
import socket
import threading
import uuid
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from avow.model.signature import StandardWebhooks, verify
from tests.contract.fix_server import Caller, Server, StartServer, Tenancy, code_of

INVOICES = Path(__file__).parent / "systems" / "invoices.py"
SEND, PAY = "invoices.Invoice.send", "invoices.Invoice.pay"
TOLD = "SELECT count(*) = $2 FROM avow.attempt WHERE tenant = $1 AND outcome = 'delivered'"


class Inbox(HTTPServer):
    """What subscribers got."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.came = list[tuple[dict[str, str], bytes]]()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class _Handler(BaseHTTPRequestHandler):
    server: Inbox

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.came.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def inbox() -> Generator[Inbox]:
    server = Inbox()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def _office(start_server: StartServer) -> Server:
    return start_server(INVOICES)


@pytest.fixture
def office(_office: Server) -> Tenancy:
    return _office.tenancy()


@pytest.fixture
def partner(office: Tenancy) -> Caller:
    return office.actor("partner", "integrator")


def _subscribe(partner: Caller, url: str = "https://hooks.example/in", *events: str, key: str = "") -> Any:
    answer = partner.post("/subscriptions", {"url": url, "events": list(events or (SEND, PAY))}, key)
    assert answer.status_code == 201, answer.text
    return answer.json()


def _do(partner: Caller, subscription: Any, verb: str, body: Any = None) -> Any:
    answer = partner.post(f"/subscriptions/{subscription['id']}/{verb}", body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def _pay(office: Tenancy) -> str:
    alice = office.actor("alice")
    invoice = alice.create("/invoices", {"cents": 5})
    alice.do(f"{invoice.path}/send")
    alice.do(f"{invoice.path}/pay")
    return invoice.id


def made_as_shown(made: Any) -> dict[str, Any]:
    return {name: value for name, value in made.items() if name != "secret"}


def _wait(office: Tenancy, count: int) -> None:
    office.server.database.wait_until(TOLD, office.tenant, count, what=f"{count} deliveries were taken")


def test_what_happens_reaches_the_subscriber_signed_with_the_secret_that_was_shown(
    office: Tenancy, partner: Caller, inbox: Inbox
) -> None:
    made = _subscribe(partner, inbox.url)
    record = _pay(office)
    _wait(office, 2)
    events = [json.loads(body) for _, body in inbox.came]
    assert [(event["type"], event["subject"]) for event in events] == [(SEND, record), (PAY, record)]
    for headers, body in inbox.came:
        lines = [(name.encode(), value.encode()) for name, value in headers.items()]
        assert verify(StandardWebhooks(), [made["secret"]], lines, body, datetime.now(UTC))


def test_a_secret_is_shown_in_the_answer_that_made_it_alone(partner: Caller) -> None:
    made = _subscribe(partner)
    assert made["secret"].startswith("whsec_")
    assert "secret" not in partner.get(f"/subscriptions/{made['id']}").json()
    assert all("secret" not in item for item in partner.get("/subscriptions").json()["items"])
    assert _do(partner, made, "rotate")["secret"] != made["secret"]


def test_a_key_makes_one_subscription_and_one_rotation(partner: Caller) -> None:
    key = str(uuid.uuid4())
    first, second = _subscribe(partner, key=key), _subscribe(partner, key=key)
    assert first == second
    other = partner.post("/subscriptions", {"url": "https://other.example/", "events": [SEND]}, key)
    assert code_of(other) == "idempotency-key-reused"
    rotated = [partner.post(f"/subscriptions/{first['id']}/rotate", None, key).json() for _ in range(2)]
    assert rotated[0] == rotated[1]
    assert code_of(partner.post("/subscriptions", {}, None)) == "idempotency-key-missing"


def test_a_request_that_is_sent_again_later_does_nothing_and_is_answered_as_it_was(partner: Caller) -> None:
    """Whatever was done to the subscription meanwhile stays done."""
    key, other = str(uuid.uuid4()), str(uuid.uuid4())
    made = _subscribe(partner, key=key)
    path = f"/subscriptions/{made['id']}"
    paused = partner.post(f"{path}/pause", key=key)
    assert _do(partner, made, "resume")["state"] == "active"
    _sent_again(paused, partner.post(f"{path}/pause", key=key))
    assert partner.get(path).json()["state"] == "active"
    first = partner.post(f"{path}/rotate", key=key)
    second = partner.post(f"{path}/rotate", key=other)
    _sent_again(first, partner.post(f"{path}/rotate", key=key))
    assert _do(partner, made, "rotate")["secret"] not in (first.json()["secret"], second.json()["secret"])
    since = {"since": made["created_at"]}
    replaying = partner.post(f"{path}/replay", since, key)
    assert code_of(partner.post(f"{path}/replay", {"since": "2026-01-01T00:00:00Z"}, key)) == (
        "idempotency-key-reused"
    )
    ended = partner.post(f"{path}/delete", key=key)
    for before, verb, body in (
        (replaying, "replay", since),
        (paused, "pause", None),
        (ended, "delete", None),
    ):
        _sent_again(before, partner.post(f"{path}/{verb}", body, key))
    assert _subscribe(partner, key=key) == made
    assert code_of(partner.get(path)) == code_of(partner.post(f"{path}/pause", key=other)) == "not-found"
    assert code_of(partner.post(f"/subscriptions/{uuid.uuid4()}/pause", key=key)) == "not-found"


def _sent_again(before: Any, again: Any) -> None:
    assert (again.status_code, again.content) == (before.status_code, before.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in before.headers


def test_of_copies_at_once_one_ends_the_subscription_and_all_are_answered(partner: Caller) -> None:
    made = _subscribe(partner)
    with ThreadPoolExecutor(16) as copies:
        ends = [
            copies.submit(partner.post, f"/subscriptions/{made['id']}/delete", key="end") for _ in range(16)
        ]
    assert {(end.result().status_code, end.result().text) for end in ends} == {(200, ends[0].result().text)}
    assert sum("idempotency-replayed" not in end.result().headers for end in ends) == 1


def test_only_whom_the_declaration_lets_sees_or_makes_subscriptions(office: Tenancy, partner: Caller) -> None:
    made = _subscribe(partner)
    alice = office.actor("alice", "clerk")
    wish = {"url": "https://hooks.example/in", "events": [SEND]}
    assert code_of(alice.post("/subscriptions", wish)) == "forbidden"
    assert code_of(alice.get("/subscriptions")) == "forbidden"
    assert code_of(alice.post(f"/subscriptions/{made['id']}/delete")) == "forbidden"
    assert code_of(office.nobody.get("/subscriptions")) == "unauthenticated"


def test_a_neighbours_subscription_is_not_there(office: Tenancy, partner: Caller) -> None:
    made = _subscribe(partner)
    neighbour = office.server.tenancy().actor("partner", "integrator")
    assert neighbour.get("/subscriptions").json() == {"items": []}
    assert code_of(neighbour.get(f"/subscriptions/{made['id']}")) == "not-found"
    for verb in ("pause", "resume", "rotate", "delete"):
        assert code_of(neighbour.post(f"/subscriptions/{made['id']}/{verb}")) == "not-found"
    replay = neighbour.post(f"/subscriptions/{made['id']}/replay", {"since": "2020-01-01T00:00:00Z"})
    assert code_of(replay) == "not-found"


@pytest.mark.parametrize(
    ("wish", "pointers"),
    [
        ({}, ["#/url", "#/events"]),
        ({"url": "ftp://a/", "events": [SEND]}, ["#/url"]),
        ({"url": "https://user:pass@a.example/", "events": [SEND]}, ["#/url"]),
        ({"url": "https://a.example/", "events": [SEND, SEND]}, ["#/events"]),
        ({"url": "https://a.example/", "events": ["invoices.Invoice.write"]}, ["#/events/0"]),
        ({"url": "https://a.example/", "events": [7]}, ["#/events/0"]),
        ({"url": "https://a.example/", "events": [SEND], "more": 1}, ["#/more"]),
        ([], ["#"]),
    ],
)
def test_a_wish_that_cannot_be_is_refused_with_its_places(
    partner: Caller, wish: Any, pointers: list[str]
) -> None:
    answer = partner.post("/subscriptions", wish)
    assert code_of(answer) == "input-invalid"
    assert [error["pointer"] for error in answer.json()["errors"]] == pointers


def test_a_subscription_is_paused_resumed_replayed_and_ended(
    office: Tenancy, partner: Caller, inbox: Inbox
) -> None:
    made = _subscribe(partner, inbox.url)
    assert _do(partner, made, "pause")["state"] == "paused"
    _pay(office)
    assert inbox.came == []
    assert _do(partner, made, "resume")["state"] == "active"
    _wait(office, 2)
    begun = _do(partner, made, "replay", {"since": made["created_at"]})
    assert begun == {**made_as_shown(made), "replaying_since": made["created_at"]}
    _wait(office, 4)
    ids = [json.loads(body)["id"] for _, body in inbox.came]
    assert ids[:2] == ids[2:]
    _do(partner, made, "delete")
    assert code_of(partner.get(f"/subscriptions/{made['id']}")) == "not-found"
    _pay(office)
    assert office.fetch("SELECT count(*) FROM avow.work WHERE tenant = $1")[0][0] == 0


def test_a_subscriber_that_is_down_is_told_once_it_is_there(office: Tenancy, partner: Caller) -> None:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    _subscribe(partner, f"http://127.0.0.1:{port}/")
    _pay(office)
    office.server.database.wait_until(
        "SELECT count(*) > 0 FROM avow.attempt WHERE tenant = $1 AND outcome = 'not-delivered'",
        office.tenant, what="a delivery failed",
    )  # fmt: skip
    assert office.fetch("SELECT count(*) FROM avow.work WHERE tenant = $1")[0][0] == 2


def test_nothing_that_is_told_is_logged(office: Tenancy, partner: Caller, inbox: Inbox) -> None:
    made = _subscribe(partner, inbox.url)
    _pay(office)
    _wait(office, 2)
    log = office.server.log.read_text()
    assert made["secret"] not in log
    assert inbox.url not in log
