"""A dry run answers what the command itself would be answered, and leaves nothing behind."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.contract.fix_server import Caller, Json, Record, Response, Tenancy, code_of
from tests.contract.fix_venue import ROOM, SPAN

LATER = {"starts": "2026-11-21T12:00:00Z", "ends": "2026-11-21T13:00:00Z"}
KEPT = """
SELECT (SELECT count(*) FROM avow.audit WHERE tenant = $1),
       (SELECT count(*) FROM avow.refusal WHERE tenant = $1),
       (SELECT count(*) FROM avow.payload WHERE tenant = $1),
       (SELECT count(*) FROM avow.idempotency WHERE tenant = $1),
       (SELECT count(*) FROM venue.rooms WHERE tenant = $1),
       (SELECT count(*) FROM venue.bookings WHERE tenant = $1)
"""


def told(answer: Response, created: bool = False) -> tuple[int, Json]:
    """What an answer says, without what no two answers share. A dry run never creates: 201 is its 200."""
    if answer.status_code >= 400:
        return answer.status_code, code_of(answer)
    body = answer.json()
    if created:
        body.pop("id")
    return (200 if answer.status_code == 201 else answer.status_code), body


def demand_foretold(caller: Caller, path: str, body: Json = None, **headers: str) -> Response:
    """Send a command as a dry run, then itself under the same key: it must be answered as was said."""
    key = f"key-{path}-{body}".encode().hex()[:255]
    would = caller.post(f"{path}?dry_run=true", body, key=key, **headers)
    answer = caller.post(path, body, key=key, **headers)
    assert "idempotency-replayed" not in answer.headers
    assert "etag" not in would.headers
    created = answer.status_code == 201
    assert told(would, created) == told(answer, created)
    return answer


def test_what_a_dry_run_says_is_what_the_command_is_answered(venue: Tenancy, clerk: Caller) -> None:
    """S05: creations, changes, bodies, other records, several ways: accepted alike, with the same record."""
    manager, eve = venue.actor("max", "manager"), venue.actor("eve")
    made = demand_foretold(clerk, "/rooms", {**ROOM, "key_code": "x", "tags": ["a"]}).json()
    at = f"/rooms/{made['id']}"
    demand_foretold(clerk, f"{at}/rename", {"name": "B"}, If_Match=f'"{made["id"]}.1"')
    demand_foretold(manager, f"{at}/reprice", {"price": {"amount": "12.50", "currency": "EUR"}})
    booked = demand_foretold(eve, "/bookings", {"room": made["id"], **SPAN, "remark": "é" * 2_000}).json()
    at = f"/bookings/{booked['id']}"
    demand_foretold(eve, f"{at}/resize", {"guests": 2})
    demand_foretold(clerk, f"{at}/grant", {"discount": "1.50"})
    demand_foretold(clerk, f"{at}/confirm")
    demand_foretold(manager, f"{at}/approve")
    demand_foretold(clerk, f"{at}/finish")
    assert clerk.get(f"/rooms/{made['id']}").json()["version"] == 4, "finish ticks its room"
    assert demand_foretold(venue.nobody, "/memos", {"text": "hello"}).status_code == 201


def test_what_a_dry_run_refuses_the_command_is_refused(
    venue: Tenancy, clerk: Caller, room: Record, booking: Record
) -> None:
    """S05: by right, state, guard, body, condition and input, and by each kind of rule the database holds."""
    manager, eve = venue.actor("max", "manager"), venue.actor("eve")
    clerk.create("/passes", {"room": room.id, "code": "ONE", "weight": 2})
    other = clerk.create("/rooms", {**ROOM, "name": "B"})
    refused = [
        demand_foretold(clerk, "/rooms", ROOM),
        demand_foretold(clerk, f"{other.path}/rename", {"name": "A"}, If_Match=other.etag),
        demand_foretold(eve, "/bookings", {"room": room.id, **SPAN}),
        demand_foretold(eve, "/bookings", {"room": room.id, "starts": SPAN["ends"], "ends": SPAN["starts"]}),
        demand_foretold(clerk, "/passes", {"room": room.id, "code": "TWO", "weight": 2}),
        demand_foretold(clerk, "/passes", {"room": room.id, "code": "ONE"}),
        demand_foretold(venue.nobody, "/memos", {"text": "x", "mood": "odd"}),
        demand_foretold(manager, f"{booking.path}/approve"),
        demand_foretold(clerk, f"{booking.path}/grant", {"discount": "9.00"}),
        demand_foretold(manager, f"{room.path}/reprice", {"price": {"amount": "1001.00", "currency": "EUR"}}),
        demand_foretold(clerk, f"{room.path}/rename", {"name": "C"}, If_Match=f'"{room.id}.9"'),
        demand_foretold(clerk, f"{room.path}/rename", {"name": "C"}),
        demand_foretold(clerk, f"{room.path}/retire"),
        demand_foretold(clerk, f"{room.path}/describe", {"heated": 1}),
        demand_foretold(eve, "/bookings", {"room": booking.id, **LATER}),
        demand_foretold(clerk, f"/rooms/{booking.id}/describe", {"heated": True}),
        demand_foretold(clerk, "/rooms", {**ROOM, "name": "C"}, If_Match="*"),
    ]
    codes = ["unique-violated", "unique-violated", "exclusion-violated", "invariant-violated"]
    codes += ["invariant-violated", "unique-violated", "invariant-violated", "state-conflict", "guard-failed"]
    codes += ["refused", "precondition-failed", "precondition-required", "forbidden", "input-invalid"]
    codes += ["input-invalid", "not-found", "precondition-failed"]
    assert [code_of(answer) for answer in refused] == codes


def test_a_dry_run_leaves_nothing_behind(venue: Tenancy, clerk: Caller, booking: Record) -> None:
    """S05: no row, entry, long value, key or refusal; neither of what is accepted nor of what is refused."""
    before = venue.fetch(KEPT)
    eve, room = venue.actor("eve"), {"room": booking.body["room"]}
    for caller, path, body, status in [
        (clerk, "/rooms", {**ROOM, "name": "B"}, 200), (clerk, "/rooms", ROOM, 409),
        (eve, "/bookings", {**room, **LATER, "remark": "é" * 2_000}, 200),
        (eve, "/bookings", {**room, **SPAN}, 409),
        (clerk, f"{booking.path}/confirm", None, 200), (clerk, f"{booking.path}/finish", None, 409),
    ]:  # fmt: skip
        assert caller.post(f"{path}?dry_run=true", body).status_code == status
    assert venue.fetch(KEPT) == before


def test_a_dry_run_needs_a_key_as_every_command_does(clerk: Caller, room: Record) -> None:
    """I01, S05: what OpenAPI calls required is demanded, and read as strictly."""
    path = f"{room.path}/describe?dry_run=true"
    document = clerk.get("/openapi.json").json()
    assert document["components"]["parameters"]["IdempotencyKey"]["required"] is True
    assert code_of(clerk.post(path, {"heated": True}, key=None)) == "idempotency-key-missing"
    assert code_of(clerk.post(path, {"heated": True}, key="a b")) == "idempotency-key-invalid"


def test_a_dry_run_tells_what_its_key_was_answered(venue: Tenancy, clerk: Caller) -> None:
    """S05: a lost answer is found without executing: a refusal too; another request is refused with 422."""
    created = clerk.post("/rooms", ROOM, key="k")
    again = clerk.post("/rooms?dry_run=true", ROOM, key="k")
    assert again.headers["idempotency-replayed"] == "true"
    assert (again.status_code, again.content) == (201, created.content)
    assert (again.headers["location"], again.headers["etag"]) == (
        created.headers["location"],
        created.headers["etag"],
    )
    assert (
        code_of(clerk.post("/rooms?dry_run=true", {**ROOM, "places": 4}, key="k")) == "idempotency-key-reused"
    )
    refused = clerk.post("/rooms", ROOM, key="r")
    known = clerk.post("/rooms?dry_run=true", ROOM, key="r")
    assert (known.status_code, known.content) == (409, refused.content)
    assert venue.entries() == 1


def test_a_dry_run_shows_of_a_kept_answer_what_may_be_seen_now(venue: Tenancy) -> None:
    """A05, I13: it is a replay like any other; without the right to call there is none."""
    body = {**ROOM, "key_code": "hidden"}
    venue.actor("ann", "clerk", "manager").post("/rooms", body, key="k")
    again = venue.actor("ann", "clerk").post("/rooms?dry_run=true", body, key="k")
    assert again.headers["idempotency-replayed"] == "true"
    assert "key_code" not in again.json()
    assert code_of(venue.actor("ann").post("/rooms?dry_run=true", body, key="k")) == "forbidden"


def test_a_dry_run_waits_for_a_command_that_is_under_way(venue: Tenancy, clerk: Caller, room: Record) -> None:
    """S05: while somebody holds the record it waits, as the command would, and holds nothing afterwards."""
    database = venue.server.database
    with ThreadPoolExecutor(1) as thread:
        with database.locked("rooms", room.id):
            sent = thread.submit(clerk.post, f"{room.path}/describe?dry_run=true", {"heated": True})
            database.wait_for_waiting()
        assert sent.result().status_code == 200
    with database.locked("rooms", room.id):
        pass
    clerk.do(f"{room.path}/describe", {"heated": True})


def test_a_dry_run_sees_what_overtakes_it(venue: Tenancy, clerk: Caller, room: Record) -> None:
    """S05: decided anew when the record has moved on while it waited."""
    database, manager = venue.server.database, venue.actor("max", "manager")
    with ThreadPoolExecutor(2) as thread:
        with database.locked("rooms", room.id):
            retired = thread.submit(manager.post, f"{room.path}/retire")
            database.wait_for_waiting()
            would = thread.submit(clerk.post, f"{room.path}/describe?dry_run=true", {"heated": True})
            database.wait_for_waiting(2)
        assert retired.result().status_code == 200
        assert code_of(would.result()) == "state-conflict"
