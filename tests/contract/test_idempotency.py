"""Idempotency keys: one key, one execution, one answer; whoever may not see it doesn't get it."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from tests.contract.fix_server import Caller, Response, Tenancy, code_of
from tests.contract.fix_venue import ROOM, SPAN

COPIES = 50


def same(first: Response, again: Response) -> None:
    """The second answer replays the first, byte for byte."""
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert (again.status_code, again.content) == (first.status_code, first.content)
    for name in ("location", "etag", "content-type"):
        assert again.headers.get(name) == first.headers.get(name)


def test_a_command_without_a_key_is_refused_and_says_where_to_read_on(venue: Tenancy) -> None:
    """I01: without the header 400, its type leads to a page; on GET the header is ignored."""
    clerk = venue.actor("ann", "clerk")
    answer = clerk.post("/rooms", ROOM, key=None)
    assert (answer.status_code, code_of(answer)) == (400, "idempotency-key-missing")
    assert clerk.get(answer.json()["type"]).status_code == 200
    assert clerk.get("/rooms", Idempotency_Key="k").status_code == 200
    assert clerk.send("HEAD", "/rooms", headers={"Idempotency-Key": "k"}).status_code == 200
    assert venue.fetch("SELECT count(*) FROM avow.idempotency WHERE tenant = $1")[0][0] == 0
    assert venue.entries() == 0


@pytest.mark.parametrize(
    "key", ["", '""', "a b", "a,b", '"a";x=1', "a" * 256, '"' + "a" * 256 + '"', '"a', "é"]
)
def test_a_key_has_one_strict_syntax(venue: Tenancy, key: str) -> None:
    """I02: empty, over 255 characters, lists, spaces and other characters are refused with 400."""
    headers = {"Idempotency-Key": key.encode("latin-1"), "Content-Type": "application/json"}
    answer = venue.actor("ann", "clerk").send("POST", "/rooms", content=b"{}", headers=headers)  # type: ignore[arg-type]
    assert (answer.status_code, code_of(answer)) == (400, "idempotency-key-invalid")
    assert answer.json()["errors"][0]["parameter"] == "Idempotency-Key"


def test_a_quoted_and_a_bare_key_are_the_same_key(venue: Tenancy) -> None:
    """I02: both spellings are accepted."""
    clerk = venue.actor("ann", "clerk")
    same(clerk.post("/rooms", ROOM, key='"one-key"'), clerk.post("/rooms", ROOM, key="one-key"))


def test_two_header_lines_are_not_a_key(venue: Tenancy) -> None:
    """I02: two lines of the header are refused with 400."""
    clerk = venue.actor("ann", "clerk")
    lines = [
        ("Idempotency-Key", "a"), ("Idempotency-Key", "a"), ("Authorization", f"Bearer {clerk.token}"),
        ("Content-Type", "application/json"),
    ]  # fmt: skip
    answer = clerk.server.client.request("POST", "/rooms", content=b"{}", headers=lines)
    assert (answer.status_code, code_of(answer)) == (400, "idempotency-key-invalid")


def test_a_retry_is_answered_alike_and_changes_nothing(venue: Tenancy) -> None:
    """I03: same key and body: same status, bytes, Location and ETag; one row, one audit entry."""
    clerk = venue.actor("ann", "clerk")
    first = clerk.post("/rooms", ROOM, key="k")
    assert first.status_code == 201
    same(first, clerk.post("/rooms", ROOM, key="k"))
    assert venue.fetch("SELECT count(*) FROM venue.rooms WHERE tenant = $1")[0][0] == 1
    assert venue.entries() == 1
    place = first.headers["location"]
    changed = clerk.post(f"{place}/describe", {"heated": True}, key="k")
    assert changed.json()["version"] == 2
    clerk.do(f"{place}/describe", {"heated": False})
    same(changed, clerk.post(f"{place}/describe", {"heated": True}, key="k"))
    assert clerk.get(place).json()["heated"] is False


def test_another_body_under_the_same_key_is_refused(venue: Tenancy) -> None:
    """I04: 422 idempotency-key-reused, and nothing is executed."""
    clerk = venue.actor("ann", "clerk")
    clerk.create("/rooms", ROOM, key="k")
    answer = clerk.post("/rooms", {**ROOM, "places": 4}, key="k")
    assert (answer.status_code, code_of(answer)) == (422, "idempotency-key-reused")
    assert venue.entries() == 1


def test_another_record_under_the_same_key_is_refused(venue: Tenancy) -> None:
    """I05: the record in the path is part of the request."""
    clerk = venue.actor("ann", "clerk")
    one, other = clerk.create("/rooms", ROOM), clerk.create("/rooms", {**ROOM, "name": "B"})
    clerk.do(f"{one.path}/describe", {"heated": True}, key="k")
    answer = clerk.post(f"{other.path}/describe", {"heated": True}, key="k")
    assert (answer.status_code, code_of(answer)) == (422, "idempotency-key-reused")
    assert clerk.get(other.path).json()["version"] == 1


def test_the_same_request_in_another_spelling_is_the_same_request(venue: Tenancy) -> None:
    """I05: white space and member order don't matter; no body and an empty object are the same."""
    clerk, manager = venue.actor("ann", "clerk"), venue.actor("max", "manager")
    first = clerk.post("/rooms", b'{"name":"A","places":3}', key="k")
    same(first, clerk.post("/rooms", b'{ "places" : 3,\n "name":"\\u0041" }', key="k"))
    place = first.headers["location"]
    same(manager.post(f"{place}/retire", None, key="r"), manager.post(f"{place}/retire", {}, key="r"))


