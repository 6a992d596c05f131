"""How a call ended is known exactly: not done, unclear, or an answer; against a server that misbehaves."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from avow.engine.outside import Destination, Http, Limits, Outside, Response, connections
from avow.engine.outside.response import RETRY_AFTER_S_MAX, retry_after_s
from avow.model.effect import ANSWER_BYTES_MAX
from avow.model.outcome import AnswerTooLarge, NotDone, RequestTooLarge, Unclear
from tests.unit.engine.outside.server import Behave, answering, babbling, cutting, serving

SECRET = "sk_live_never_shown"
NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
LEFT_S = (0.3, 3.0, 30.0)
DRIPPED_MAX = 900_000


@contextlib.asynccontextmanager
async def outside() -> AsyncIterator[Outside]:
    made = Outside(now=lambda: NOW)
    try:
        yield made
    finally:
        await made.aclose()


def bound(made: Outside, base_url: str, left_s: float = 20.0) -> Http:
    destination = Destination("provider", base_url, {"authorization": f"Bearer {SECRET}"}, allow_private=True)
    return made.http(destination, key="call-1", deadline=time.monotonic() + left_s)


async def outcome(behave: Behave, method: str, **options: Any) -> Response | BaseException:
    """What the function of an effect would see."""
    async with serving(behave) as heard, outside() as made:
        return await seen(bound(made, heard.url()), method, **options)


async def seen(http: Http, method: str, **options: Any) -> Response | BaseException:
    try:
        return await http.request(method, "/charges", **options)
    except (NotDone, Unclear) as failure:
        ended = failure
    assert SECRET not in f"{ended!r} {ended}"
    assert ended.__cause__ is None
    return ended


async def ended_within(
    behave: Behave, method: str, begun: Callable[[], bool]
) -> tuple[list[bytes], Response | BaseException]:
    """What the server was sent and how the call ended, its time being over once the answer has begun.

    A busy machine is given as much time as it needs to get there.
    """
    for left_s in LEFT_S:
        async with serving(behave) as heard, outside() as made:
            ended = await seen(bound(made, heard.url(), left_s), method)
        if begun():
            return heard.requests, ended
    raise TimeoutError(f"no answer has begun within {LEFT_S[-1]} s")


def unused_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_refused_connection_is_not_done(method: str) -> None:
    async with outside() as made:
        assert isinstance(await seen(bound(made, f"http://127.0.0.1:{unused_port()}"), method), NotDone)


async def test_a_name_without_an_address_is_not_done() -> None:
    async def nothing(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    made = Outside(resolver=nothing)
    assert isinstance(await seen(bound(made, "http://provider.test"), "POST"), NotDone)
    await made.aclose()


async def test_a_name_that_takes_too_long_is_not_done() -> None:
    async def never(host: str, port: int) -> Sequence[str]:
        return await asyncio.get_running_loop().create_future()

    made = Outside(resolver=never)
    assert isinstance(await seen(bound(made, "http://provider.test", 0.05), "POST"), NotDone)
    await made.aclose()


async def test_a_server_that_does_not_speak_tls_is_not_done() -> None:
    def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server, outside() as made:
        port = server.sockets[0].getsockname()[1]
        assert isinstance(await seen(bound(made, f"https://127.0.0.1:{port}"), "POST"), NotDone)


async def test_a_call_with_no_time_left_sends_nothing() -> None:
    async with serving(answering(200)) as heard, outside() as made:
        assert isinstance(await seen(bound(made, heard.url()), "POST"), Response)
        late = await seen(bound(made, heard.url(), 0.0), "POST")
        assert isinstance(late, NotDone)
        assert "no time left" in str(late)
        assert len(heard.requests) == 1


async def test_waiting_in_vain_for_a_free_connection_is_not_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "CONNECTIONS_MAX", 1)
    stalled = asyncio.Event()

    async def stall(_: asyncio.StreamWriter) -> None:
        await stalled.wait()

    async with serving(stall) as heard, outside() as made:
        first = asyncio.create_task(seen(bound(made, heard.url()), "POST"))
        await heard.arrived.wait()
        assert isinstance(await seen(bound(made, heard.url(), 0.05), "POST"), NotDone)
        assert len(heard.requests) == 1
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)


@pytest.mark.parametrize(
    ("method", "options", "kind"),
    [
        ("POST", {}, Unclear),
        ("DELETE", {}, Unclear),
        ("GET", {"idempotent": False}, Unclear),
        ("GET", {}, NotDone),
        ("HEAD", {}, NotDone),
        ("PUT", {"idempotent": True}, NotDone),
    ],
)
@pytest.mark.parametrize("behave", [cutting, babbling, answering(200, b"{", length=9)])
async def test_what_breaks_after_sending_is_unclear_unless_it_may_be_repeated(
    behave: Behave, method: str, options: dict[str, Any], kind: type[Exception]
) -> None:
    if method == "HEAD" and behave not in (cutting, babbling):
        return
    ended = await outcome(behave, method, **options)
    assert type(ended) is kind
    assert not getattr(ended, "answered", False)


@pytest.mark.parametrize(("method", "kind"), [("POST", Unclear), ("GET", NotDone)])
async def test_no_answer_within_the_time_left_is_unclear_unless_it_may_be_repeated(
    method: str, kind: type[Exception]
) -> None:
    begun, forever = asyncio.Event(), asyncio.Event()

    async def stall(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab")
        begun.set()
        await forever.wait()

    sent, ended = await ended_within(stall, method, begun.is_set)
    assert type(ended) is kind
    assert len(sent) == 1


async def test_a_drip_of_bytes_does_not_stretch_the_deadline() -> None:
    """Each byte comes in time for a limit on one read; the whole doesn't."""
    dripped = 0

    async def drip(writer: asyncio.StreamWriter) -> None:
        nonlocal dripped
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % DRIPPED_MAX)
        while not writer.is_closing() and dripped < DRIPPED_MAX:
            writer.write(b"x")
            dripped += 1
            for _ in range(10):
                passed = asyncio.Event()
                asyncio.get_running_loop().call_soon(passed.set)
                await passed.wait()

    _, ended = await ended_within(drip, "POST", lambda: dripped > 1)
    assert type(ended) is Unclear
    assert dripped < DRIPPED_MAX, "it was ended before the answer was whole"


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_429_is_not_done_and_says_for_how_long(method: str) -> None:
    ended = await outcome(answering(429, b"slow", "retry-after: 7"), method)
    assert isinstance(ended, NotDone)
    assert ended.retry_after_s == 7


