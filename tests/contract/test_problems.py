"""Every refusal is a problem document that says what to do, and repeats nothing that was sent."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from avow.errors import PROBLEMS, Kind
from tests.contract.fix_server import Caller, Response, Tenancy, code_of, dumps
from tests.contract.fix_venue import ROOM, SPAN

INSIDES = re.compile(
    r"asyncpg|traceback|\.py\b|SELECT|INSERT|relation|constraint|rooms__|/work|127\.0\.0\.1|venue\.", re.I
)


def refusals(caller: Caller) -> dict[int, Response]:
    """One refusal of each sort, from the path down to the server below the application."""
    long = "/" + "a" * 9_000
    return {
        404: caller.get("/nothing/here"),
        405: caller.send("POST", "/healthz"),
        406: caller.get("/rooms", Accept="text/html"),
        413: caller.post("/rooms", b" " * 1_048_577),
        414: caller.get(long),
        415: caller.post("/rooms", b"<a/>", Content_Type="text/xml"),
        422: caller.post("/rooms", {}),
        431: caller.get("/rooms", X_Filler="a" * 40_000),
        501: caller.send("PROPFIND", "/rooms"),
    }


def test_every_refusal_is_a_problem(clerk: Caller) -> None:
    """E01: also unknown paths, methods, sizes, media types, and what the server below refuses."""
    for status, answer in refusals(clerk).items():
        assert answer.status_code == status
        assert PROBLEMS[code_of(answer)].status == status


def test_a_type_leads_to_its_page_and_has_one_title(clerk: Caller) -> None:
    """E02: `type` resolves, as text and as JSON; `status` is the status line's; one title a type."""
    for answer in refusals(clerk).values():
        document = answer.json()
        page = clerk.get(document["type"], Accept="application/json")
        assert page.json()["title"] == document["title"] == PROBLEMS[code_of(answer)].title
        text = clerk.get(document["type"])
        assert text.headers["content-type"].startswith("text/plain")
        assert document["mend"] in text.text
    for code in PROBLEMS:
        assert clerk.get(f"/problems/{code}").status_code == 200
    assert clerk.get("/problems/made-up").status_code == 404


def test_all_flaws_of_a_body_are_told_at_once_and_in_order(clerk: Caller) -> None:
    """E03: one row each, with a pointer, in the order of the declaration; unknown members first."""
    body = {
        "surplus": 1, "name": "", "places": "3", "price": {"amount": "1", "currency": "USD"},
        "tags": ["a", 2],
        "address": {"street": 1, "lift": True}, "opened": "yesterday",
    }  # fmt: skip
    answer = clerk.post("/rooms", body)
    assert (answer.status_code, code_of(answer)) == (422, "input-invalid")
    assert [(e["pointer"], e["code"]) for e in answer.json()["errors"]] == [
        ("#/surplus", "unknown"),
        ("#/name", "too-short"),
        ("#/places", "not-an-integer"),
        ("#/price/currency", "currency-mismatch"),
        ("#/tags/1", "not-a-string"),
        ("#/address/lift", "unknown"),
        ("#/address/street", "not-a-string"),
        ("#/address/town", "missing"),
        ("#/opened", "not-a-date"),
    ]


def test_the_list_of_flaws_is_bounded(clerk: Caller) -> None:
    """E03: at most 50 rows, and how many more there are."""
    document = clerk.post("/rooms", {f"x{n}": 1 for n in range(200)}).json()
    assert len(document["errors"]) == 50
    assert document["errors_omitted"] >= 1


def test_flaws_of_parameters_name_them(clerk: Caller) -> None:
    """E03: query and header flaws have `parameter` and `in`, not a pointer."""
    query = clerk.get("/rooms?limit=0&places=x&surplus=1").json()["errors"]
    assert {(e["parameter"], e["in"]) for e in query} == {
        ("limit", "query"),
        ("places", "query"),
        ("surplus", "query"),
    }
    header = clerk.get("/rooms", Authorization="Bearer a b")
    assert header.status_code == 401
    tag = clerk.get("/rooms/00000000-0000-7000-8000-000000000000", If_None_Match="x").json()["errors"][0]
    assert (tag["parameter"], tag["in"]) == ("If-None-Match", "header")


