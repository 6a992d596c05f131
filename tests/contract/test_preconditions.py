"""Conditional requests: an entity tag names a version, and a stale one changes nothing."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.contract.fix_server import Caller, Record, Tenancy, code_of
from tests.contract.fix_venue import SPAN

NOBODYS = "00000000-0000-7000-8000-000000000000"


def test_every_success_names_the_version(clerk: Caller, room: Record) -> None:
    """C01: GET, HEAD and commands carry the strong tag "<id>.<version>"."""
    assert room.etag == f'"{room.id}.1"'
    changed = clerk.do(f"{room.path}/describe", {"heated": True})
    assert changed.headers["etag"] == f'"{room.id}.2"'
    for method in ("GET", "HEAD"):
        assert clerk.send(method, room.path).headers["etag"] == f'"{room.id}.2"'


@pytest.mark.parametrize("form", ["{0}", "W/{0}", '"x", {0}', "*"])
def test_a_reader_who_has_the_current_version_gets_no_body(clerk: Caller, room: Record, form: str) -> None:
    """C02: 304 without a body, with ETag, Vary and Cache-Control; weak comparison."""
    answer = clerk.get(room.path, If_None_Match=form.format(room.etag))
    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["etag"] == room.etag
    assert answer.headers["vary"] == "Authorization"
    assert answer.headers["cache-control"] == "private, no-cache"
    assert "content-type" not in answer.headers
    clerk.do(f"{room.path}/describe", {"heated": True})
    if form != "*":
        assert clerk.get(room.path, If_None_Match=form.format(room.etag)).status_code == 200


def test_a_stale_condition_changes_nothing(venue: Tenancy, clerk: Caller, room: Record) -> None:
    """C03: If-Match of an older version is refused with 412."""
    clerk.do(f"{room.path}/describe", {"heated": True})
    answer = clerk.post(f"{room.path}/describe", {"heated": False}, If_Match=room.etag)
    assert (answer.status_code, code_of(answer)) == (412, "precondition-failed")
    assert clerk.get(room.path).json()["heated"] is True
    assert venue.entries() == 2


def test_a_refused_condition_leaves_its_key_unused(clerk: Caller, room: Record) -> None:
    """C03: 412 isn't kept: with the current version the same key executes."""
    clerk.do(f"{room.path}/describe", {"heated": True})
    assert clerk.post(f"{room.path}/describe", {"heated": False}, "k", If_Match=room.etag).status_code == 412
    current = clerk.get(room.path).headers["etag"]
    assert clerk.post(f"{room.path}/describe", {"heated": False}, "k", If_Match=current).status_code == 200


def test_only_a_strong_tag_of_this_record_permits_a_command(clerk: Caller, room: Record) -> None:
    """C04: weak tags, other records' tags, made-up tags and If-None-Match: * are refused with 412."""
    other = clerk.create("/rooms", {"name": "B", "places": 3})
    path = f"{room.path}/describe"
    for tag in (f"W/{room.etag}", other.etag, '"made-up"', f'"{room.id}.{2**63 - 1}"'):
        answer = clerk.post(path, {"heated": True}, If_Match=tag)
        assert (answer.status_code, code_of(answer)) == (412, "precondition-failed"), tag
    assert clerk.post(path, {"heated": True}, If_None_Match="*").status_code == 412
    assert clerk.post(path, {"heated": True}, If_Match=f'"x", {room.etag}').status_code == 200
    assert clerk.post(path, {"heated": True}, If_Match="*").status_code == 200


def test_a_tag_in_if_none_match_is_never_passed_over_by_a_command(clerk: Caller, room: Record) -> None:
    """C04: it would have to be 412 for the current version; it is refused whatever it names."""
    for tag in (room.etag, f"W/{room.etag}", '"made-up"'):
        answer = clerk.post(f"{room.path}/describe", {"heated": True}, If_None_Match=tag)
        assert (answer.status_code, code_of(answer)) == (400, "header-invalid")
    assert clerk.get(room.path).headers["etag"] == room.etag


def test_a_read_is_for_the_version_that_if_match_names(clerk: Caller, room: Record) -> None:
    """C04: If-Match is looked at whatever the method is, and before If-None-Match (RFC 9110, 13.2.2)."""
    for tag in (f"W/{room.etag}", '"made-up"'):
        for condition in ({"If_Match": tag}, {"If_Match": tag, "If_None_Match": room.etag}):
            answer = clerk.get(room.path, **condition)
            assert (answer.status_code, code_of(answer)) == (412, "precondition-failed")
    assert clerk.get(room.path, If_Match=f'"x", {room.etag}').status_code == 200
    assert clerk.get(room.path, If_Match="*", If_None_Match=room.etag).status_code == 304
    assert clerk.get(f"/rooms/{NOBODYS}", If_Match="*").status_code == 404


def test_a_condition_on_a_record_that_is_not_there_is_not_found(clerk: Caller, room: Record) -> None:
    """C04: without the condition it would be 404, so the condition isn't looked at (RFC 9110, 13.2.1)."""
    answer = clerk.post(f"/rooms/{NOBODYS}/describe", {"heated": True}, If_Match="*")
    assert (answer.status_code, code_of(answer)) == (404, "not-found")


