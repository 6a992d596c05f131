"""SIGKILL in the middle of a command: what was committed is answered, what wasn't is executed once."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor

import httpx2
import pytest

from tests.contract.fix_server import Caller, Record, Response, Tenancy

CHANGE = {"heated": True}


@pytest.fixture
def clerk(spare: Tenancy) -> Caller:
    return spare.actor("ann", "clerk")


@pytest.fixture
def thread() -> Generator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


def demand_lost(sent: Future[Response]) -> None:
    """The client never saw an answer."""
    with pytest.raises(httpx2.TransportError):
        sent.result()


def test_a_commit_whose_answer_was_lost_is_replayed(
    spare: Tenancy, clerk: Caller, room: Record, thread: ThreadPoolExecutor
) -> None:
    """I08: SIGKILL after the commit and before the answer; the retry gets the committed answer."""
    server, path = spare.server, f"{room.path}/describe"
    with server.database.locked("rooms", room.id):
        sent = thread.submit(clerk.post, path, CHANGE, "k")
        server.database.wait_for_waiting()
        server.freeze()  # it has asked for the commit, and won't see that it is done
    committed = "SELECT count(*) = 2 FROM avow.audit WHERE tenant = $1"
    server.database.wait_until(committed, spare.tenant, what="the change is committed")
    server.kill()
    demand_lost(sent)
    server.start()
    answer = clerk.post(path, CHANGE, "k")
    assert (answer.status_code, answer.headers["idempotency-replayed"]) == (200, "true")
    assert answer.json()["version"] == 2
    assert clerk.get(room.path).headers["etag"] == answer.headers["etag"]
    assert spare.entries() == 2


def test_a_command_that_was_killed_before_its_commit_is_executed_once(
    spare: Tenancy, clerk: Caller, room: Record, thread: ThreadPoolExecutor
) -> None:
    """I09: SIGKILL before the commit, and its connection is gone: the retry executes, and isn't blocked."""
    server, path = spare.server, f"{room.path}/describe"
    with server.database.locked("rooms", room.id) as holder:
        sent = thread.submit(clerk.post, path, CHANGE, "k")
        server.database.wait_for_waiting()
        server.kill()
        holder.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'avow' AND wait_event_type = 'Lock'"
        )
    demand_lost(sent)
    server.start()
    answer = clerk.post(path, CHANGE, "k")
    assert answer.status_code == 200
    assert "idempotency-replayed" not in answer.headers
    assert spare.entries() == 2


def test_a_retry_beside_the_orphan_of_a_killed_server_executes_once(
    spare: Tenancy, clerk: Caller, room: Record, thread: ThreadPoolExecutor
) -> None:
    """I09: the killed server's statement still waits in the database when the retry comes."""
    server, path = spare.server, f"{room.path}/describe"
    with server.database.locked("rooms", room.id):
        sent = thread.submit(clerk.post, path, CHANGE, "k")
        server.database.wait_for_waiting(1)
        server.kill()
        demand_lost(sent)
        server.start()
        again = thread.submit(clerk.post, path, CHANGE, "k")
        server.database.wait_for_waiting(2)
    answer = again.result()
    assert answer.status_code == 200
    assert answer.json()["version"] == 2
    assert spare.entries() == 2
    same = clerk.post(path, CHANGE, "k")
    assert (same.content, same.headers["idempotency-replayed"]) == (answer.content, "true")


def test_a_creation_whose_answer_was_lost_is_replayed(
    spare: Tenancy, clerk: Caller, room: Record, thread: ThreadPoolExecutor
) -> None:
    """I08: for a creation too; it waits for the lock of the record that it refers to."""
    server = spare.server
    booking = {"room": room.id, "starts": "2026-11-21T10:00:00Z", "ends": "2026-11-21T11:00:00Z"}
    with server.database.locked("rooms", room.id):
        sent = thread.submit(clerk.post, "/bookings", booking, "k")
        server.database.wait_for_waiting()
        server.freeze()
    committed = "SELECT count(*) = 2 FROM avow.audit WHERE tenant = $1"
    server.database.wait_until(committed, spare.tenant, what="the booking is committed")
    server.kill()
    demand_lost(sent)
    server.start()
    answer = clerk.post("/bookings", booking, "k")
    assert (answer.status_code, answer.headers["idempotency-replayed"]) == (201, "true")
    assert clerk.get(answer.headers["location"]).json() == answer.json()
    assert len(clerk.get("/bookings").json()["items"]) == 1