SECRET = "hunter2-Canary"
EVERYWHERE: list[tuple[str, str, Any, dict[str, str]]] = [
    ("POST", "/rooms", {"name": SECRET * 20, "places": SECRET}, {}),
    ("POST", "/rooms", {SECRET: SECRET}, {}),
    ("POST", "/rooms", {"name": "A", "places": 1, "address": {SECRET: {SECRET: SECRET}}}, {}),
    ("POST", "/rooms", {"name": "A", "places": 1, "price": {"amount": SECRET, "currency": SECRET}}, {}),
    ("POST", "/rooms", {"name": "A", "places": 1, "tags": [SECRET] * 6}, {}),
    ("POST", "/rooms", {"name": "A", "places": 1, "partner": SECRET, "setup": SECRET, "opened": SECRET}, {}),
    ("POST", "/rooms", f'{{"name": "{SECRET}", "name": "{SECRET}"}}'.encode(), {}),
    ("POST", "/rooms", f'{{"name": "{SECRET}" {SECRET}'.encode(), {}),
    ("POST", "/rooms", f'{{"name": "{SECRET}\\u0000", "places": 1}}'.encode(), {}),
    ("POST", "/rooms", f'{{"name": "{SECRET}\\ud800", "places": 1}}'.encode(), {}),
    ("POST", "/rooms", f'"{SECRET}"'.encode(), {}),
    ("POST", "/rooms", b"{}", {"Content-Type": f"text/{SECRET}"}),
    ("POST", "/rooms", b"{}", {"Idempotency-Key": f"{SECRET} {SECRET}"}),
    ("POST", "/rooms", b"{}", {"If-Match": SECRET}),
    ("POST", "/bookings", {"room": SECRET, "starts": SECRET, "ends": SECRET}, {}),
    ("POST", "/passes", {"room": "00000000-0000-7000-8000-000000000000", "code": SECRET}, {}),
    ("POST", f"/rooms/{SECRET}/retire", None, {}),
    ("GET", f"/{SECRET}", None, {}),
    ("GET", f"/rooms/{SECRET}", None, {}),
    ("GET", f"/rooms?kind={SECRET}", None, {}),
    ("GET", f"/rooms?state={SECRET}", None, {}),
    ("GET", f"/rooms?limit={SECRET}", None, {}),
    ("GET", f"/rooms?cursor={SECRET}", None, {}),
    ("GET", f"/rooms?name={SECRET}%00", None, {}),
    ("GET", f"/rooms?access_token={SECRET}", None, {}),
    ("GET", "/rooms", None, {"Accept": f"text/{SECRET}"}),
    ("GET", "/rooms", None, {"Authorization": f"Bearer {SECRET}"}),
    ("GET", "/rooms", None, {"Authorization": f"Basic {SECRET}"}),
    ("GET", "/rooms", None, {"Authorization": f"Bearer avow_dev_{SECRET}"}),
]


@pytest.mark.parametrize(("method", "path", "body", "headers"), EVERYWHERE)
def test_no_error_repeats_what_was_sent(
    venue: Tenancy, method: str, path: str, body: Any, headers: dict[str, str]
) -> None:
    """E05: a planted secret comes back in no answer and in no log, wherever it stood."""
    manager = venue.actor("max", "manager")
    sent = {"Content-Type": "application/json", "Idempotency-Key": "k", **headers}
    content = body if isinstance(body, bytes) or body is None else dumps(body)
    if content is None:
        del sent["Content-Type"]
    answer = manager.send(method, path, content=content, headers=sent)
    assert 400 <= answer.status_code < 500
    code_of(answer)
    # The name of an undeclared member is the one thing that is named, since the flaw is in the name.
    document = json.dumps({**answer.json(), "errors": []}) + str(answer.headers)
    named = [
        e.get("pointer", e.get("parameter"))
        for e in answer.json().get("errors", [])
        if e["code"] == "unknown"
    ]
    rest = [e for e in answer.json().get("errors", []) if e["code"] != "unknown"]
    assert SECRET.lower() not in (document + json.dumps(rest)).lower()
    assert len(named) <= 50
    assert SECRET not in venue.server.log.read_text()


