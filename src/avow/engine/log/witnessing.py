"""Asking witnesses to stand for the newest checkpoint (c2sp.org/tlog-witness), and keeping what they sign.

Only the origin, the size, the root and hashes leave the house. A witness that is away stops nothing: what
it would have signed is signed the next time. It must never keep a line that isn't by the witness it was
asked of.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

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

    def start(self) -> None:
        """Begin to ask."""
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run()), name="witnessing", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Bring the question under way to an end, and stop."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(STOP_S_MAX)

    async def _run(self) -> None:
        while not self._ended.is_set():
            try:
                await self._serve()
            except (EnvironmentFault, TimeoutError, OSError, driver.DatabaseError, *driver.Lost) as error:
                _log.warning("no witness is asked: %s", type(error).__name__)
            await self._rest()

    async def _serve(self) -> None:
        connection = await connect(self._url, {"application_name": "avow witnessing", **KEPT_PLANS})
        outside = Outside()
        try:
            questions = Questions.on(connection, outside)
            while not self._ended.is_set():
                if await questions.lead():
                    for witness in self._witnesses:
                        await questions.ask(witness)
                await self._rest()
        finally:
            await outside.aclose()
            await connection.close()

    async def _rest(self) -> None:
        await asyncio.to_thread(self._ended.wait, self._interval_s)


def witnessing_of(url: str, witnesses: Sequence[Witness]) -> Witnessing | None:
    """Who asks these witnesses; None where there are none."""
    return Witnessing(url, witnesses) if witnesses else None


class Questions:
    """What is asked on one connection. Also for tests, which ask one by one."""

    def __init__(self, reads: LogReads, cosignatures: Cosignatures, outside: Outside) -> None:
        self._reads, self._cosignatures, self._outside = reads, cosignatures, outside

    @classmethod
    def on(cls, connection: Connection, outside: Outside) -> Questions:
        """On one connection."""

        @asynccontextmanager
        async def lend() -> AsyncGenerator[Connection]:
            yield connection

        return cls(LogReads(lend), Cosignatures(lend), outside)

    async def lead(self) -> bool:
        """Be the one that asks; False while another one is."""
        return await self._cosignatures.lead()

    async def ask(self, witness: Witness) -> bool:
        """Have a witness sign the newest checkpoint; True where it has. Why it hasn't is logged."""
        head = await self._reads.head()
        checkpoint = None if head is None else await self._reads.newest_checkpoint(head.epoch)
        if checkpoint is None:
            return False
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
        answer = await self._post(witness, checkpoint, old)
        if answer.status == CONFLICT:
            known = parse_number(answer.text.removesuffix("\n"))
            if known > checkpoint.size:
                raise Invalid(f"it has signed for size {known}: the database was restored, or the log forked")
            answer = await self._post(witness, checkpoint, known)
        if answer.status in FORKED:
            raise Invalid(f"it has signed another history, and answers {answer.status}: a fork")
        if answer.status != SIGNED:
            raise Invalid(f"it answered {answer.status}")
        text = parse_note(checkpoint.note.encode()).text
        for line in answer.text.splitlines(keepends=True):
            if check_note(parse_note(join(text, line).encode()), [witness.key]):
                return line
        raise Invalid("its answer isn't signed with its key")

    async def _post(self, witness: Witness, checkpoint: StoredCheckpoint, old: int) -> Response:
        proof = await self._reads.consistency(checkpoint.epoch, old, checkpoint.size)
        body = write_submission(Submission(old, proof, checkpoint.note.encode()))
        place = Destination(witness.key.name, witness.url, allow_private=True)
        http = self._outside.http(place, key=secrets.token_hex(16), deadline=time.monotonic() + ANSWER_S_MAX)
        headers = {"content-type": "text/plain; charset=utf-8"}
        return await http.post("add-checkpoint", content=body, headers=headers, idempotent=True)
