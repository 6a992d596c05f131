"""Old entries leave the database once they are sealed and exported; their leaves, and all roots, stay.

It must never drop what it hasn't read in the export itself, nor what is there only as long as the machine
has power.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from avow.engine.log.tiles import WIDTH, Damaged, Folder, read
from avow.errors import EnvironmentFault
from avow.evidence.verifier import parse_key
from avow.store.driver import Connection
from avow.store.log.dropping import Droppable, Order, drop, droppable
from avow.store.log.reads import LogReads

_EXPORT = "Run `avow export FOLDER` first; keep the folder where it is safe, and name it here."


@dataclass(frozen=True, slots=True)
class Planned:
    """What is to be dropped of one log. upto: whole bundles of the export, of which it holds all."""

    origin: str
    order: Order
    found: Droppable


async def plan(
    connection: Connection, before: datetime, folder: Path, subject: str, reason: str
) -> list[Planned]:
    """What was sealed before a time, and can be dropped: of every log up to then.

    Raises EnvironmentFault where some of it isn't in the export, or the export isn't of this log.
    """
    reads = LogReads.on(connection)
    await reads.see_all()
    checkpoint = await reads.checkpoint_at(before)
    if checkpoint is None:
        return []
    planned = list[Planned]()
    for log in await reads.epochs():
        size = checkpoint.size if log.epoch == checkpoint.epoch else log.size or 0
        upto = size // WIDTH * WIDTH
        if log.epoch > checkpoint.epoch or not upto:
            continue
        await _demand_exported(reads, log.epoch, log.key, upto, folder / f"epoch-{log.epoch}")
        order = Order(log.epoch, upto, str(folder), subject, reason)
        planned.append(Planned(log.origin, order, await droppable(connection, log.epoch, upto)))
    return planned


async def _demand_exported(reads: LogReads, epoch: int, key: str, upto: int, folder: Path) -> None:
    """The export holds the first leaves of the log, each of them, and it is this log's."""
    try:
        exported = read(Folder(folder), parse_key(key))
        Folder(folder).settle()
        if exported.size >= upto and exported.root == await reads.root(epoch, exported.size):
            return
        said = f"it has {exported.size:,} entries, and {upto:,} are to be dropped"
        if exported.size >= upto:
            said = "it isn't of this log"
    except Damaged as damage:
        said = str(damage)
    except ValueError as error:
        said = f"it isn't of this log: {error}"
    raise EnvironmentFault("export-missing", f"{folder} doesn't hold what would be dropped: {said}", _EXPORT)


async def carry_out(connection: Connection, planned: list[Planned], say: Callable[[int, int], None]) -> int:
    """Drop what was planned; gives back of how many leaves."""
    total, done = sum(one.found.leaves for one in planned), 0
    for one in planned:
        done += await drop(connection, one.order, lambda some, before=done: say(before + some, total))
    return done
