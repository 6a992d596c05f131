"""The state machine over HTTP: what isn't declared doesn't happen, and what is answered has happened."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.contract.fix_server import Caller, Record, Tenancy, code_of
from tests.contract.fix_venue import ROOM, SPAN

FULL_AT_ONCE = 100


def test_an_undeclared_transition_is_refused_with_what_is_allowed(
    venue: Tenancy, clerk: Caller, room: Record
) -> None:
    """S01: 409 with the current state, and only those commands that this caller may give."""
    booking = venue.actor("eve").create("/bookings", {"room": room.id, **SPAN})
    manager = venue.actor("max", "manager")
    refused = manager.post(f"{booking.path}/approve")
    assert (refused.status_code, code_of(refused)) == (409, "state-conflict")
    assert refused.json()["current_state"] == "requested"
    assert refused.json()["allowed"] == ["resize", "cancel"]
    done = clerk.post(f"{booking.path}/finish")
    assert (done.status_code, done.json()["allowed"]) == (409, ["confirm", "resize", "grant"])


@pytest.mark.parametrize(
    "member", ["id", "state", "version", "tenant", "head", "boundary", "changed_at", "holder"]
)
def test_what_the_engine_keeps_cannot_be_sent(venue: Tenancy, room: Record, member: str) -> None:
    """S02: state, version, tenant and the like are unknown members: 422 with a pointer."""
    body = {"room": room.id, **SPAN, member: "x"}
    answer = venue.actor("eve").post("/bookings", body)
    assert (answer.status_code, code_of(answer)) == (422, "input-invalid")
    assert answer.json()["errors"] == [
        {"pointer": f"#/{member}", "code": "unknown", "detail": "is not declared"}
    ]


def test_a_record_cannot_be_written_but_by_its_commands(clerk: Caller, room: Record) -> None:
    """S02: PUT, PATCH and DELETE don't exist; POST to the record itself neither."""
    for method in ("PUT", "PATCH", "DELETE"):
        answer = clerk.send(method, room.path, content=b"{}", headers={"Content-Type": "application/json"})
        assert (answer.status_code, code_of(answer)) == (405, "method-not-allowed")
    assert clerk.post(room.path, {"state": "retired"}).status_code == 405


def test_a_command_has_its_own_address(clerk: Caller, room: Record) -> None:
    """S03: POST /rooms/{id}/describe; GET there is 405, and an undeclared word 404."""
    answer = clerk.get(f"{room.path}/describe")
    assert (answer.status_code, answer.headers["allow"]) == (405, "OPTIONS, POST")
    assert clerk.post(f"{room.path}/demolish").status_code == 404
    assert clerk.post(f"{room.path}/tick").status_code == 404, "an internal transition has no address"


def test_what_is_answered_is_committed(venue: Tenancy, clerk: Caller) -> None:
    """S04: as soon as the answer is there, another connection sees the row, its entry and its key."""
    seen = """
        SELECT r.version, (SELECT count(*) FROM avow.audit a WHERE a.id = r.id),
               (SELECT count(*) FROM avow.idempotency i WHERE i.record = r.id)
        FROM venue.rooms r WHERE r.tenant = $1 AND r.name = $2
    """
    with venue.server.database.session() as other:
        for number in range(20):
            clerk.create("/rooms", {"name": f"room {number}", "places": 1})
            assert [tuple(row) for row in other.fetch(seen, venue.tenant, f"room {number}")] == [(1, 1, 1)]


def test_a_dry_run_decides_and_writes_nothing(venue: Tenancy, clerk: Caller, room: Record) -> None:
    """S05: every right, guard and rule is asked, the database's too; nothing is written, no key is used."""
    path = f"{room.path}/describe?dry_run=true"
    would = clerk.post(path, {"heated": True})
    assert (would.status_code, would.json()["heated"], would.json()["version"]) == (200, True, 2)
    assert "etag" not in would.headers
    assert clerk.post("/rooms?dry_run=true", {"name": "B", "places": 1}).status_code == 200
    assert code_of(clerk.post("/rooms?dry_run=true", ROOM)) == "unique-violated"
    assert code_of(venue.actor("eve").post(path, {"heated": True})) == "forbidden"
    assert code_of(clerk.post(path, {"heated": 1})) == "input-invalid"
    assert code_of(clerk.post(f"{room.path}/rename?dry_run=true", {"name": "B"})) == "precondition-required"
    booking = venue.actor("eve").create("/bookings", {"room": room.id, **SPAN})
    granted = clerk.post(f"{booking.path}/grant?dry_run=true", {"discount": "9.00"})
    assert code_of(granted) == "guard-failed"
    before = venue.entries()
    clerk.post(path, {"heated": True}, key="k")
    assert clerk.get(room.path).json()["heated"] is False
    assert venue.entries() == before == 2
    assert venue.fetch("SELECT count(*) FROM avow.refusal WHERE tenant = $1")[0][0] == 0
    assert "idempotency-replayed" not in clerk.do(f"{room.path}/describe", {"heated": True}, key="k").headers


def test_steps_cannot_be_skipped_or_repeated(venue: Tenancy, clerk: Caller, room: Record) -> None:
    """S07: each step only from its states."""
    booking, manager = (
        venue.actor("eve").create("/bookings", {"room": room.id, **SPAN}),
        venue.actor("max", "manager"),
    )
    assert code_of(clerk.post(f"{booking.path}/finish")) == "state-conflict"
    clerk.do(f"{booking.path}/confirm")
    assert code_of(clerk.post(f"{booking.path}/confirm")) == "state-conflict"
    manager.do(f"{booking.path}/approve")
    clerk.do(f"{booking.path}/finish")
    assert code_of(clerk.post(f"{booking.path}/finish")) == "state-conflict"
    assert code_of(manager.post(f"{booking.path}/cancel")) == "state-conflict"


def test_a_limited_quantity_is_never_given_out_twice(venue: Tenancy, clerk: Caller, room: Record) -> None:
    """S07: of 100 passes at once for 3 places, 3 are issued."""
    with ThreadPoolExecutor(FULL_AT_ONCE) as threads:
        answers = list(
            threads.map(
                lambda n: clerk.post("/passes", {"room": room.id, "code": f"P{n}"}), range(FULL_AT_ONCE)
            )
        )
    issued = [answer for answer in answers if answer.status_code == 201]
    assert len(issued) == 3
    assert {code_of(a) for a in answers if a.status_code != 201} <= {
        "invariant-violated",
        "contention",
        "busy",
    }
    sql = "SELECT sum(weight) FROM venue.passes WHERE tenant = $1 AND state = 'issued'"
    assert venue.fetch(sql)[0][0] == 3


def test_reads_cannot_write(venue: Tenancy) -> None:
    """S08: the server's own login has no right to write any table; only the write path's function has."""
    database = venue.server.database
    with database.session(database.application_url) as session:
        for statement in (
            "UPDATE venue.rooms SET state = 'retired'",
            "INSERT INTO avow.audit (tenant) VALUES ('x')",
            "DELETE FROM avow.idempotency",
            "TRUNCATE venue.rooms",
        ):
            with pytest.raises(Exception, match="permission denied"):
                session.execute(statement)
