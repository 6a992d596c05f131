"""What stands below the application answers in problems too, in order, and closes after bad framing.

Raw bytes go in over real sockets to a real uvicorn, and raw bytes come out.
"""

from __future__ import annotations

import json
import select
import time

import pytest

from avow.api.protocol import WireLimits
from tests.contract.fix_wire import GET, POST, WAIT_S, Application, Client, Response, answered, serving

FRAMING: dict[str, tuple[bytes, int, str]] = {
    "no_host": (b"GET / HTTP/1.1\r\n\r\n", 400, "host-invalid"),
    "two_hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "host-invalid"),
    "empty_host": (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, "host-invalid"),
    "malformed_host": (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "host-invalid"),
    "two_hosts_in_1.0": (b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400, "host-invalid"),
    "tls_hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01", 501, "method-unknown"),
    "no_version": (b"GET /\r\n\r\n", 400, "bad-request"),
    "version_2": (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 400, "bad-request"),
    "http2_preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "bad-request"),
    "length_and_chunked": (
        POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "bad-request",
    ),
    "chunked_and_length": (
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        400,
        "bad-request",
    ),
    "two_lengths": (POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400, "bad-request"),
    "two_equal_lengths": (POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400, "bad-request"),
    "list_of_lengths": (POST + b"Content-Length: 3, 3\r\n\r\nabc", 400, "bad-request"),
    "negative_length": (POST + b"Content-Length: -1\r\n\r\n", 400, "bad-request"),
    "signed_length": (POST + b"Content-Length: +3\r\n\r\nabc", 400, "bad-request"),
    "huge_length": (POST + b"Content-Length: 99999999999999999999\r\n\r\n", 400, "bad-request"),
    "chunked_not_last": (POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400, "bad-request"),
    "unknown_transfer_coding": (POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400, "bad-request"),
    "space_before_colon": (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400, "bad-request"),
    "folded_header": (b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", 400, "bad-request"),
    "nul_in_header": (b"GET / HTTP/1.1\r\nHost: a\r\nX: b\x00c\r\n\r\n", 400, "bad-request"),
    "bare_cr_in_header": (b"GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n", 400, "bad-request"),
    "bare_line_feeds": (b"GET / HTTP/1.1\nHost: a\n\n", 400, "bad-request"),
    "space_in_target": (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad-request"),
    "non_ascii_target": (b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad-request"),
    "unknown_method": (b"FROB / HTTP/1.1\r\nHost: a\r\n\r\n", 501, "method-unknown"),
    "lower_case_method": (b"get / HTTP/1.1\r\nHost: a\r\n\r\n", 501, "method-unknown"),
    "connect": (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501, "method-unknown"),
    "long_target": (b"GET /" + b"a" * 1024 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "uri-too-long"),
    "long_header": (
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 4096 + b"\r\n\r\n",
        431,
        "headers-too-large",
    ),
    "many_headers": (
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: b\r\n" * 100 + b"\r\n",
        431,
        "headers-too-large",
    ),
    "endless_header": (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 9000, 431, "headers-too-large"),
}


@pytest.mark.parametrize("name", FRAMING)
def test_a_malformed_head_is_a_problem_and_closes(
    name: str, client: Client, application: Application
) -> None:
    """The application never sees it, nor a request smuggled behind it."""
    raw, status, code = FRAMING[name]
    response = client.send(raw + GET.replace(b" / ", b" /smuggled ")).response()
    assert (response.status, response.problem) == (status, code)
    assert client.is_closed()
    assert application.paths == []


def test_endless_blank_lines_are_no_way_to_hold_a_connection(client: Client) -> None:
    assert client.send(b"\r\n" * 40_000).response().problem == "headers-too-large"
    assert client.is_closed()


CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "chunks",
    [
        *(b"zz\r\n", b"3\r\nabcd\r\n", b"-1\r\n", b"0x3\r\nabc\r\n", b"3 \r\nabc\r\n", b"3\nabc\n0\n\n"),
        *(b"10000000000000000\r\n", b"3\r\nabc0\r\n\r\n", b"3;a=\x00\r\nabc\r\n", b"0\r\nx\x00y: z\r\n\r\n"),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_a_malformed_body_is_a_problem_and_closes(
    chunks: bytes, at_once: bool, client: Client, application: Application
) -> None:
    smuggled = GET.replace(b" / ", b" /smuggled ")
    if at_once:
        client.send(CHUNKED + b"1\r\na\r\n" + chunks + smuggled)
    else:
        client.send(CHUNKED + b"1\r\na\r\n").send(chunks + smuggled)
    response = client.response()
    assert (response.status, response.problem) == (400, "bad-request")
    assert client.is_closed()
    assert application.paths in ([], ["/"])
    assert application.bodies == []


def test_a_good_request_is_served_and_the_connection_kept(client: Client, application: Application) -> None:
    for _ in range(3):
        response = client.send(GET).response()
        assert (response.status, response.body) == (200, b"/")
        assert "connection" not in response.headers
        assert "server" not in response.headers
        assert response.headers["date"]
    client.send(CHUNKED + b"1\r\na\r\n2;x=y\r\nbc\r\n0\r\n\r\n").response()
    assert application.bodies[-1] == b"abc"
    client.send(b"\r\n" + GET).response()
    assert client.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")).response().status == 200
    assert client.is_closed()


def test_http_1_0_is_served_without_a_host_and_closed(client: Client) -> None:
    response = client.send(b"GET / HTTP/1.0\r\n\r\n").response()
    assert (response.status, response.headers["connection"]) == (200, "close")
    assert client.is_closed()


def test_a_body_longer_than_any_head_is_no_head(client: Client, application: Application) -> None:
    """Bodies, in one piece or many, never count towards the limit on heads, nor does what follows them."""
    body = b"x" * 300_000
    for _ in range(2):
        client.send(POST + b"Content-Length: 300000\r\n\r\n" + body)
        assert client.response().status == 200
    client.send(POST + b"Content-Length: 300000\r\n\r\n")
    for at in range(0, 300_000, 50_000):
        client.send(body[at : at + 50_000])
    assert client.response().status == 200
    assert application.bodies == [body] * 3


def test_pipelined_requests_are_answered_in_order(client: Client) -> None:
    client.send(b"".join(GET.replace(b" / ", b" /%d " % n) for n in range(50)))
    assert [client.response().body for _ in range(50)] == [b"/%d" % n for n in range(50)]


def test_a_refusal_never_overtakes_an_answer_that_is_owed(client: Client, application: Application) -> None:
    """A bad request behind good ones in one write: their answers first, then the refusal, then the end."""
    client.send(GET + GET.replace(b" / ", b" /2 ") + b"FROB / HTTP/1.1\r\n\r\n" + GET)
    assert client.response().body == b"/"
    assert client.response().body == b"/2"
    assert client.response().problem == "method-unknown"
    assert client.is_closed()
    assert application.paths == ["/", "/2"]


def test_a_bad_body_behind_a_good_request_is_refused_in_order(
    client: Client, application: Application
) -> None:
    client.send(GET + CHUNKED.replace(b" / ", b" /2 ") + b"zz\r\n" + GET)
    assert client.response().body == b"/"
    assert client.response().problem == "bad-request"
    assert client.is_closed()
    assert application.paths == ["/"]


def test_trailers_are_not_headers(client: Client, application: Application) -> None:
    client.send(CHUNKED + b"0\r\nAuthorization: Bearer x\r\n\r\n")
    assert client.response().status == 200
    assert b"authorization" not in dict(application.headers[0])


def test_endless_trailers_are_refused(client: Client) -> None:
    client.send(CHUNKED + b"0\r\n" + b"X: y\r\n" * 2000)
    assert client.response().problem == "headers-too-large"


def test_an_upgrade_is_ignored_and_what_follows_is_not_read(client: Client, application: Application) -> None:
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
    client.send(GET[:-2] + upgrade + GET.replace(b" / ", b" /smuggled "))
    response = client.response()
    assert (response.status, response.body, response.headers["connection"]) == (200, b"/", "close")
    assert client.is_closed()
    assert application.paths == ["/"]


def test_nothing_is_read_after_connection_close(client: Client, application: Application) -> None:
    client.send(GET[:-2] + b"Connection: close\r\n\r\n" + GET.replace(b" / ", b" /smuggled "))
    assert client.response().status == 200
    assert client.is_closed()
    assert application.paths == ["/"]


def test_an_early_answer_reaches_a_client_that_is_still_sending() -> None:
    """The application answers without reading; the client gets the answer, then the connection ends."""
    with serving(WireLimits(discard_timeout_s=60)) as (port, _), Client(port) as client:
        client.send(POST.replace(b" / ", b" /early ") + b"Content-Length: 900000\r\n\r\n" + b"x" * 100_000)
        assert select.select([client.socket], [], [], WAIT_S)[0], "the answer is there"
        for _ in range(20):
            client.send(b"x" * 20_000)
        response = client.response()
        assert (response.status, response.headers["connection"]) == (200, "close")
        client.end_sending()
        assert client.is_closed()


def test_a_refusal_reaches_a_client_that_is_still_sending() -> None:
    with serving(WireLimits(discard_timeout_s=60)) as (port, _), Client(port) as client:
        client.send(POST + b"Content-Length: 900000\r\nContent-Length: 1\r\n\r\n")
        for _ in range(20):
            client.send(b"x" * 50_000)
        assert client.response().problem == "bad-request"
        client.end_sending()
        assert client.is_closed()


def test_what_is_thrown_away_is_bounded() -> None:
    """A client that goes on sending after its answer is cut off long before the end of its body."""
    limits = WireLimits(discard_timeout_s=60, discard_bytes_max=64 * 1024)
    with serving(limits) as (port, _), Client(port) as client:
        client.send(POST.replace(b" / ", b" /early ") + b"Content-Length: 300000000\r\n\r\n")
        with pytest.raises(ConnectionError):
            client.send(b"x" * 300_000_000)


def test_a_request_behind_an_early_answer_is_not_served(client: Client, application: Application) -> None:
    client.send(POST.replace(b" / ", b" /early ") + b"Content-Length: 5\r\n\r\nab")
    assert client.response().status == 200
    client.send(b"cde" + GET)
    assert client.is_closed()
    assert application.paths == ["/early"]


def test_an_answer_that_starts_early_and_ends_late_is_the_last_one(
    client: Client, application: Application
) -> None:
    client.send(POST.replace(b" / ", b" /late ") + b"Content-Length: 5\r\n\r\nab")
    head = client.socket.recv(65536)
    assert b"connection: close" in head
    client.send(b"cde" + GET)
    assert client.socket.recv(65536) == b"/late"
    assert client.is_closed()
    assert application.paths == ["/late"]


def test_a_client_that_waits_for_100_is_answered_without_its_body() -> None:
    """There is no body to be thrown away: the connection ends at once."""
    expect = b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    with serving(WireLimits(discard_timeout_s=60)) as (port, _), Client(port) as client:
        assert client.send(POST.replace(b" / ", b" /early ") + expect).response().status == 200
        assert client.is_closed()


def test_a_failing_application_is_a_problem_without_its_message(client: Client) -> None:
    response = client.send(GET.replace(b" / ", b" /fail ")).response()
    assert response.status == 500
    assert json.loads(response.body)["type"] == "/problems/internal-error"
    assert b"secret" not in response.body
    assert client.send(GET).response().status == 200


@pytest.mark.parametrize("raw", [b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\nX"])
def test_a_head_that_does_not_end_is_refused_in_time(raw: bytes) -> None:
    with answered(raw, 408) as (client, late, _):
        assert late.problem == "request-timeout"
        assert client.is_closed()


def test_a_second_head_that_does_not_end_is_refused_in_time() -> None:
    with answered(GET + b"G") as (client, _, _):
        response = client.response()
        assert (response.status, response.problem) == (408, "request-timeout")
        assert client.is_closed()


def test_dripping_bytes_do_not_prolong_a_head() -> None:
    """One more byte of a head each time the socket would block: the deadline is for the whole head."""
    with answered(GET) as (client, _, _):
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
        client.socket.settimeout(0.05)
        for _ in range(200):
            try:
                client._read()
                break
            except TimeoutError:
                client.send(b"x")
        client.socket.settimeout(WAIT_S)
        assert client.response().problem == "request-timeout"


@pytest.mark.parametrize("raw", [b"", b"\r\n"])
def test_a_connection_that_sends_no_request_is_closed_without_a_word(raw: bytes, hasty: Client) -> None:
    assert hasty.send(raw).is_closed()


def test_a_connection_that_sends_no_second_request_is_closed_without_a_word() -> None:
    with answered(GET) as (client, _, _):
        assert client.send(b"\r\n").is_closed()


def test_an_idle_connection_outlives_the_deadline_for_heads() -> None:
    """Keep-alive has its own time; the head's deadline starts with the head."""
    with answered(GET, keep_alive_timeout_s=60) as (client, _, head_s):
        client.socket.settimeout(2 * head_s)
        with pytest.raises(TimeoutError):
            client.is_closed()
        client.socket.settimeout(WAIT_S)
        assert client.send(GET).response().status == 200


def test_an_idle_connection_is_closed_after_its_own_time() -> None:
    limits = WireLimits(header_timeout_s=60, keep_alive_timeout_s=1)
    with serving(limits) as (port, _), Client(port) as client:
        assert client.send(GET).response().status == 200
        assert client.is_closed()


def test_a_client_that_does_not_read_its_answer_is_cut_off() -> None:
    """The answer is larger than all buffers on the way, so its sender waits until the server lets go."""
    with serving(WireLimits(write_timeout_s=0.3)) as (port, application), Client(port) as client:
        client.send(GET.replace(b" / ", b" /large "))
        assert application.large_ended.wait(WAIT_S)


def test_too_many_requests_at_once_are_refused_as_busy() -> None:
    with serving(WireLimits(concurrency_max=1)) as (port, _), Client(port) as slow, Client(port) as client:
        slow.send(POST + b"Content-Length: 1\r\n\r\n")
        refused = _until(client, 503)
        assert json.loads(refused.body)["type"] == "/problems/busy"
        assert refused.headers["retry-after"]
        assert slow.send(b"x").response().status == 200
        _until(client, 200)


def test_too_many_connections_are_refused_as_busy() -> None:
    with serving(WireLimits(connections_max=1)) as (port, _), Client(port) as client:
        assert client.send(GET).response().status == 200
        with Client(port) as second:
            assert second.response().problem == "busy"
            assert second.is_closed()
        assert client.send(GET).response().status == 200


def _until(client: Client, status: int) -> Response:
    """Send GETs until one is answered with `status`; the test fails after `WAIT_S`."""
    give_up_at = time.monotonic() + WAIT_S
    while (response := client.send(GET).response()).status != status:
        assert time.monotonic() < give_up_at, response
    return response