def test_no_error_shows_what_is_inside(venue: Tenancy, clerk: Caller) -> None:
    """E05: no SQL, table, constraint, file or host name, also where the database holds the rule."""
    manager = venue.actor("max", "manager")
    room = clerk.create("/rooms", {**ROOM, "places": 1})
    booking = {"room": room.id, **SPAN}
    clerk.create("/bookings", booking)
    clerk.create("/passes", {"room": room.id, "code": "A1"})
    nobodys = "00000000-0000-7000-8000-000000000000"
    answers = [
        clerk.post("/rooms", ROOM),
        clerk.post("/bookings", booking),
        clerk.post("/bookings", {**booking, "ends": SPAN["starts"]}),
        clerk.post("/bookings", {**booking, "room": nobodys}),
        clerk.post("/passes", {"room": room.id, "code": "A2"}),
        clerk.post("/memos", {"text": "x", "mood": "odd"}),
        manager.post(f"{room.path}/reprice", {"price": {"amount": "2000.00", "currency": "EUR"}}),
        *refusals(clerk).values(),
    ]
    for answer in answers:
        said = {name: held for name, held in answer.json().items() if name not in ("type", "instance")}
        assert not INSIDES.search(json.dumps(said)), answer.text


def test_a_bug_tells_its_request_id_and_nothing_else(venue: Tenancy) -> None:
    """E06: 500 with the request's id; the log has the same id and the cause."""
    manager = venue.actor("max", "manager")
    room = manager.create("/rooms", {**ROOM, "key_code": "jam"})
    answer = manager.post(f"{room.path}/break_down")
    assert (answer.status_code, code_of(answer)) == (500, "internal-error")
    document = answer.json()
    assert document.keys() == {"type", "title", "status", "instance", "request_id", "mend", "retryable"}
    assert document["instance"] == f"urn:uuid:{document['request_id']}"
    assert answer.headers["x-request-id"] == document["request_id"]
    log = venue.server.log.read_text()
    assert document["request_id"] in log
    assert "RuntimeError" in log
    assert manager.get(room.path).json()["version"] == 1


def test_each_rule_that_the_database_holds_has_its_answer(venue: Tenancy, clerk: Caller) -> None:
    """E07: unique, exclusion, check, quota and a missing reference are refusals with their rule, not 500."""
    room = clerk.create("/rooms", {**ROOM, "places": 1})
    clerk.create("/bookings", {"room": room.id, **SPAN})
    clerk.create("/passes", {"room": room.id, "code": "A1"})
    rows = {
        "unique-violated": (clerk.post("/rooms", ROOM), "Room.named_once"),
        "exclusion-violated": (clerk.post("/bookings", {"room": room.id, **SPAN}), "Booking.one_at_a_time"),
        "invariant-violated": (clerk.post("/passes", {"room": room.id, "code": "A2"}), "Pass.enough_places"),
    }
    for code, (answer, rule) in rows.items():
        assert (answer.status_code, code_of(answer)) == (409, code)
        assert answer.json()["rule"] == rule
    check = clerk.post("/memos", {"text": "x", "mood": "odd"})
    assert (check.status_code, code_of(check)) == (409, "invariant-violated")
    assert check.json()["detail"] == "A memo is plain or angry."
    missing = clerk.post("/bookings", {"room": "00000000-0000-7000-8000-000000000000", **SPAN})
    assert (missing.status_code, code_of(missing)) == (422, "input-invalid")
    assert missing.json()["errors"][0]["pointer"] == "#/room"


def test_two_equal_creations_at_once_are_a_success_and_a_conflict(venue: Tenancy, clerk: Caller) -> None:
    """E08: concurrent inserts of one unique value: one 201, the others 409, never 500."""
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: clerk.post("/rooms", ROOM), range(8)))
    assert sorted(a.status_code for a in answers) == [201] + [409] * 7
    assert {code_of(a) for a in answers if a.status_code == 409} == {"unique-violated"}


def test_a_problem_says_whether_the_same_request_may_be_sent_again(venue: Tenancy, clerk: Caller) -> None:
    """E10: `retryable` agrees with the type, and Retry-After is there exactly when it is true."""
    for answer in refusals(clerk).values():
        retryable = PROBLEMS[code_of(answer)].kind is Kind.TRY_AGAIN
        assert answer.json()["retryable"] is retryable
        assert ("retry-after" in answer.headers) is retryable
