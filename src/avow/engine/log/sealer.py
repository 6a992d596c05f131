"""The sealer: makes the audit log a log whose every state is signed, a moment behind the commands.

Any number may run beside each other: one seals, the others stand by. Before it signs anything it makes sure
that the database still holds what was signed before, also against the newest checkpoint outside of it; a
database that was restored, forked or edited gets no signature. It must never sign two histories with one
key.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from datetime import datetime

from avow.engine.log.beat import INTERVAL_S, follow
from avow.engine.log.epochs import new_origin
from avow.engine.log.key import LogKey
from avow.errors import EnvironmentFault
from avow.evidence.checkpoint import open_checkpoint, sign
from avow.evidence.merkle import Stack
from avow.evidence.note import Signer
from avow.evidence.verifier import Checkpoint, Invalid, parse_key
from avow.model.system import System
from avow.store import driver
from avow.store.driver import Connection
from avow.store.log.reads import Head, LogReads
from avow.store.log.sealing import Place, Sealed, Sealing
from avow.store.pool import KEPT_PLANS, connect

STANDBY_S = 1.0
"""How often one that stands by, or has lost the database, tries again."""
STEP_S_MAX = 60.0

_EPOCH = "If that is so, begin a new epoch: avow log epoch --reason 'restored from the backup of ...'"

_log = logging.getLogger("avow.engine")


class Moved(Exception):
    """The log isn't where this sealer left it: look again before anything is signed."""


class Sealer:
    """Seals from `start` to `stop`, in a thread of its own. `refused`: why it signs nothing now."""

    def __init__(self, name: str, url: str, key: LogKey, interval_s: float = INTERVAL_S) -> None:
        self._name, self._url, self._key, self._interval_s = name, url, key, interval_s
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self.refused: EnvironmentFault | None = None

    def start(self) -> None:
        """Begin to seal."""
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="sealer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Bring the step under way to an end, and stop."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(STEP_S_MAX)

    async def _run(self) -> None:
        """Seal until `stop`; a database that is away is tried again."""
        while not self._ended.is_set():
            try:
                await self._serve()
            except Moved:
                continue
            except EnvironmentFault as fault:
                if fault.code.startswith("log-"):
                    self._refuse(fault)
                else:
                    _log.warning("entries wait to be sealed: %s", fault.code)
            except (TimeoutError, OSError, driver.DatabaseError, *driver.Lost) as error:
                _log.warning("entries wait to be sealed: %s", type(error).__name__)
            self._ended.wait(STANDBY_S)

    def _refuse(self, fault: EnvironmentFault) -> None:
        """Sign nothing; say so once, and look again: somebody may mend it while this process runs."""
        if self.refused is None or str(self.refused) != str(fault):
            _log.error("nothing is sealed any more: %s: %s", fault, fault.mend)
        self.refused = fault

    async def _serve(self) -> None:
        connection = await connect(self._url, {"application_name": "avow sealer", **KEPT_PLANS}, STEP_S_MAX)
        try:
            steps = Steps(self._name, connection, self._key)
            while not await steps.lead():
                if self._ended.wait(STANDBY_S):
                    return
            await steps.take_over()
            self.refused = None
            # The loop of this thread has nothing else to do, and waiting by it would cost more.
            await follow(steps.added, self._ended.wait, time.monotonic, self._interval_s)
        finally:
            await connection.close()


def sealer_of(system: System, url: str, key: LogKey | None) -> Sealer | None:
    """A sealer for a system's log; None, and a word about it, where there is no key to seal with."""
    if key is None:
        _log.warning("nothing is sealed here: AVOW_LOG_KEY isn't set")
        return None
    return Sealer(system.name, url, key)