async def test_429_counts_even_where_its_body_is_cut() -> None:
    assert isinstance(await outcome(answering(429, b"s", length=90), "POST"), NotDone)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_fault_of_the_server_is_unclear_and_answered(status: int) -> None:
    ended = await outcome(answering(status, SECRET.encode(), "retry-after: 7"), "POST")
    assert isinstance(ended, Unclear)
    assert (ended.answered, ended.retry_after_s) == (True, 7)


@pytest.mark.parametrize(("method", "options"), [("GET", {}), ("POST", {"idempotent": True})])
async def test_a_fault_of_the_server_is_not_done_where_it_may_be_repeated(
    method: str, options: dict[str, Any]
) -> None:
    ended = await outcome(answering(503, b"", "retry-after: 9"), method, **options)
    assert isinstance(ended, NotDone)
    assert ended.retry_after_s == 9


@pytest.mark.parametrize("status", [200, 201, 302, 400, 402, 404, 409, 410, 422])
async def test_every_other_status_is_an_answer(status: int) -> None:
    answer = await outcome(answering(status, b'{"a":1}', "location: http://127.0.0.1:1/"), "POST")
    assert isinstance(answer, Response)
    assert (answer.status, answer.json(), answer.ok) == (status, {"a": 1}, status < 300)


async def test_too_long_an_answer_is_unclear_and_one_that_just_fits_is_read() -> None:
    ended = await outcome(answering(200, b"x" * (ANSWER_BYTES_MAX + 1)), "POST")
    assert isinstance(ended, Unclear)
    assert ended.answered
    fits = await outcome(answering(200, b"x" * ANSWER_BYTES_MAX), "POST")
    assert isinstance(fits, Response)


