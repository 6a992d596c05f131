"""Asking witnesses to stand for the newest checkpoint (c2sp.org/tlog-witness), and keeping what they sign.

Only the origin, the size, the root and hashes leave the house. A witness that is away stops nothing: what
it would have signed is signed the next time. All are asked at once for the same checkpoint, so that a quorum
of them stands for it however fast the log grows, and whichever of them is slow. It must never keep a line
that isn't by the witness it was asked of.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial

from avow.engine.outside import AddressRefused, Destination, Outside, Response
from avow.errors import EnvironmentFault
from avow.evidence.note import join
from avow.evidence.verifier import Invalid, check_note, parse_note, parse_number
from avow.evidence.witness import Submission, Witness, write_submission
from avow.model.outcome import NotDone, Unclear
from avow.store import driver
from avow.store.driver import Connection
from avow.store.log.reads import LogReads, StoredCheckpoint
from avow.store.log.witnesses import Cosignatures
from avow.store.pool import KEPT_PLANS, connect

INTERVAL_S = 10.0
"""How often witnesses are asked, where there is something new."""
ANSWER_S_MAX = 10.0
"""How long a witness may take to sign, or to say what it has signed and then to sign."""
STOP_S_MAX = 15.0
SIGNED, CONFLICT = 200, 409
FORKED = (CONFLICT, 422)
"""What a witness answers that has been asked to go on from what it signed last."""

_log = logging.getLogger("avow.engine")


class Witnessing:
    """Asks from `start` to `stop`, in a thread of its own; of several processes one does."""

    def __init__(self, url: str, witnesses: Sequence[Witness], interval_s: float = INTERVAL_S) -> None:
        self._url, self._witnesses, self._interval_s = url, witnesses, interval_s
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._give_up: Callable[..., object] | None = None

    def start(self) -> None:
        """Begin to ask."""
        begun = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run(begun)), name="witnessing", daemon=True
        )
        self._thread.start()
        begun.wait()

    def stop(self) -> None:
        """Stop. Questions under way are given up: what was signed meanwhile is learnt the next time."""
        self._ended.set()
        if self._thread is not None and self._give_up is not None:
            with suppress(RuntimeError):  # it has ended by itself
                self._give_up()
            self._thread.join(STOP_S_MAX)

    async def _run(self, begun: threading.Event) -> None:
        asking = asyncio.create_task(self._ask())
        self._give_up = partial(asyncio.get_running_loop().call_soon_threadsafe, asking.cancel)
        begun.set()
        with suppress(asyncio.CancelledError):
            await asking

    async def _ask(self) -> None:
        """Ask until the end; a database that is away is tried again."""
        while not self._ended.is_set():
            try:
                await self._serve()
            except (EnvironmentFault, TimeoutError, OSError, driver.DatabaseError, *driver.Lost) as error:
                _log.warning("no witness is asked: %s", type(error).__name__)
            await asyncio.sleep(self._interval_s)

    async def _serve(self) -> None:
        connection = await connect(self._url, {"application_name": "avow witnessing", **KEPT_PLANS})
        outside = Outside()
        try:
            questions = Questions.on(connection, outside)
            while not self._ended.is_set():
                next_s = time.monotonic() + self._interval_s
                if await questions.lead():
                    await questions.ask_all(self._witnesses)
                await asyncio.sleep(max(0.0, next_s - time.monotonic()))
        finally:
            await outside.aclose()
            await connection.close()


def witnessing_of(url: str, witnesses: Sequence[Witness]) -> Witnessing | None:
    """Who asks these witnesses; None where there are none."""
    return Witnessing(url, witnesses) if witnesses else None


def place_of(witness: Witness) -> Destination:
    """Where a witness is asked. Raises ValueError for a URL that can't be called."""
    return Destination(witness.key.name, witness.url, allow_private=True)


class Questions:
    """What is asked on one connection. Also for tests, which ask one by one."""

    def __init__(self, reads: LogReads, cosignatures: Cosignatures, outside: Outside) -> None:
        self._reads, self._cosignatures, self._outside = reads, cosignatures, outside

    @classmethod
    def on(cls, connection: Connection, outside: Outside) -> Questions:
        """On one connection, which one question uses at a time."""
        free = asyncio.Lock()

        @asynccontextmanager
        async def lend() -> AsyncGenerator[Connection]:
            async with free:
                yield connection

        return cls(LogReads(lend), Cosignatures(lend), outside)

    async def lead(self) -> bool:
        """Be the one that asks; False while another one is."""
        return await self._cosignatures.lead()

    async def ask(self, witness: Witness) -> bool:
        """Have a witness sign the newest checkpoint; True where it has. Why it hasn't is logged."""
        return all(await self.ask_all([witness]))

    async def ask_all(self, witnesses: Sequence[Witness]) -> list[bool]:
        """Have witnesses sign the newest checkpoint, the same one, each as fast as it can; which have."""
        head = await self._reads.head()
        checkpoint = None if head is None else await self._reads.newest_checkpoint(head.epoch)
        if checkpoint is None:
            return [False] * len(witnesses)
        asked = (self._ask(witness, checkpoint) for witness in witnesses)
        found = await asyncio.gather(*asked, return_exceptions=True)
        for each in found:
            if isinstance(each, BaseException):
                raise each
        return [each is True for each in found]

    async def _ask(self, witness: Witness, checkpoint: StoredCheckpoint) -> bool:
        old = await self._cosignatures.size(checkpoint.epoch, witness.key.text)
        if old == checkpoint.size:
            return True
        try:
            line = await self._line(witness, checkpoint, old)
        except (NotDone, Unclear, AddressRefused, Invalid) as error:
            _log.warning("%s doesn't stand for size %d: %s", witness.key.name, checkpoint.size, error)
            return False
        await self._cosignatures.keep(checkpoint.epoch, checkpoint.size, witness.key.text, line)
        return True

    async def _line(self, witness: Witness, checkpoint: StoredCheckpoint, old: int) -> str:
        """The line that the witness signs with. Raises Invalid for any other answer than that."""
        deadline = time.monotonic() + ANSWER_S_MAX
        answer = await self._post(witness, checkpoint, old, deadline)
        if answer.status == CONFLICT:
            known = parse_number(answer.text.removesuffix("\n"))
            if known > checkpoint.size:
                raise Invalid(f"it has signed for size {known}: the database was restored, or the log forked")
            answer = await self._post(witness, checkpoint, known, deadline)
        if answer.status in FORKED:
            raise Invalid(f"it has signed another history, and answers {answer.status}: a fork")
        if answer.status != SIGNED:
            raise Invalid(f"it answered {answer.status}")
        text = parse_note(checkpoint.note.encode()).text
        for line in answer.text.splitlines(keepends=True):
            if check_note(parse_note(join(text, line).encode()), [witness.key]):
                return line
        raise Invalid("its answer isn't signed with its key")

    async def _post(
        self, witness: Witness, checkpoint: StoredCheckpoint, old: int, deadline: float
    ) -> Response:
        proof = await self._reads.consistency(checkpoint.epoch, old, checkpoint.size)
        body = write_submission(Submission(old, proof, checkpoint.note.encode()))
        http = self._outside.http(place_of(witness), key=secrets.token_hex(16), deadline=deadline)
        headers = {"content-type": "text/plain; charset=utf-8"}
        return await http.post("add-checkpoint", content=body, headers=headers, idempotent=True)