class Steps:
    """What one sealer does on one connection. Also for tests, which do it step by step."""

    def __init__(self, name: str, connection: Connection, key: LogKey) -> None:
        self._name, self._key = name, key
        self._sealing, self._reads = Sealing(connection), LogReads.on(connection)
        self._signer: Signer | None = None
        self._place: Place | None = None

    async def lead(self) -> bool:
        """Be the one that seals; False while another one is."""
        return await self._sealing.lead()

    async def take_over(self) -> None:
        """Begin the log where there is none; else make sure that it is ours and holds what we have signed.

        Raises EnvironmentFault with what to do where it doesn't.
        """
        signer, head, kept = self._key.keys.signer(), await self._reads.head(), self._key.newest()
        if head is None:
            if kept is not None:
                raise EnvironmentFault(
                    "log-restored",
                    f"the database has no log, and {self._key.checkpoint} is of one",
                    f"Bring that database back. {_EPOCH}",
                )
            signer = signer or self._key.keys.make(new_origin(self._name))
            await self._sealing.begin_log(signer.name, signer.verifier.text)
            head = await self._reads.head()
        if head is None or signer is None or head.key != signer.verifier.text:
            raise EnvironmentFault(
                "log-foreign",
                f"the log {head.origin if head else ''} of this database isn't signed with our key",
                "Set AVOW_LOG_KEY to the key of that log, or begin a new epoch with `avow log epoch`.",
            )
        self._signer = signer
        self._key.announce(signer)
        note = await self._trust(head, signer, kept)
        if note is not None:
            self._key.keep(note)  # a step may have ended between its commit and this
        self._place = Place(head.epoch, head.size)

    async def _trust(self, head: Head, signer: Signer, kept: bytes | None) -> str | None:
        """The newest checkpoint of the log, if it is ours, covers all leaves, and goes on from the one that
        was kept."""
        if head.note is not None or head.size:
            newest = _opened(signer, (head.note or "").encode(), "the newest checkpoint in the database")
            if (
                newest.size != head.size
                or newest.root != Stack(head.size, head.stack).root
                or await self._differs(head, newest)
            ):
                raise EnvironmentFault(
                    "log-damaged",
                    f"the leaves of {head.origin} aren't those of its newest checkpoint",
                    f"Run `avow verify`. {_EPOCH}",
                )
        if kept is None or await self._is_of_the_epoch_before(head, kept):
            return head.note
        outside = _opened(signer, kept, str(self._key.checkpoint))
        if outside.size > head.size:
            raise EnvironmentFault(
                "log-restored",
                f"the log in the database has {head.size:,} leaves, and by {self._key.checkpoint} it had"
                f" {outside.size:,}: the database was restored, or leaves were cut off",
                f"Look for the newer database first. {_EPOCH}",
            )
        if await self._differs(head, outside):
            raise EnvironmentFault(
                "log-forked",
                f"the first {outside.size:,} leaves of the log aren't those of {self._key.checkpoint}",
                f"Run `avow verify --checkpoint {self._key.checkpoint}`. {_EPOCH}",
            )
        return head.note

    async def _is_of_the_epoch_before(self, head: Head, kept: bytes) -> bool:
        """Whether this log goes on from what lies outside, or from more: it was begun by somebody who was
        stopped before the new checkpoint was kept, or an older one was kept again in that moment."""
        logs = {log.epoch: log for log in await self._reads.epochs()}
        before, previous = logs.get(head.epoch - 1), logs[head.epoch].previous
        if before is None or previous is None:
            return False
        try:
            key = parse_key(before.key)
            last = open_checkpoint(previous.encode(), key).checkpoint
            outside = open_checkpoint(kept, key).checkpoint
            return outside == last or (
                outside.size < last.size
                and await self._reads.root(before.epoch, outside.size) == outside.root
            )
        except (Invalid, ValueError):
            return False

    async def _differs(self, head: Head, checkpoint: Checkpoint) -> bool:
        try:
            return await self._reads.root(head.epoch, checkpoint.size) != checkpoint.root
        except ValueError:
            return True

    async def added(self, *, ask: bool) -> int:
        """A step, for the beat: how many leaves it added."""
        sealed = await self.step(ask=ask)
        return 0 if sealed is None else sealed.leaves

    async def step(self, *, ask: bool = True) -> Sealed | None:
        """Seal what is to be sealed, and publish the checkpoint. None: nothing was to be done.

        ask: look first whether there is something; costs less than a step that finds nothing.
        Raises Moved where the log isn't where this sealer left it; nothing is signed then.
        """
        if ask and not await self._sealing.due():
            return None
        sealed = await self._sealing.step(self._sign)
        if sealed is not None and sealed.note is not None:
            self._place = sealed.after
            self._key.keep(sealed.note)
        return sealed

    def _sign(self, before: Place, after: Place, root: bytes, at: datetime) -> str:
        if self._signer is None or before != self._place:
            raise Moved
        return sign(Checkpoint(self._signer.name, after.size, root), self._signer, int(at.timestamp()))


def _opened(signer: Signer, note: bytes, where: str) -> Checkpoint:
    try:
        return open_checkpoint(note, signer.verifier).checkpoint
    except Invalid as error:
        raise EnvironmentFault(
            "log-foreign",
            f"{where} isn't a checkpoint of our key: {error}",
            "Check AVOW_LOG_KEY; then run `avow verify`.",
        ) from None