async def test_an_effect_may_declare_how_long_requests_and_answers_are() -> None:
    limits = Limits(request_bytes_max=10, answer_bytes_max=10)
    async with serving(answering(200, b"x" * 11)) as heard, outside() as made:
        to = Destination("psp", heard.url(), allow_private=True)
        http = made.http(to, key="call-1", deadline=time.monotonic() + 20.0, limits=limits)
        with pytest.raises(RequestTooLarge):
            await http.post("/charges", content=b"x" * 11)
        assert heard.requests == []
        with pytest.raises(AnswerTooLarge):
            await http.post("/charges", content=b"x" * 10)
        with pytest.raises(Unclear) as unclear:  # a part of the call was sent
            await http.post("/charges", content=b"x" * 11)
        assert unclear.value.answered
        assert len(heard.requests) == 1


async def test_a_coding_that_was_not_asked_for_is_unclear() -> None:
    """A small compressed body may be a large one."""
    assert isinstance(await outcome(answering(200, b"\x1f\x8b", "content-encoding: gzip"), "POST"), Unclear)


def answer(content: bytes, content_type: str = "application/json") -> Response:
    return Response(200, httpx2.Headers({"Content-Type": content_type}), content)


def test_amounts_keep_every_digit() -> None:
    assert str(answer(b'{"amount": 0.10}').json()["amount"]) == "0.10"


@pytest.mark.parametrize("content", [b"", b"<html>", b"\xff", b"NaN", b"[" * 100_000, b"1" * 5_000])
def test_what_is_not_json_is_unclear_and_not_repeated(content: bytes) -> None:
    with pytest.raises(Unclear, match="isn't JSON") as raised:
        answer(content).json()
    assert raised.value.answered


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain; charset=nowhere",
        "text/plain; charset=zlib",
        'text/plain; charset="a\0b"',
        "text/plain",
        f"text/plain; charset={'a' * 2_000}",
    ],
)
def test_what_is_not_text_is_unclear(content_type: str) -> None:
    with pytest.raises(Unclear):
        _ = answer(b"\xff\xfe\xfd", content_type).text


@pytest.mark.parametrize("name", ["iso-8859-1", '"ISO-8859-1"', "latin1; x=y"])
def test_text_is_read_in_the_charset_that_it_names(name: str) -> None:
    assert answer("é".encode("latin-1"), f"text/plain; charset={name}").text == "é"


@pytest.mark.parametrize("charset", ["idna", "punycode", "unicode_escape"])
def test_what_only_python_calls_a_charset_is_none(charset: str) -> None:
    """The first two take minutes for a megabyte, in which nothing else is done."""
    with pytest.raises(Unclear, match="isn't text"):
        _ = answer(b"xn--a", f"text/plain; charset={charset}").text


def test_a_long_media_type_costs_no_more_than_its_length() -> None:
    """A parser of mail looks at all of it again for each semicolon between quotes."""
    begun_s = time.process_time()
    assert answer(b"text", 'text/plain; x="' + ";" * 90_000).text == "text"
    assert time.process_time() - begun_s < 3.0


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        ("0", 0),
        ("120", 120),
        ("999999999", RETRY_AFTER_S_MAX),
        ("9" * 100, RETRY_AFTER_S_MAX),
        ("Sat, 21 Nov 2026 09:31:00 GMT", 60),
        ("Sat, 21 Nov 2026 09:00:00 GMT", 0),
        ("Sat, 21 Nov 2099 09:00:00 GMT", RETRY_AFTER_S_MAX),
        ("-5", None),
        ("1e3", None),
        ("soon", None),
        ("", None),
        ("9" * 40, RETRY_AFTER_S_MAX),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_bounded(value: str, wait_s: float | None) -> None:
    assert retry_after_s({"retry-after": value}, NOW) == wait_s


async def test_connections_are_used_again() -> None:
    async with serving(answering(200)) as heard, outside() as made:
        for _ in range(3):
            assert isinstance(await seen(bound(made, heard.url()), "POST"), Response)
        assert (len(heard.requests), heard.connections) == (3, 1)
