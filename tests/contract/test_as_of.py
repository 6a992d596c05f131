"""`as_of` over HTTP: a record, a list, a history and a why as they could be known at a time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from tests.contract.fix_server import Tenancy, code_of
from tests.store.sealed import sealing


def seal(venue: Tenancy, folder: Path) -> str:
    """Seal what is there; gives back the time of the checkpoint."""

    async def run() -> datetime:
        async with sealing(venue.server.database, folder) as log:
            await log.seal()
            head = await log.reads.head()
            assert head is not None
            checkpoint = await log.reads.newest_checkpoint(head.epoch)
            assert checkpoint is not None
            return checkpoint.at

    return asyncio.run(run()).astimezone(UTC).isoformat().replace("+00:00", "Z")


def test_what_is_asked_as_of_a_time_is_what_could_be_known_then(venue: Tenancy, tmp_path: Path) -> None:
    clerk = venue.actor("ann", "clerk")
    room = clerk.create("/rooms", {"name": "small", "places": 3})
    at = seal(venue, tmp_path)
    later = clerk.create("/rooms", {"name": "late", "places": 3})
    seal(venue, tmp_path)
    then = clerk.get(f"/rooms/{room.id}?as_of={at}").json()
    now = clerk.get(f"/rooms/{room.id}").json()
    assert then == now
    assert code_of(clerk.get(f"/rooms/{later.id}?as_of={at}")) == "not-found"
    assert [item["id"] for item in clerk.get(f"/rooms?as_of={at}").json()["items"]] == [room.id]
    assert clerk.get(f"/rooms?as_of={at}&name=other").json()["items"] == []
    assert len(clerk.get(f"/rooms/{room.id}/history?as_of={at}").json()["items"]) == 1
    assert clerk.get(f"/rooms/{later.id}/history?as_of={at}").json()["items"] == []
    assert clerk.get(f"/rooms/{later.id}/why?as_of={at}").json()["because"] is None
    assert code_of(clerk.get(f"/rooms/{room.id}?as_of=yesterday")) == "input-invalid"
