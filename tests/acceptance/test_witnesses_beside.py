"""Several witnesses of one log: what one of them does is no matter of the others, nor of the log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from avow.cli.settings import witnesses_of
from avow.engine.log import witnessing
from avow.engine.log.witnessing import Questions, Witnessing
from avow.engine.outside import Outside
from avow.errors import UsageError
from avow.evidence.note import SecretKey, Signer
from avow.evidence.verifier import parse_note
from avow.evidence.witness import Witness, parse_submission
from avow.store.pool import connect
from examples.enrollment.system import app
from tests.acceptance.polling import PATIENCE_S, until
from tests.fix_database import MakeDatabase
from tests.store.sealed import Log, sealing
from tests.unit.engine.outside.server import Heard, serving

NUMBER = 20


@pytest.fixture(autouse=True)
def nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a witness that is slow because the machine is busy, nor one that never answers."""
    monkeypatch.setattr(witnessing, "ANSWER_S_MAX", 10 * PATIENCE_S)
    monkeypatch.setattr(witnessing, "STOP_S_MAX", PATIENCE_S)


def signer(number: int) -> Signer:
    return Signer(f"audit.example/w{number}", SecretKey(bytes([number + 1] * 32)))


class Signing:
    """A witness that signs whatever it is asked for, after something has happened."""

    def __init__(self, number: int, before: Callable[[], Awaitable[None]] | None = None) -> None:
        self.signer, self._before = signer(number), before
        self.heard: Heard | None = None

    @property
    def witness(self) -> Witness:
        assert self.heard is not None
        return Witness(self.signer.cosigner, self.heard.url("/w"))

    async def __call__(self, writer: asyncio.StreamWriter) -> None:
        assert self.heard is not None
        if self._before is not None:
            await self._before()
        body = self.heard.requests[-1].partition(b"\r\n\r\n")[2]
        line = self.signer.cosign(parse_note(parse_submission(body).note).text, 1).encode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(line), line))
        await writer.drain()


async def silent(_: asyncio.StreamWriter) -> None:
    """Takes the request, and never answers."""
    await asyncio.Event().wait()


async def started(stack: AsyncExitStack, *signing: Signing) -> list[Witness]:
    for each in signing:
        each.heard = await stack.enter_async_context(serving(each))
    return [each.witness for each in signing]


async def questions(stack: AsyncExitStack, log: Log) -> Questions:
    connection = await connect(log.made.application_url)
    stack.push_async_callback(connection.close)
    outside = Outside()
    stack.push_async_callback(outside.aclose)
    return Questions.on(connection, outside)


async def test_all_witnesses_of_a_round_stand_for_the_same_checkpoint_while_the_log_grows(
    database: MakeDatabase, tmp_path: Path
) -> None:
    """Or no receipt would ever have a quorum of them."""
    async with AsyncExitStack() as stack:
        log = await stack.enter_async_context(sealing(database(app), tmp_path))
        asking, version = await questions(stack, log), 1
        growing = asyncio.Lock()

        async def grow() -> None:
            nonlocal version
            async with growing:
                await log.append(version)
                version += 1
                await log.seal()

        await grow()
        witnesses = await started(stack, *(Signing(number, grow) for number in range(NUMBER)))
        assert await asking.ask_all(witnesses) == [True] * NUMBER
        kept = await log.admin.fetch("SELECT size, count(*) FROM avow.cosignature GROUP BY size")
        assert [tuple(row) for row in kept] == [(1, NUMBER)]


async def test_a_witness_that_never_answers_keeps_nobody_else_from_being_asked(
    database: MakeDatabase, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        log = await stack.enter_async_context(sealing(database(app), tmp_path))
        asking = await questions(stack, log)
        await log.append(1)
        await log.seal()
        held = await stack.enter_async_context(serving(silent))
        mute = Witness(signer(NUMBER).cosigner, held.url())
        others = await started(stack, Signing(0), Signing(1))
        asked = asyncio.create_task(asking.ask_all([mute, *others]))
        try:

            async def signed() -> bool | None:
                return await log.admin.fetchval("SELECT count(*) FROM avow.cosignature") == 2 or None

            await until(signed, "the others have signed")
            assert not asked.done()
        finally:
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)


async def test_a_server_that_ends_does_not_wait_for_a_witness(database: MakeDatabase, tmp_path: Path) -> None:
    async with sealing(database(app), tmp_path) as log, serving(silent) as heard:
        await log.append(1)
        await log.seal()
        asking = Witnessing(log.made.application_url, [Witness(signer(0).cosigner, heard.url())])
        asking.start()
        await heard.arrived.wait()
        begun_s = time.monotonic()
        await asyncio.to_thread(asking.stop)
        assert time.monotonic() - begun_s < PATIENCE_S


@pytest.mark.parametrize("url", ["ftp://w.example/", "http://user@w.example/", "w.example:80"])
def test_a_witness_that_can_not_be_called_is_a_mistake_at_the_start(tmp_path: Path, url: str) -> None:
    """Not the silent end of the thread that asks all of them."""
    policy = f"log {signer(0).verifier.text}\nwitness w {signer(1).cosigner.text} {url}\nquorum w\n"
    (tmp_path / "policy").write_text(policy)
    with pytest.raises(UsageError, match="AVOW_WITNESSES"):
        witnesses_of({"AVOW_WITNESSES": str(tmp_path / "policy")})
