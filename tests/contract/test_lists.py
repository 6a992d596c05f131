"""Lists: a page is bounded, a cursor grants nothing, and who may read a record finds it, nobody else."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.fix_server import Caller, Tenancy, code_of

SUBJECTS = ("ann", "bob", "eve", "kim")
ROLES = ("clerk", "manager", "unheard-of")


def rooms(clerk: Caller, count: int) -> list[str]:
    """So many rooms; their ids in the order of creation."""
    return [clerk.create("/rooms", {"name": f"room {n}", "places": n % 3 + 1}).id for n in range(count)]


def pages(caller: Caller, path: str) -> list[list[str]]:
    """The ids of all pages of a list."""
    found, query = list[list[str]](), "?" if "?" not in path else "&"
    answer = caller.get(path).json()
    while True:
        found.append([item["id"] for item in answer["items"]])
        if "next" not in answer:
            return found
        answer = caller.get(f"{path}{query}cursor={answer['next']}").json()


def test_a_list_comes_in_pages(clerk: Caller) -> None:
    """P01: at most `limit` items, in the order of creation; no `next` on the last page."""
    ids = rooms(clerk, 7)
    assert pages(clerk, "/rooms?limit=3") == [ids[:3], ids[3:6], ids[6:]]
    assert pages(clerk, "/rooms?limit=7") == [ids]
    assert pages(clerk, "/rooms") == [ids]


def test_a_page_has_a_largest_size(venue: Tenancy, clerk: Caller) -> None:
    """P01: more than 200 is taken as 200; less than 1 or no number is 422; nothing is 200 with []."""
    assert clerk.get("/rooms").json() == {"items": []}
    venue.server.database.fetch(
        """
        INSERT INTO venue.rooms (tenant, id, state, version, head, boundary, changed_at,
                                 name, kind, places, area, price, tags, heated)
        SELECT $1, gen_random_uuid(), 'offered', 1, '', '', now(), 'n' || n, 'hall', 1, 1, 1, '{}', false
        FROM generate_series(1, 250) n
        """,
        venue.tenant,
    )
    assert [len(page) for page in pages(clerk, "/rooms?limit=1000000000000000000000")] == [200, 50]
    assert [len(page) for page in pages(clerk, "/rooms")] == [50] * 5
    for limit in ("0", "-1", "", "x", "1.5", "1e1", " 1"):
        answer = clerk.get(f"/rooms?limit={limit}")
        assert (answer.status_code, code_of(answer)) == (422, "input-invalid")


def test_a_cursor_belongs_to_its_query(clerk: Caller) -> None:
    """P02: another filter, another list, another tenant, a changed or made-up cursor: 400."""
    rooms(clerk, 4)
    cursor = clerk.get("/rooms?limit=1&heated=false").json()["next"]
    assert clerk.get(f"/rooms?limit=2&heated=false&cursor={cursor}").status_code == 200
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    changed = base64.urlsafe_b64encode(raw[:-3] + b"x" + raw[-2:]).decode().rstrip("=")
    for path in (
        f"/rooms?cursor={cursor}", f"/rooms?heated=true&cursor={cursor}",
        f"/rooms?heated=false&state=offered&cursor={cursor}",
        f"/bookings?cursor={cursor}", f"/rooms?heated=false&cursor={changed}",
        f"/rooms?heated=false&cursor={cursor}A",
        "/rooms?cursor=", "/rooms?cursor=%00", "/rooms?cursor=" + "A" * 3_000,
        f"/rooms?heated=false&cursor={cursor[:-1]}",
    ):  # fmt: skip
        answer = clerk.get(path)
        assert (answer.status_code, code_of(answer)) == (400, "cursor-invalid"), path
    elsewhere = clerk.server.tenancy().actor("ann", "clerk")
    assert code_of(elsewhere.get(f"/rooms?heated=false&cursor={cursor}")) == "cursor-invalid"


def test_a_cursor_shows_nothing_private(venue: Tenancy) -> None:
    """P02: it is readable, so it holds no more than the id of a record that its owner has seen."""
    manager = venue.actor("max", "manager")
    ids = [manager.create("/rooms", {"name": n, "places": 1, "key_code": "secret"}).id for n in "AB"]
    cursor = manager.get("/rooms?limit=1&key_code=secret").json()["next"]
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    assert raw[32:].decode() == f'{{"after":"{ids[0]}"}}'


def test_a_cursor_grants_nothing(venue: Tenancy, clerk: Caller) -> None:
    """P03: somebody else who presents it sees only what that one may see."""
    room = clerk.create("/rooms", {"name": "A", "places": 1})
    for number, who in enumerate(["eve", "bob", "eve", "bob"]):
        span = {"starts": f"2026-11-2{number}T10:00:00Z", "ends": f"2026-11-2{number}T11:00:00Z"}
        venue.actor(who).create("/bookings", {"room": room.id, **span})
    cursor = clerk.get("/bookings?limit=1").json()["next"]
    found = venue.actor("eve").get(f"/bookings?limit=9&cursor={cursor}").json()["items"]
    assert [item["holder"] for item in found] == ["eve"]


def test_paging_meets_every_unchanged_record_once(venue: Tenancy, clerk: Caller) -> None:
    """P04: while records come, change and drop out of the filter, no other is skipped or doubled."""
    ids, manager = rooms(clerk, 9), venue.actor("max", "manager")
    answer = clerk.get("/rooms?limit=2&state=offered").json()
    met = [item["id"] for item in answer["items"]]
    for step in range(4):
        manager.do(f"/rooms/{ids[step]}/retire")  # of the pages that were read
        clerk.create("/rooms", {"name": f"later {step}", "places": 1})
        clerk.do(f"/rooms/{ids[8]}/describe", {"heated": bool(step % 2)})
        answer = clerk.get(f"/rooms?limit=2&state=offered&cursor={answer['next']}").json()
        met += [item["id"] for item in answer["items"]]
    assert met[:9] == ids
    assert len(met) == len(set(met)) == 10


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("places=2", {"B"}),
        ("kind=studio", {"B"}),
        ("heated=true", {"A"}),
        ("area=10.50", {"A", "B"}),
        ("area=10.5", {"A", "B"}),
        ("opened=2026-11-21", {"A"}),
        ("opened=9999-12-31", {"B"}),
        ("opened=0001-01-01", set()),
        ("inspected_at=2026-11-21T10:00:00%2B02:00", {"B"}),
        ("name=A", {"A"}),
        ("partner=0a0b0c0d-0000-7000-8000-000000000000", {"A"}),
        ("keeper=kim", {"B"}),
        ("state=retired", set()),
        ("places=2&kind=hall", set()),
        ("places=3&heated=true", {"A"}),
    ],
)
def test_a_list_is_filtered_by_plain_fields(clerk: Caller, query: str, expected: set[str]) -> None:
    """P01: each plain field is an equality filter; several must all hold."""
    clerk.create("/rooms", {"name": "A", "places": 3, "heated": True, "opened": "2026-11-21",
                            "partner": "0a0b0c0d-0000-7000-8000-000000000000"})  # fmt: skip
    clerk.create(
        "/rooms",
        {
            "name": "B",
            "places": 2,
            "kind": "studio",
            "opened": "9999-12-31",
            "keeper": "kim",
            "inspected_at": "2026-11-21T08:00:00Z",
        },
    )
    assert {item["name"] for item in clerk.get(f"/rooms?{query}").json()["items"]} == expected


def test_a_list_shows_exactly_what_can_be_read(venue: Tenancy, clerk: Caller) -> None:
    """P06: for random actors: the records of a list are those of which GET is 200, with the same fields."""
    everything = _furnish(venue, clerk)

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.sampled_from(SUBJECTS), st.sets(st.sampled_from(ROLES)))
    def agree(subject: str, roles: set[str]) -> None:
        actor = venue.actor(subject, *sorted(roles))
        for plural, ids in everything.items():
            readable: dict[str, Any] = {}
            for record in ids:
                answer = actor.get(f"/{plural}/{record}")
                assert answer.status_code in (200, 404, 403)
                if answer.status_code == 200:
                    readable[record] = answer.json()
            listed = actor.get(f"/{plural}?limit=200")
            if listed.status_code == 403:
                assert not readable
                continue
            assert {item["id"]: item for item in listed.json()["items"]} == readable

    agree()


def _furnish(venue: Tenancy, clerk: Caller) -> dict[str, list[str]]:
    """Records of all kinds, with many owners and missing values."""
    manager = venue.actor("max", "manager")
    rooms = [
        manager.create("/rooms", {"name": n, "places": 9, "keeper": k, "key_code": "c"}).id
        for n, k in (("A", "kim"), ("B", None), ("C", "eve"))
    ]
    found: dict[str, list[str]] = {
        "rooms": rooms,
        "bookings": [],
        "passes": [],
        "memos": [],
        "complaints": [],
    }
    for number, (subject, room) in enumerate((s, r) for s in SUBJECTS for r in rooms):
        span = {"starts": f"2026-11-{number + 1:02}T10:00:00Z", "ends": f"2026-11-{number + 1:02}T11:00:00Z"}
        booking = venue.actor(subject).create("/bookings", {"room": room, **span})
        found["bookings"].append(booking.id)
        author = venue.actor(subject)
        if number % 3 == 0:
            found["complaints"].append(author.create("/complaints", {"booking": booking.id}).id)
        owner = None if number % 4 == 0 else subject
        found["passes"].append(
            clerk.create("/passes", {"room": room, "code": f"P{number}", "owner": owner}).id
        )
    found["memos"].append(venue.actor("eve").create("/memos", {"text": "x"}).id)
    return found
