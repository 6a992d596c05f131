"""`as_of` over HTTP: a record, a list, a history and a why as they could be known at a time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.acceptance.polling import until
from tests.contract.fix_server import Tenancy, code_of

SEALED = """
SELECT c.at FROM avow.leaf l JOIN avow.checkpoint c ON c.epoch = l.epoch AND c.size > l.index
WHERE l.id::text = $1 ORDER BY c.size LIMIT 1
"""


def sealed(venue: Tenancy, record: str) -> str:
    """Wait until the server has sealed the first entry of a record; gives back the time of the checkpoint."""

    with venue.server.database.session() as session:

        async def at() -> datetime | None:
            return await session.connection.fetchval(SEALED, record)

        found = venue.server.database.portal.call(until, at, "the record is sealed")
    return found.astimezone(UTC).isoformat().replace("+00:00", "Z")


def test_what_is_asked_as_of_a_time_is_what_could_be_known_then(venue: Tenancy) -> None:
    clerk = venue.actor("ann", "clerk")
    room = clerk.create("/rooms", {"name": "small", "places": 3})
    at = sealed(venue, room.id)
    later = clerk.create("/rooms", {"name": "late", "places": 3})
    sealed(venue, later.id)
    then = clerk.get(f"/rooms/{room.id}?as_of={at}").json()
    now = clerk.get(f"/rooms/{room.id}").json()
    assert then == now
    assert code_of(clerk.get(f"/rooms/{later.id}?as_of={at}")) == "not-found"
    assert [item["id"] for item in clerk.get(f"/rooms?as_of={at}").json()["items"]] == [room.id]
    assert clerk.get(f"/rooms?as_of={at}&name=other").json()["items"] == []
    assert len(clerk.get(f"/rooms/{room.id}/history?as_of={at}").json()["items"]) == 1
    assert clerk.get(f"/rooms/{later.id}/history?as_of={at}").json()["items"] == []
    assert clerk.get(f"/rooms/{later.id}/why?as_of={at}").json()["because"] is None
    manager = venue.actor("max", "manager")
    retired = manager.post(f"/rooms/{room.id}/retire", {})
    assert retired.status_code == 200
    assert clerk.get(f"/rooms/{room.id}").json()["state"] == "retired"
    assert clerk.get(f"/rooms/{room.id}?as_of={at}").json() == then
    assert clerk.get(f"/rooms?as_of={at}&state=offered").json()["items"] == [then]
    assert clerk.get(f"/rooms?as_of={at}&state=retired").json()["items"] == []
    assert code_of(clerk.get(f"/rooms/{room.id}?as_of=yesterday")) == "input-invalid"


def test_a_filtered_list_of_then_is_the_list_of_then_filtered(venue: Tenancy) -> None:
    """Whatever was changed, retired or made since, in pages of any size, and the same again later."""
    clerk, manager = venue.actor("ann", "clerk"), venue.actor("max", "manager")
    rooms = [clerk.create("/rooms", {"name": f"n{n}", "places": n % 3 + 1}).id for n in range(9)]
    for room in rooms[:2]:
        manager.post(f"/rooms/{room}/retire", {})
    at = sealed(venue, clerk.create("/rooms", {"name": "mark", "places": 1}).id)

    def told(asked: str, limit: int = 50) -> list[dict[str, Any]]:
        found, following = list[dict[str, Any]](), ""
        while True:
            page = clerk.get(f"/rooms?as_of={at}&limit={limit}{asked}{following}").json()
            found += page["items"]
            if "next" not in page:
                return found
            following = f"&cursor={page['next']}"

    before = told("")
    assert len(before) == 10
    filters: list[dict[str, Any]] = [{"state": "retired"}, {"places": 2}, {"places": 2, "state": "offered"}]
    for round_ in range(2):
        for wanted in filters:
            expected = [item for item in before if item.items() >= wanted.items()]
            assert expected
            asked = "".join(f"&{name}={value}" for name, value in wanted.items())
            for limit in (1, 2, 50):
                assert told(asked, limit) == expected, (round_, asked, limit)
        for room in rooms[3:5]:
            manager.post(f"/rooms/{room}/retire", {})
        clerk.create("/rooms", {"name": f"late {round_}", "places": 2})
