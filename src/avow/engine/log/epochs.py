"""Beginning a new epoch of the log: with a new key, or after the database was restored from a backup.

The old log ends with its last checkpoint, which is the first leaf of the new one. No key signs two
histories: each epoch has a key of its own, and the old one is put aside, for whoever has to check old
receipts.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime

from avow.engine.log.key import LogKey
from avow.errors import EnvironmentFault, UsageError
from avow.evidence.checkpoint import open_checkpoint, sign
from avow.evidence.note import Signer
from avow.evidence.verifier import Checkpoint, Invalid, parse_key
from avow.store.driver import Connection
from avow.store.log.reads import Head, LogReads
from avow.store.log.sealing import Place, Sealing


@dataclass(frozen=True, slots=True)
class Begun:
    """A new log. size: how many leaves the one before had signed; None: there was none."""

    epoch: int
    origin: str
    key: str
    size: int | None


def new_origin(name: str) -> str:
    """The name of an application's first log: its own, and something that no other database has."""
    return f"{name}.avow/{secrets.token_hex(4)}/1"


async def begin_epoch(connection: Connection, name: str, key: LogKey, reason: str) -> Begun:
    """End the newest log of the database and begin another with a new key, as the owner.

    Raises EnvironmentFault where another one was begun elsewhere in the same moment, UsageError for a key
    that has a log already.
    """
    async with key.alone():
        return await _begin(connection, name, key, reason)


async def _begin(connection: Connection, name: str, key: LogKey, reason: str) -> Begun:
    reads, sealing = LogReads.on(connection), Sealing(connection)
    head, kept = await reads.head(), key.newest()
    origin = new_origin(name) if head is None else f"{head.origin.rpartition('/')[0]}/{head.epoch + 1}"
    signer = key.keys.make(origin)
    if any(epoch.origin == signer.name for epoch in await reads.epochs()):
        raise UsageError(
            f"{signer.name} is a log of this database already", "Give the program a key of a new name."
        )
    if head is None:
        await sealing.begin_log(signer.name, signer.verifier.text)
        key.forget()
        key.announce(signer)
        return Begun(1, signer.name, signer.verifier.text, None)
    longer = _longer(head, kept)
    note = list[str]()

    def signed(_: Place, after: Place, root: bytes, at: datetime) -> str:
        note.append(_sign(signer, after, root, at))
        return note[0]

    begun = await sealing.next_epoch(head.epoch, signer.name, signer.verifier.text, reason, longer, signed)
    if begun is None:
        raise EnvironmentFault(
            "log-moved", "another epoch was begun in the same moment", "See `avow log list`."
        )
    key.keep(note[0])
    key.announce(signer)
    return Begun(
        begun.epoch, signer.name, signer.verifier.text, head.size if longer is None else _size(longer)
    )


def _longer(head: Head, kept: bytes | None) -> str | None:
    """The checkpoint outside, where it is this log's and covers more than the database has."""
    if kept is None:
        return None
    try:
        outside = open_checkpoint(kept, parse_key(head.key)).checkpoint
    except Invalid:
        return None
    return kept.decode() if outside.size > head.size else None


def _size(note: str) -> int:
    return int(note.split("\n")[1])


def _sign(signer: Signer, place: Place, root: bytes, at: datetime) -> str:
    return sign(Checkpoint(signer.name, place.size, root), signer, int(at.timestamp()))
