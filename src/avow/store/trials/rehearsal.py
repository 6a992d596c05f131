"""What workers, senders, writers and sealers do in the database, one statement at a time.

On records, an event and a subscription that stand for any; in databases of trials alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import datetime
from typing import Any, Final, cast
from uuid import UUID

from avow.store.driver import Connection
from avow.store.log.sealing import Place, Sealing
from avow.store.statements import named, text

BEGIN, COMMIT, ROLL_BACK = (
    text("rehearsal.sql", f"rehearsal_{name}") for name in ("begin", "commit", "roll_back")
)
"""What processes say that keep a transaction open while others go on."""
SUBSCRIBER: Final = "deliver/00000000-0000-0000-0000-0000000000d1"
"""Where deliveries to the subscription go."""
HIGHEST_TOLD: Final = text("rehearsal.sql", "highest_told").strip()
"""Words for a variant that goes on after the highest number that was told."""


async def end_session(connection: Connection, process: int) -> None:
    """End a session of the server, and with it all that it has open."""
    await connection.execute(named("rehearsal.sql")["end_session"].substitute(process=process))


# --- claim, lease, recovery ---------------------------------------------------------------------------


async def take(connection: Connection, destinations: Sequence[str], lease_s: int) -> list[Any]:
    """Take what is ready, as workers do."""
    many = [None] * len(destinations)
    return await connection.fetch(text("queue.sql", "take"), destinations, many, many, lease_s * 1_000, 8)


async def give_back(connection: Connection, work: int, fence: int) -> bool:
    """Give back what was taken, as never to be done again; whether it was still the caller's."""
    given = work, fence, "ended", "", None, None, False, False, None
    return await connection.fetchval(text("queue.sql", "give_back"), *given)


async def keep(connection: Connection, work: int, fence: int, lease_s: int) -> bool:
    """Keep what was taken for longer; whether it was still the caller's."""
    kept = await connection.fetch(text("queue.sql", "keep"), [work], [fence], lease_s * 1_000)
    return bool(kept)


async def checkpoint(connection: Connection, work: int, fence: int) -> bool:
    """Keep how far a call has come; whether it was still the caller's."""
    return await connection.fetchval(text("queue.sql", "checkpoint"), work, fence, "{}")


# --- times --------------------------------------------------------------------------------------------


async def settle_time(connection: Connection, work: int, fence: int) -> bool:
    """Let a time come that was taken; whether it still was one that is waited for."""
    return await connection.fetchval(text("rehearsal.sql", "settle_time"), work, fence)


async def stop_waiting(connection: Connection, ticket: UUID) -> None:
    """Let a ticket no longer wait for its time."""
    await connection.execute(text("rehearsal.sql", "stop_waiting"), ticket)


async def wait_anew(connection: Connection, ticket: UUID) -> None:
    """Let a ticket wait for a later time."""
    await connection.execute(text("rehearsal.sql", "wait_anew"), ticket)


# --- an event and its record --------------------------------------------------------------------------


async def park(connection: Connection) -> None:
    """Park the event."""
    await connection.execute(text("rehearsal.sql", "park_one"))


async def take_parked(connection: Connection, lease_s: int) -> tuple[int, int] | None:
    """Take the event that is parked: its number and that of the taking; None where it isn't ready."""
    rows = await take(connection, ["events"], lease_s)
    return (rows[0]["work"], rows[0]["fence"]) if rows else None


async def park_again(connection: Connection, work: int, fence: int) -> None:
    """Park it again, to rest; twice, as the first time only names what it waits for."""
    await connection.execute(text("rehearsal.sql", "park_one_again"), work, fence)


async def record_is_there(connection: Connection) -> bool:
    """Whether the record has been made that the event is about."""
    return await connection.fetchval(text("rehearsal.sql", "record_is_there"))


async def make_record(connection: Connection) -> None:
    """Write an entry of that record."""
    await connection.execute(text("rehearsal.sql", "make_record"))


async def begin_a_record(connection: Connection) -> None:
    """Write an entry in a transaction that stays open."""
    await connection.execute(f"{BEGIN};{text('rehearsal.sql', 'make_record')}")


async def make_record_and_wake(connection: Connection) -> None:
    """The same, and wake what waits for it, in one statement, as a command does that writes."""
    await connection.execute(text("rehearsal.sql", "make_record_and_wake"))


async def parked_is_ready(connection: Connection) -> bool:
    """Whether the event is to be tried now."""
    return await connection.fetchval(text("rehearsal.sql", "parked_is_ready"))


# --- deliveries ---------------------------------------------------------------------------------------


async def subscribe(connection: Connection) -> None:
    """Make the subscription."""
    await connection.execute(text("rehearsal.sql", "subscribe_one"))


async def publish(connection: Connection, ticket: UUID, version: int) -> None:
    """Write an entry of which the subscriber is told, as a command does."""
    await connection.execute(text("rehearsal.sql", "publish_one"), ticket, version)


async def replay(connection: Connection) -> None:
    """Tell the subscriber again of everything, in one step."""
    await connection.execute(text("rehearsal.sql", "replay_all"))
    await connection.execute(text("rehearsal.sql", "go_on_replaying_all"))


# --- sealing ------------------------------------------------------------------------------------------


async def entries_without_leaf(connection: Connection) -> int:
    """How many entries of the log aren't sealed."""
    return await connection.fetchval(text("rehearsal.sql", "entries_without_leaf"))


async def leaves_without_checkpoint(connection: Connection) -> int:
    """How many leaves of the log no checkpoint is over."""
    return await connection.fetchval(text("rehearsal.sql", "leaves_without_checkpoint"))


async def begin_log(connection: Connection) -> None:
    """Begin the log of the database."""
    await Sealing(connection).begin_log("trial", "key")


async def seal(connection: Connection) -> None:
    """Seal what can be seen, with notes that nobody has signed."""

    def sign(before: Place, after: Place, root: bytes, _: datetime) -> str:
        return f"{before.size}-{after.size} {root.hex()}"

    await Sealing(connection).step(sign)


def apart(connection: Any) -> Connection:
    """A connection of which each statement is committed by itself: a broken variant of one for several."""
    return cast("Connection", _Apart(connection))


class _Apart:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def transaction(self, **_: Any) -> AbstractAsyncContextManager[None]:
        return nullcontext()
