"""Renewing a receipt: the same entry and claim, with what the log says by now.

Somebody sends in what they were handed years ago. It is believed as far as any stranger's receipt is: by
the keys of this database's logs. Who gets an answer is settled as for any receipt.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from avow.engine.explain import Reader, View
from avow.engine.log.erasures import Named
from avow.engine.log.proving import Issued, Logs, Shown, newest_over, newest_witnessed_over, prove
from avow.engine.log.receipts import WAIT_S_MAX, demand_seen, sees_whole
from avow.errors import EnvironmentFault, UsageError
from avow.evidence.note import Signer
from avow.evidence.verifier import (
    Invalid,
    Verdict,
    believing,
    leaf_hash,
    parse_checkpoint,
    parse_key,
    parse_note,
    parse_receipt,
    verify,
)
from avow.model.system import System
from avow.store.log.reads import Epoch, SealedEntry
from avow.store.reads import Reads


@dataclass(frozen=True, slots=True)
class Held:
    """The receipt that somebody holds. current, wait_s: as for another one (`Asked`)."""

    data: bytes
    wait_s: float = 0.0
    current: Signer | None = None


async def renew(system: System, reads: Reads, logs: Logs, reader: Reader, held: Held) -> Issued | None:
    """A receipt of the same entry and claim, at the newest checkpoint that witnesses stand for (with
    `current`, at the newest); None for a record that may not be read.

    The entry may have been dropped from the database: the receipt has it. Raises UsageError for a receipt
    that no log of this database has signed, or of another tenant; EnvironmentFault where the log here isn't
    the one that has signed it any more; ProblemError as `issue` does.
    """
    epochs = await logs.reads.epochs()
    verdict = _believed(held.data, epochs)
    header = verdict.header
    if header["tenant"] != reader.tenant:
        raise UsageError(f"the receipt is of the tenant {header['tenant']}", "Name it with --tenant.")
    of = Named(reader.tenant, header["kind"], _id_of(header))
    view = View(system, reads, reader)
    if not await sees_whole(view, (of.kind, of.id)):
        return None
    await demand_seen(view, header)
    [epoch] = [each.epoch for each in epochs if each.origin == verdict.sealed.checkpoint.origin]
    await _demand_same(logs, epoch, verdict)
    data = parse_receipt(held.data).header
    entry = SealedEntry(0, header["ver"], data, leaf_hash(data), epoch, verdict.index)
    choose = newest_witnessed_over if held.current is None else newest_over
    deadline = time.monotonic() + min(held.wait_s, WAIT_S_MAX)
    return await prove(logs, Shown(verdict.claim, of, choose, held.current, deadline), entry)


def _believed(data: bytes, epochs: list[Epoch]) -> Verdict:
    """What the receipt shows to who has the keys of all logs of this database."""
    mend = "Only a valid receipt is renewed, of a log of this database; `avow log list` names them."
    try:
        origin = parse_checkpoint(parse_note(parse_receipt(data).note).text).origin
        if origin not in [each.origin for each in epochs]:
            raise UsageError(f"the receipt is of the log {origin}, which this database doesn't have", mend)
        return verify(data, believing(parse_key(each.key) for each in epochs))
    except Invalid as error:
        raise UsageError(f"the receipt is INVALID: {error}", mend) from None


def _id_of(header: Any) -> UUID:
    try:
        return UUID(header["id"])
    except ValueError:
        raise UsageError("the receipt is of no record", "Renew one that was issued here.") from None


async def _demand_same(logs: Logs, epoch: int, verdict: Verdict) -> None:
    """The log here goes on from the checkpoint that the receipt rests on."""
    old, newest = verdict.sealed.checkpoint, await logs.reads.newest_checkpoint(epoch)
    if newest is None or newest.size < old.size:
        raise EnvironmentFault(
            "log-restored",
            f"{old.origin} has {0 if newest is None else newest.size:,} leaves here, and when it signed the"
            f" receipt it had {old.size:,}: the database was restored, or leaves were cut off",
            "Look for the newer database.",
        )
    if await logs.reads.root(epoch, old.size) != old.root:
        raise EnvironmentFault(
            "log-forked",
            f"the first {old.size:,} leaves of {old.origin} aren't those that it signed in the receipt",
            "Run `avow verify`.",
        )
