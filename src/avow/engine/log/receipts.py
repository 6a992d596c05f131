"""Receipts: which entry of a record makes a claim true, and the proof that it was sealed.

Both doors ask here. A receipt shows one entry as a whole. So only somebody gets it who may see all of that:
every field of the record, and every other record that the entry names. It must never seal or write.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from avow.engine.explain import WINDOWS_MAX, Operator, Reader, View
from avow.engine.log.erasures import LOOK_S, Named
from avow.engine.log.proving import Issued, Logs, Shown, first_over, newest_over, prove
from avow.errors import ProblemError, reject
from avow.evidence.claim_types import typed
from avow.evidence.note import Signer
from avow.evidence.verifier import Invalid
from avow.evidence.verifier.claim import Condition, holds, parse_claim, written
from avow.evidence.verifier.receipt import parse_header
from avow.kernel.command import Key
from avow.model.entity import Entity
from avow.model.system import System
from avow.store.reads import ENTRIES_MAX, Reads

WAIT_S_MAX: Final = 10.0
"""How long one may wait for an entry to be sealed."""
_FORM: Final = "it is made of conditions such as state = captured, joined by &."


@dataclass(frozen=True, slots=True)
class Asked:
    """The receipt that is wanted. version: None: of the newest entry that makes the claim true.

    wait_s: how long to wait for the seal. current: who signs what the record's newest entry is; None: not
    wanted.
    """

    entity: Entity
    record: UUID
    claim: str
    version: int | None = None
    wait_s: float = 0.0
    current: Signer | None = None


async def issue(system: System, reads: Reads, logs: Logs, reader: Reader, asked: Asked) -> Issued | None:
    """A receipt; None for a record that may not be read.

    Raises ProblemError: `input-invalid` for what is no claim about such a record, `forbidden` for somebody
    who may not see all that a receipt shows, `claim-unproved` where no entry makes the claim true,
    `not-sealed` where that entry isn't sealed yet.
    """
    try:
        read = parse_claim(asked.claim)
    except Invalid:
        told = {"parameter": "claim", "in": "query", "code": "claim", "detail": _FORM}
        raise reject("input-invalid", f"The claim can't be read: {_FORM}", errors=[told]) from None
    view = View(system, reads, reader)
    if not await sees_whole(view, (asked.entity.name, asked.record)):
        return None
    try:
        claim = typed(read, asked.entity)
    except Invalid as error:
        raise reject("claim-unproved", f"{error}.") from None
    version = await _version(view, reads, reader, asked, claim)
    return await _proved(logs, view, asked, written(claim), (reader.tenant, version))


async def sees_whole(view: View, key: Key) -> bool:
    """Whether somebody may read a record, and so get receipts of it. Raises ProblemError `forbidden` for who
    may not see all that a receipt shows."""
    sight = await view.sight(key)
    if sight is not None and not sight.everything:
        raise reject(
            "forbidden", "A receipt shows every field of the entry, and you may not see all of them."
        )
    return sight is not None


async def _version(
    view: View, reads: Reads, reader: Reader, asked: Asked, claim: tuple[Condition, ...]
) -> int:
    """The newest version whose entry makes the claim true, or the one that was asked for."""
    end = await view.newest((asked.entity.name, asked.record)) if asked.version is None else asked.version
    why = "No entry of the record makes the claim true; a claim is about what one entry has set."
    for _ in range(WINDOWS_MAX):
        start = max(0, end - ENTRIES_MAX) if asked.version is None else end - 1
        for stored in reversed(await reads.entries(reader.tenant, asked.entity.name, asked.record, start)):
            if stored.version > end or asked.version not in (None, stored.version):
                continue
            try:
                if holds(claim, parse_header(stored.header)):
                    return stored.version
                why = why if asked.version is None else f"Version {stored.version} says otherwise."
            except Invalid as error:
                why = why if asked.version is None else f"{error}.".capitalize()
        end = start
        if asked.version is not None or end == 0:
            break
    raise reject("claim-unproved", await _dropped(reads, reader, asked) or why)


async def _dropped(reads: Reads, reader: Reader, asked: Asked) -> str:
    """That the entries were dropped which might make the claim true; empty where none were."""
    gone = await reads.dropped(reader.tenant, asked.entity.name, asked.record)
    if gone is None or (asked.version or 0) > gone.upto:
        return ""
    told = gone.text if isinstance(reader, Operator) else "dropped from the database"
    return f"The entries up to version {gone.upto} were {told}; what is left doesn't make the claim true."


async def _proved(logs: Logs, view: View, asked: Asked, claim: str, version_of: tuple[str, int]) -> Issued:
    """The receipt of a version, when its entry is sealed, within the time to wait."""
    tenant, version = version_of
    deadline = time.monotonic() + min(asked.wait_s, WAIT_S_MAX)
    choose = first_over if asked.current is None else newest_over
    of = Named(tenant, asked.entity.name, asked.record)
    shown = Shown(claim, of, choose, asked.current, deadline)
    while True:
        entry = await logs.reads.entry(*of, version)
        if entry is not None and entry.index is not None:
            await demand_seen(view, parse_header(entry.header))
            issued = await prove(logs, shown, entry)
            if issued is not None:
                return issued
        if time.monotonic() >= deadline:
            raise await _unsealed(logs)
        await asyncio.sleep(LOOK_S)


async def _unsealed(logs: Logs) -> ProblemError:
    if await logs.reads.head() is None:
        return reject("not-sealed", "Nothing of this service was ever sealed: it has no log yet.")
    return ProblemError(reject("not-sealed").problem, {"Retry-After": "1"})


async def demand_seen(view: View, header: Any) -> None:
    """The entry names other records: what caused it, and what it rested on. Raises ProblemError `forbidden`
    for who may not see one of them."""
    named = [(kind, record) for kind, record, _ in header["reads"]]
    if header["cause"] is not None:
        named.append((header["cause"]["kind"], header["cause"]["id"]))
    for kind, record in named:
        if await view.sight((kind, UUID(record))) is None:
            raise reject(
                "forbidden", "A receipt shows which records the entry rested on; you may not see one."
            )
