"""Methods and negotiation: what HTTP says about HEAD, OPTIONS, 405, 415 and the rest."""

from __future__ import annotations

import gzip

import pytest

from tests.contract.fix_server import Caller, Record, Tenancy, code_of
from tests.contract.fix_venue import ROOM


def test_head_is_get_without_the_body(clerk: Caller, room: Record) -> None:
    """M01: same status and headers, for records, lists, pages and refusals."""
    changing = {"date", "x-request-id"}
    for path in (
        room.path,
        "/rooms",
        "/openapi.json",
        "/healthz",
        "/problems/busy",
        "/nowhere",
        "/rooms?limit=0",
    ):
        get, head = clerk.get(path), clerk.send("HEAD", path)
        assert (head.status_code, head.content) == (get.status_code, b"")
        ours, theirs = (
            {name: held for name, held in answer.headers.items() if name not in changing}
            for answer in (get, head)
        )
        if get.status_code >= 400:  # the problem names its own request
            ours.pop("content-length"), theirs.pop("content-length")
        assert ours == theirs


def test_options_tells_the_methods(clerk: Caller, room: Record) -> None:
    """M02: 204 with Allow, which is what the path takes."""
    for path, allow in {
        "/rooms": "GET, HEAD, OPTIONS, POST",
        room.path: "GET, HEAD, OPTIONS",
        f"{room.path}/describe": "OPTIONS, POST",
        "/healthz": "GET, HEAD, OPTIONS",
    }.items():
        answer = clerk.send("OPTIONS", path)
        assert (answer.status_code, answer.headers["allow"], answer.content) == (204, allow, b"")
        for method in ("GET", "HEAD", "POST"):
            refused = clerk.send(method, path).status_code == 405
            assert refused is (method not in allow.split(", "))


def test_a_wrong_method_is_refused_with_the_right_ones(clerk: Caller, room: Record) -> None:
    """M03: 405 with Allow, also for methods that no path takes; 501 for others."""
    for method in ("POST", "PUT", "PATCH", "DELETE", "TRACE", "QUERY"):
        answer = clerk.send(method, room.path)
        assert (answer.status_code, code_of(answer)) == (405, "method-not-allowed")
        assert answer.headers["allow"] == "GET, HEAD, OPTIONS"
    for method in ("CONNECT", "PROPFIND"):
        answer = clerk.send(method, "/rooms")
        assert (answer.status_code, code_of(answer)) == (501, "method-unknown"), method


@pytest.mark.parametrize(
    "media_type",
    [
        None,
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=latin-1",
        "application/jsonp",
        "multipart/form-data; boundary=x",
        "application/merge-patch+json",
        "",
    ],
)
def test_a_body_that_is_not_json_is_refused(venue: Tenancy, clerk: Caller, media_type: str | None) -> None:
    """M05: 415 with Accept-Post, also before anybody is authenticated; nothing is executed."""
    headers = {"Idempotency-Key": "k"} | ({} if media_type is None else {"Content-Type": media_type})
    for caller in (clerk, venue.nobody):
        answer = caller.send("POST", "/rooms", content=b'{"name":"A","places":3}', headers=headers)
        assert (answer.status_code, code_of(answer)) == (415, "media-type-unsupported")
        assert answer.headers["accept-post"] == "application/json"
    assert venue.entries() == 0


@pytest.mark.parametrize(
    "media_type", ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"']
)
def test_json_in_utf8_has_several_names(clerk: Caller, media_type: str) -> None:
    """M05: the media type is compared as HTTP says."""
    assert clerk.post("/rooms", ROOM, Content_Type=media_type).status_code == 201


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/json", 200),
        ("*/*", 200),
        ("application/*;q=0.1", 200),
        ("text/html, */*;q=0.1", 200),
        ("", 200),
        ("text/html", 406),
        ("application/json;q=0", 406),
        ("application/xml, text/*", 406),
    ],
)
def test_only_json_is_spoken(clerk: Caller, accept: str, status: int) -> None:
    """M06: 406 for whoever accepts none of it; the problem comes as problem+json all the same."""
    answer = clerk.get("/rooms", Accept=accept)
    assert answer.status_code == status
    if status == 406:
        assert code_of(answer) == "not-acceptable"


def test_pages_for_people_are_negotiated(clerk: Caller) -> None:
    """M06: where there are two representations, Vary says so."""
    assert clerk.get("/problems/busy", Accept="application/json").headers["vary"] == "Accept"
    assert clerk.get("/problems/busy", Accept="image/png").status_code == 406


def test_an_encoded_body_is_refused_unread(clerk: Caller) -> None:
    """M07: Content-Encoding isn't undone: 415, so that no small body grows large."""
    bomb = gzip.compress(b" " * 10_000_000)
    assert len(bomb) < 20_000
    for encoding in ("gzip", "br", "gzip, gzip", "made-up"):
        answer = clerk.post("/rooms", bomb, Content_Encoding=encoding)
        assert (answer.status_code, code_of(answer)) == (415, "media-type-unsupported")
    assert clerk.post("/rooms", ROOM, Content_Encoding="identity").status_code == 201


def test_nothing_is_redirected(clerk: Caller, room: Record) -> None:
    """M08: a trailing slash, another case, dot segments and doubled slashes are other paths: 404."""
    for path in ("/rooms/", f"{room.path}/", "/Rooms", "//rooms", room.path.upper(), "/rooms//"):
        answer = clerk.server.client.send(clerk.server.client.build_request("GET", clerk.server.url + path))
        assert answer.status_code == 404, path


def test_a_creation_says_where_the_record_is(venue: Tenancy, clerk: Caller) -> None:
    """M09: 201 has Location, and GET on it gives the same representation."""
    for caller, path, body in (
        (clerk, "/rooms", ROOM),
        (venue.actor("max", "manager"), "/rooms", {**ROOM, "name": "B"}),
    ):
        answer = caller.post(path, body)
        assert answer.status_code == 201
        read = caller.get(answer.headers["location"])
        assert (read.status_code, read.json(), read.headers["etag"]) == (
            200,
            answer.json(),
            answer.headers["etag"],
        )