@pytest.mark.parametrize("value", ["x", '"a" "b"', "", '"a', '*, "a"', ",".join(['"t"'] * 65)])
def test_a_condition_that_cannot_be_read_is_refused(clerk: Caller, room: Record, value: str) -> None:
    """C04: a malformed condition is 400, and never ignored."""
    for method, path, name in (
        ("POST", f"{room.path}/describe", "If-Match"),
        ("GET", room.path, "If-None-Match"),
    ):
        headers = {name: value, "Idempotency-Key": "k"}
        if value.count('"t"') == 65:
            headers[name] = ",".join(f'"{n}"' for n in range(65))
        answer = clerk.send(method, path, headers=headers)
        assert (answer.status_code, code_of(answer)) == (400, "header-invalid")
        assert answer.json()["errors"][0]["parameter"] == name


def test_two_versions_of_one_record_are_no_condition(clerk: Caller, room: Record) -> None:
    """C04: it couldn't be told which of them was seen."""
    answer = clerk.post(f"{room.path}/describe", {}, If_Match=f'"{room.id}.1", "{room.id}.2"')
    assert (answer.status_code, code_of(answer)) == (400, "header-invalid")


def test_a_creation_cannot_match_anything(venue: Tenancy, clerk: Caller) -> None:
    """C04: there is no version that If-Match could name, so it never holds: 412, nothing created."""
    answer = clerk.post("/rooms", {"name": "A", "places": 3}, If_Match="*")
    assert (answer.status_code, code_of(answer)) == (412, "precondition-failed")
    assert venue.entries() == 0


def test_a_creation_is_replayed_whatever_its_condition_is_by_now(venue: Tenancy, clerk: Caller) -> None:
    """I14, C04: the key's answer comes before the condition is looked at, for creations as for commands."""
    first = clerk.create("/rooms", {"name": "A", "places": 3}, key="k")
    again = clerk.post("/rooms", {"name": "A", "places": 3}, key="k", If_Match="*")
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert again.json()["id"] == first.id
    assert venue.entries() == 1


def test_a_command_may_demand_a_condition(clerk: Caller, room: Record) -> None:
    """C06: declared with precondition=True: without If-Match 428, which names the header."""
    answer = clerk.post(f"{room.path}/rename", {"name": "B"})
    assert (answer.status_code, code_of(answer)) == (428, "precondition-required")
    assert answer.json()["header"] == "If-Match"
    assert clerk.post(f"{room.path}/rename", {"name": "B"}, If_Match=room.etag).status_code == 200


def test_whoever_sees_less_has_the_same_tag(venue: Tenancy, clerk: Caller, room: Record) -> None:
    """C07: the tag is the version's, not the representation's: it serves for writing."""
    manager = venue.actor("max", "manager")
    seen = [caller.get(room.path) for caller in (clerk, manager)]
    assert seen[0].json().keys() < seen[1].json().keys()
    assert seen[0].headers["etag"] == seen[1].headers["etag"]
    assert (
        manager.post(f"{room.path}/rename", {"name": "B"}, If_Match=seen[0].headers["etag"]).status_code
        == 200
    )


def test_a_condition_is_looked_at_last(venue: Tenancy, clerk: Caller, room: Record) -> None:
    """C08: invalid input is 422, a missing right 403, an unknown record 404, each with a stale If-Match."""
    stale = f'"{room.id}.9"'
    assert clerk.post(f"{room.path}/describe", {"heated": "yes"}, If_Match=stale).status_code == 422
    assert venue.actor("eve").post(f"{room.path}/describe", {}, If_Match=stale).status_code == 403
    booking = venue.actor("eve").create("/bookings", {"room": room.id, **SPAN})
    hidden = venue.actor("mallory").post(f"{booking.path}/cancel", If_Match=stale)
    assert (hidden.status_code, code_of(hidden)) == (404, "not-found")


def test_of_two_commands_on_one_version_one_wins(venue: Tenancy, clerk: Caller, room: Record) -> None:
    """C09: two at once with the same If-Match: one 200, one 412."""
    database = venue.server.database
    with ThreadPoolExecutor(2) as threads:
        with database.locked("rooms", room.id):
            sent = [
                threads.submit(clerk.post, f"{room.path}/rename", {"name": name}, If_Match=room.etag)
                for name in "BC"
            ]
            database.wait_for_waiting()  # one of them; the other waits for its turn in the server
        answers = [one.result() for one in sent]
    assert sorted(answer.status_code for answer in answers) == [200, 412]
    winner = next(answer for answer in answers if answer.status_code == 200)
    assert clerk.get(room.path).json() == winner.json()
    assert venue.entries() == 2


def test_a_tag_tells_nothing_but_id_and_version(venue: Tenancy) -> None:
    """C11: it holds no hash of the content."""
    manager = venue.actor("max", "manager")
    tags = [manager.create("/rooms", {"name": n, "places": 1, "key_code": "s"}).etag for n in "AB"]
    assert all(re.fullmatch(r'"[0-9a-f-]{36}\.1"', tag) for tag in tags)