def test_a_key_belongs_to_one_operation_one_subject_and_one_tenant(venue: Tenancy) -> None:
    """I06: elsewhere the same key executes freshly, and nothing of the first answer leaks."""
    clerk = venue.actor("ann", "clerk")
    first = clerk.create("/rooms", ROOM, key="k")
    booking = clerk.create("/bookings", {"room": first.id, **SPAN}, key="k")
    assert booking.id != first.id
    other = venue.actor("bob", "clerk").post("/rooms", {**ROOM, "name": "B"}, key="k")
    elsewhere = venue.server.tenancy().actor("ann", "clerk").post("/rooms", ROOM, key="k")
    for answer in (other, elsewhere):
        assert answer.status_code == 201
        assert "idempotency-replayed" not in answer.headers
        assert first.id not in answer.text


def at_once(caller: Caller, path: str, body: object, copies: int) -> list[Response]:
    """Send one request so many times at once, under one key."""
    key, start = str(uuid.uuid4()), Barrier(copies)

    def send(_: int) -> Response:
        start.wait()
        return caller.post(path, body, key=key)

    with ThreadPoolExecutor(copies) as threads:
        return list(threads.map(send, range(copies)))


def demand_one_execution(answers: list[Response], status: int) -> None:
    firsts = [a for a in answers if "idempotency-replayed" not in a.headers]
    assert len(firsts) == 1, [a.status_code for a in answers]
    assert {(a.status_code, a.content, a.headers["etag"]) for a in answers} == {
        (status, firsts[0].content, firsts[0].headers["etag"])
    }


def test_fifty_copies_of_a_creation_create_one_record(venue: Tenancy) -> None:
    """I07: of 50 copies at once one is executed, and all get its answer."""
    demand_one_execution(at_once(venue.actor("ann", "clerk"), "/rooms", ROOM, COPIES), 201)
    assert venue.entries() == 1
    assert venue.fetch("SELECT count(*) FROM venue.rooms WHERE tenant = $1")[0][0] == 1


def test_fifty_copies_of_a_command_change_its_record_once(venue: Tenancy) -> None:
    """I07: the same for a command, while somebody else holds the record."""
    clerk = venue.actor("ann", "clerk")
    room = clerk.create("/rooms", ROOM)
    database = venue.server.database
    with ThreadPoolExecutor(1) as thread:
        with database.locked("rooms", room.id):
            sent = thread.submit(at_once, clerk, f"{room.path}/describe", {"heated": True}, COPIES)
            database.wait_for_waiting()  # one of them; the others wait for their turn in the server
        demand_one_execution(sent.result(), 200)
    assert clerk.get(room.path).json()["version"] == 2
    assert venue.entries() == 2


