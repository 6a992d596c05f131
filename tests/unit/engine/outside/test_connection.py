"""One connection gives each request its own answer, and none that came with another's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from avow.engine.outside import Destination, Http, Outside, connection, connections
from avow.model.outcome import Unclear
from tests.unit.engine.outside.server import Behave, Heard, serving


def saying(*lines: bytes, closes: bool = False) -> Behave:
    """Answers each request with these bytes."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(b"\r\n".join(lines))
        await writer.drain()
        if closes:
            writer.close()

    return behave


WHOLE = (b"HTTP/1.1 200 OK", b"content-length: 2", b"", b"ok")


@pytest.fixture
async def made() -> AsyncIterator[Outside]:
    outside = Outside()
    yield outside
    await outside.aclose()


def bound(made: Outside, heard: Heard) -> Http:
    return made.http(Destination("p", heard.url(), {}, True), key="k", deadline=time.monotonic() + 20)


async def test_what_is_only_announced_is_no_answer(made: Outside) -> None:
    async with serving(saying(b"HTTP/1.1 103 Early Hints", b"link: </a>", b"", *WHOLE)) as heard:
        answer = await bound(made, heard).post("/")
        assert (answer.status, answer.content, "link" in answer.headers) == (200, b"ok", False)


async def test_an_answer_without_a_length_goes_on_until_the_end(made: Outside) -> None:
    async with serving(saying(b"HTTP/1.1 200 OK", b"", b"to the end", closes=True)) as heard:
        assert (await bound(made, heard).post("/")).content == b"to the end"


async def test_chunks_are_put_together(made: Outside) -> None:
    chunks = saying(
        b"HTTP/1.1 200 OK", b"transfer-encoding: chunked", b"", b"2", b"ab", b"1", b"c", b"0", b"", b""
    )
    async with serving(chunks) as heard:
        for _ in range(2):
            assert (await bound(made, heard).post("/")).content == b"abc"
        assert heard.connections == 1


@pytest.mark.parametrize("more", [b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbad", b"bad"])
async def test_what_comes_with_an_answer_is_given_to_no_other_request(made: Outside, more: bytes) -> None:
    async with serving(saying(*WHOLE[:-1], WHOLE[-1] + more)) as heard:
        for _ in range(2):
            assert (await bound(made, heard).post("/")).content == b"ok"
        assert heard.connections == 2


async def test_a_connection_that_is_to_be_closed_is_not_used_again(made: Outside) -> None:
    async with serving(saying(WHOLE[0], b"connection: close", *WHOLE[1:])) as heard:
        for _ in range(2):
            assert (await bound(made, heard).post("/")).status == 200
        assert heard.connections == 2


@pytest.mark.parametrize(
    "lines",
    [
        (b"HTTP/1.1 200 OK", b"content-length: 2", b"transfer-encoding: chunked", b"", b"ok"),
        (b"HTTP/1.1 200 OK", b"content-length: 2", b"content-length: 3", b"", b"ok"),
        (b"HTTP/2.0 200 OK", b"content-length: 2", b"", b"ok"),
        (b"HTTP/1.1 101 Switching", b"upgrade: x", b"connection: upgrade", b"", b"ok"),
        (b"HTTP/1.1 200 OK", b"x: " + b"y" * (2 * connection.HEAD_BYTES_MAX)),
    ],
)
async def test_what_can_be_read_in_two_ways_or_has_no_end_is_no_answer(
    made: Outside, lines: tuple[bytes, ...]
) -> None:
    async with serving(saying(*lines, closes=True)) as heard:
        with pytest.raises(Unclear) as raised:
            await bound(made, heard).post("/")
        assert not raised.value.answered


async def test_an_idle_connection_is_closed_and_another_one_made(
    made: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "KEPT_S", 0.0)
    async with serving(saying(*WHOLE)) as heard:
        for count in (1, 2):
            assert (await bound(made, heard).post("/")).status == 200
            assert heard.connections == count
            for _ in range(20):
                turned = asyncio.Event()
                asyncio.get_running_loop().call_soon(turned.set)
                await turned.wait()
