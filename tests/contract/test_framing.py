"""Framing on the real server: what is ambiguous is refused and the connection closed; ids can't be forged."""

from __future__ import annotations

import json

import pytest

from tests.contract.fix_server import Tenancy
from tests.contract.fix_venue import ROOM
from tests.contract.raw import ask, connected, read


@pytest.mark.parametrize(
    "lines", ["", "Host: a\r\nHost: b\r\n", "Host: a b\r\n", "Host: a,b\r\n", "Host:\r\n"]
)
def test_one_host_is_needed(venue: Tenancy, lines: str) -> None:
    """H01: none, two or a malformed one: 400."""
    status, headers, body = ask(venue.server, f"GET /rooms HTTP/1.1\r\n{lines}\r\n".encode())
    assert (status, headers["content-type"]) == (400, "application/problem+json")
    assert json.loads(body)["type"] == "/problems/host-invalid"


@pytest.mark.parametrize("path", ["/rooms", "/rooms#x", f"/rooms?q={'a' * 70_000}"])
def test_what_is_refused_before_it_is_read_has_no_body_for_head(venue: Tenancy, path: str) -> None:
    """RFC 9110, section 9.3.2: behind the head comes nothing, or it would be read as the next answer."""
    with connected(venue.server) as connection:
        connection.sendall(f"HEAD {path} HTTP/1.1\r\nHost: a b\r\n\r\n".encode())
        received = b"".join(iter(lambda: connection.recv(65_536), b""))
    head, _, behind = received.partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 400", b"HTTP/1.1 414"))
    assert b"content-length: " in head
    assert behind == b""


@pytest.mark.parametrize(
    "framing",
    [
        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        "Content-Length: 2, 2\r\n\r\n{}",
        "Content-Length: -2\r\n\r\n{}",
        "Content-Length: +2\r\n\r\n{}",
        "Content-Length: 0x2\r\n\r\n{}",
        "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n2\r\n{}xx0\r\n\r\n",
        "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_ambiguous_framing_closes_the_connection(venue: Tenancy, framing: str) -> None:
    """H02: two lengths, length and chunks, bad chunks: 400, and nothing behind it is read as a request."""
    smuggled = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    head = (
        f"POST /rooms HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {venue.actor('ann', 'clerk').token}\r\n"
        "Idempotency-Key: k\r\nContent-Type: application/json\r\n"
    )
    with connected(venue.server) as connection:
        connection.sendall(f"{head}{framing}{smuggled}".encode())
        status, headers, _ = read(connection)
        assert (status, headers["content-type"], headers["connection"]) == (
            400,
            "application/problem+json",
            "close",
        )
        assert connection.recv(100) == b""
    assert venue.entries() == 0


def test_a_transfer_coding_in_http_1_0_is_bad_framing(venue: Tenancy) -> None:
    """H02, RFC 9112 section 6.1: an older hop would see the message end elsewhere."""
    head = (
        f"POST /rooms HTTP/1.0\r\nAuthorization: Bearer {venue.actor('ann', 'clerk').token}\r\n"
        "Idempotency-Key: k\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    body = json.dumps(ROOM)
    status, headers, _ = ask(venue.server, f"{head}{len(body):x}\r\n{body}\r\n0\r\n\r\n".encode())
    assert (status, headers["connection"]) == (400, "close")
    assert venue.entries() == 0


def test_no_header_can_be_split(venue: Tenancy) -> None:
    """H03: nothing that a client sends becomes a header line of an answer."""
    token = venue.actor("ann", "clerk").token
    for path in (
        "/rooms/%0d%0aX-Evil:%201",
        "/%0d%0aX-Evil:%201",
        "/problems/a%0d%0aX-Evil:%201",
        "/rooms?a%0d%0aX-Evil:%201=1",
    ):
        _, headers, _ = ask(
            venue.server, f"GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        )
        assert "x-evil" not in headers
    bare = b"GET /rooms HTTP/1.1\r\nHost: a\r\nX-Request-Id: a\rX-Evil: 1\r\n\r\n"
    assert ask(venue.server, bare)[0] == 400


@pytest.mark.parametrize(
    "path",
    [
        "/./rooms",
        "/x/../rooms",
        "/rooms/.",
        "/%2e/rooms",
        "/rooms%2f",
        "/rooms;a=1",
        "/rooms#a",
        "rooms",
        "*",
    ],
)
def test_a_path_is_taken_as_it_is_spelled(venue: Tenancy, path: str) -> None:
    """M08: no dot segments are resolved, no parameters dropped: 404, or 400 from the parser."""
    status, headers, _ = ask(venue.server, f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert status in (400, 404)
    assert headers["content-type"] == "application/problem+json"


def test_every_answer_has_an_id_of_our_own(venue: Tenancy) -> None:
    """T04: a fresh one each time; the client's is never taken, neither in the answer nor in the audit log."""
    clerk = venue.actor("ann", "clerk")
    claimed = "11111111-1111-7111-8111-111111111111"
    answers = [
        clerk.get("/rooms", X_Request_Id=claimed), clerk.get("/nowhere", X_Request_Id=claimed),
        clerk.send("OPTIONS", "/rooms"), clerk.send("HEAD", "/rooms"), clerk.get("/healthz"),
        clerk.get("/openapi.json"),
        clerk.get("/problems/busy"), clerk.get("/rooms", Accept="text/html"), clerk.get("/" + "a" * 9_000),
        clerk.post("/rooms", ROOM, X_Request_Id=claimed, Traceparent=f"00-{'1' * 32}-{'2' * 16}-01"),
    ]  # fmt: skip
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert claimed not in ids
    assert len(set(ids)) == len(ids)
    header = venue.fetch("SELECT header FROM avow.audit WHERE tenant = $1")[0][0].decode()
    assert ids[-1] in header
    assert claimed not in header


def test_a_replayed_refusal_names_the_first_request_and_the_answer_its_own(venue: Tenancy) -> None:
    """T04: the body is the kept one; the header is fresh."""
    clerk = venue.actor("ann", "clerk")
    clerk.create("/rooms", ROOM)
    first, again = (clerk.post("/rooms", ROOM, key="k") for _ in range(2))
    assert first.content == again.content
    assert first.headers["x-request-id"] != again.headers["x-request-id"]