def test_a_key_that_met_a_bug_may_be_used_again(venue: Tenancy) -> None:
    """I10: a 500 isn't kept: once the cause is gone, the same key executes."""
    manager = venue.actor("max", "manager")
    room = manager.create("/rooms", {**ROOM, "key_code": "jam"})
    failed = manager.post(f"{room.path}/break_down", key="k")
    assert (failed.status_code, code_of(failed)) == (500, "internal-error")
    manager.do(f"{room.path}/describe", {"key_code": "fine"})
    again = manager.post(f"{room.path}/break_down", key="k")
    assert again.status_code == 200
    assert "idempotency-replayed" not in again.headers


def test_a_corrected_body_may_keep_its_key(venue: Tenancy) -> None:
    """I11: what was refused as invalid input isn't kept."""
    clerk = venue.actor("ann", "clerk")
    assert clerk.post("/rooms", {"name": "A", "places": 0}, key="k").status_code == 422
    assert clerk.post("/rooms", ROOM, key="k").status_code == 201


def test_a_refusal_stays_the_answer_of_its_key(venue: Tenancy) -> None:
    """I12: a rule's refusal is replayed, also when the record would permit it by now."""
    clerk, manager = venue.actor("ann", "clerk"), venue.actor("max", "manager")
    room = clerk.create("/rooms", ROOM)
    booking = venue.actor("eve").create("/bookings", {"room": room.id, **SPAN})
    refused = manager.post(f"{booking.path}/approve", key="k")
    assert (refused.status_code, code_of(refused)) == (409, "state-conflict")
    clerk.do(f"{booking.path}/confirm")
    same(refused, manager.post(f"{booking.path}/approve", key="k"))
    assert manager.post(f"{booking.path}/approve").status_code == 200


def test_whoever_lost_the_role_gets_no_replay(venue: Tenancy) -> None:
    """I13: 201, then the role is gone: the retry is refused, and the kept body isn't sent."""
    first = venue.actor("ann", "clerk").post("/rooms", {**ROOM, "name": "hidden"}, key="k")
    assert first.status_code == 201
    again = venue.actor("ann").post("/rooms", {**ROOM, "name": "hidden"}, key="k")
    assert (again.status_code, code_of(again)) == (403, "forbidden")
    assert "hidden" not in again.text
    without = Caller(venue.server, None).post("/rooms", {**ROOM, "name": "hidden"}, key="k")
    assert without.status_code == 401


def test_a_replay_shows_no_field_that_the_caller_may_not_see_any_more(venue: Tenancy) -> None:
    """I13: what is left of the kept body is what the caller may see now."""
    body = {**ROOM, "key_code": "hidden", "keeper": "kim"}
    first = venue.actor("ann", "clerk", "manager").post("/rooms", body, key="k")
    assert first.json()["key_code"] == "hidden"
    again = venue.actor("ann", "clerk").post("/rooms", body, key="k")
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == {name: held for name, held in first.json().items() if name != "key_code"}


def test_a_replay_of_a_record_that_was_lost_from_sight_is_a_receipt(venue: Tenancy) -> None:
    """I13: who may read the record no longer is told no more than that it happened."""
    clerk = venue.actor("ann", "clerk")
    room = clerk.create("/rooms", {**ROOM, "keeper": "kim"})
    booking = venue.actor("eve").create("/bookings", {"room": room.id, **SPAN})
    first = venue.actor("kim").post(f"{booking.path}/confirm", key="k")
    assert first.json()["holder"] == "eve"
    clerk.do(f"{room.path}/describe", {"keeper": "lee"})
    again = venue.actor("kim").post(f"{booking.path}/confirm", key="k")
    assert again.json() == {"id": booking.id, "version": 2, "state": "confirmed"}


def test_who_may_write_and_not_read_gets_the_same_receipt_twice(venue: Tenancy) -> None:
    """I03: also where the caller never could read what was created."""
    someone = venue.actor("eve")
    same(
        someone.post("/memos", {"text": "hello"}, key="k"), someone.post("/memos", {"text": "hello"}, key="k")
    )


def test_a_retry_with_a_condition_that_is_stale_by_now_is_a_replay(venue: Tenancy) -> None:
    """I14: the first attempt made the condition stale itself: 200, not 412."""
    clerk = venue.actor("ann", "clerk")
    room = clerk.create("/rooms", ROOM)
    first = clerk.post(f"{room.path}/rename", {"name": "B"}, key="k", If_Match=room.etag)
    assert first.status_code == 200
    same(first, clerk.post(f"{room.path}/rename", {"name": "B"}, key="k", If_Match=room.etag))
