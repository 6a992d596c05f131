"""The attacks. Each prepares its own records, strikes, and says what it then found.

Whether a backend held is decided on what its database and its answers hold afterwards, never on which
backend it is.
"""

from __future__ import annotations

import asyncio
import time
import uuid

from examples.demo.attack import Attack, Outcome, said, times
from examples.demo.backend import Answer, AttackError, database_of, person, sent_again, until_waiting
from examples.demo.enrollment.backends import Backend

COPIES = 50


async def _course(backend: Backend, seats: int) -> str:
    body = {"title": f"Course {uuid.uuid4().hex[:8]}", "seats": seats}
    return str((await person(backend, "rita", "registrar").done("/courses", body))["id"])


async def _draft(backend: Backend, applicant: str, course: str) -> str:
    started = await person(backend, applicant).done("/enrollments", {"course": course})
    return str(started["id"])


async def _submitted(backend: Backend, applicant: str, course: str) -> str:
    record = await _draft(backend, applicant, course)
    await person(backend, applicant).done(f"/enrollments/{record}/submit", {"essay": "Why I want to."})
    return record


async def _verified(backend: Backend, applicant: str, course: str) -> str:
    record = await _submitted(backend, applicant, course)
    await person(backend, "rita", "registrar").done(f"/enrollments/{record}/verify")
    return record


async def _state(backend: Backend, record: str) -> str:
    """The record's state in the database."""
    async with database_of(backend) as database:
        query = f"SELECT state FROM {backend.enrollments} WHERE id = $1"  # noqa: S608 - a name of ours
        return str(await database.fetchval(query, record))


async def _courses_titled(backend: Backend, title: str) -> int:
    async with database_of(backend) as database:
        query = f"SELECT count(*) FROM {backend.courses} WHERE title = $1"  # noqa: S608 - a name of ours
        return int(await database.fetchval(query, title))


async def many_copies(backend: Backend) -> Outcome:
    """One creation, sent fifty times in the same moment under one key."""
    rita, key, body = person(backend, "rita", "registrar"), str(uuid.uuid4()), {"title": "Copies", "seats": 3}
    answers = await asyncio.gather(*(rita.post("/courses", body, key=key) for _ in range(COPIES)))
    waited = sum(answer.may_be_sent_again for answer in answers)
    done = [answer for answer in answers if answer.status == 201]
    done.append((await sent_again(lambda: rita.post("/courses", body, key=key)))[0])
    made = await _courses_titled(backend, "Copies")
    equal = len({(answer.status, answer.etag, answer.body) for answer in done}) == 1
    text = f"{made} made" + f", {waited} waited" * bool(waited) + ", answers differ" * (not equal)
    return Outcome(made == 1 and equal and waited + len(done) - 1 == COPIES, text)


async def killed_before_commit(backend: Backend) -> Outcome:
    """The server dies inside a step, and the database session with it; the client sends the step again."""
    record, key = await _draft(backend, "ana", await _course(backend, 3)), str(uuid.uuid4())
    ana, path = person(backend, "ana"), f"/enrollments/{record}/submit"

    async def send() -> Answer:
        return await ana.post(path, {"essay": "Why I want to."}, key=key)

    async with database_of(backend) as holder, database_of(backend) as watch:
        async with holder.transaction():
            lock = f"SELECT FROM {backend.enrollments} WHERE id = $1 FOR UPDATE"
            await holder.execute(lock, record)
            first = asyncio.create_task(send())
            await until_waiting(watch, 1)
            await asyncio.to_thread(backend.kill)
            await watch.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
        await first
        await asyncio.to_thread(backend.start)
        answer, waited_s = await sent_again(send)
        entries = await backend.entries(watch, record, "submit")
    held = answer.status == 200 and entries == 1 and await _state(backend, record) == "submitted"
    text = f"done {times(entries)}" + f", {said(answer)}" * (not held)
    return Outcome(held, text + f", after {waited_s:.0f} s" * (waited_s >= 1))


async def killed_after_commit(backend: Backend) -> Outcome:
    """The server dies when the work is in the database and its answer isn't sent; the client sends again."""
    rita, key = person(backend, "rita", "registrar"), str(uuid.uuid4())
    title = f"Lost reply {key[:8]}"

    async def send() -> Answer:
        return await rita.post("/courses", {"title": title, "seats": 3}, key=key)

    await backend.die_after_the_work(send, title, key)
    await asyncio.to_thread(backend.start)
    answer, _ = await sent_again(send)
    made = await _courses_titled(backend, title)
    return Outcome(answer.status == 201 and made == 1, f"{made} made" + f", {said(answer)}" * (made == 0))


async def last_place(backend: Backend) -> Outcome:
    """Two approvals for one place; a lock of ours lets both get as far as they can before either goes on."""
    course = await _course(backend, 1)
    records = [await _verified(backend, name, course) for name in ("ana", "bo")]
    dean = person(backend, "dora", "dean")
    async with database_of(backend) as holder, database_of(backend) as watch:
        async with holder.transaction():
            await holder.execute(f"SELECT FROM {backend.courses} WHERE id = $1 FOR UPDATE", course)
            sent = [asyncio.create_task(dean.post(f"/enrollments/{record}/approve")) for record in records]
            await until_waiting(watch, backend.rivals_in_database)
        answers = await asyncio.gather(*sent)
        query = f"SELECT taken, seats FROM {backend.courses} WHERE id = $1"  # noqa: S608 - a name of ours
        row = await watch.fetchrow(query, course)
    approved = [await _state(backend, record) for record in records].count("approved")
    refused = sum(400 <= answer.status < 500 for answer in answers)
    held = approved == row["taken"] == row["seats"] == 1 and refused == 1
    return Outcome(held, f"approved {approved} of {len(records)}")


async def own_verification(backend: Backend) -> Outcome:
    """Somebody who is registrar and dean verifies an application and then approves it."""
    record = await _submitted(backend, "ana", await _course(backend, 3))
    dora = person(backend, "dora", "registrar", "dean")
    await dora.done(f"/enrollments/{record}/verify")
    answer = await dora.post(f"/enrollments/{record}/approve")
    state = await _state(backend, record)
    held = answer.status >= 400 and state == "verified"
    return Outcome(held, said(answer) + f", {state}" * (not held))


async def neighbour_tenant(backend: Backend) -> Outcome:
    """Staff of another tenant, who know the ids: read, approve, and apply to the foreign course."""
    course = await _course(backend, 3)
    record = await _verified(backend, "ana", course)
    neighbour = person(backend, "nora", "registrar", "dean", tenant="neighbour")
    answers = [
        await neighbour.get(f"/enrollments/{record}"),
        await neighbour.get(f"/courses/{course}"),
        await neighbour.post(f"/enrollments/{record}/approve"),
        await neighbour.post("/enrollments", {"course": course}),
    ]
    refused = all(400 <= answer.status < 500 for answer in answers)
    held = refused and await _state(backend, record) == "verified"
    return Outcome(held, " ".join(str(answer.status) for answer in answers))


async def stale_form(backend: Backend) -> Outcome:
    """A form that was opened before the record changed, sent with the ETag of then."""
    record, ana = await _draft(backend, "ana", await _course(backend, 3)), person(backend, "ana")
    opened = await ana.get(f"/enrollments/{record}")
    await ana.done(f"/enrollments/{record}/submit", {"essay": "Why I want to."})
    answer = await ana.post(f"/enrollments/{record}/withdraw", if_match=opened.etag)
    state = await _state(backend, record)
    held = answer.status == 412 and state == "submitted"
    return Outcome(held, said(answer) + f", {state}" * (not held))


async def edited_by_hand(backend: Backend) -> Outcome:
    """A superuser writes a state into a row with SQL; it is taken back afterwards."""
    record = await _verified(backend, "ana", await _course(backend, 3))
    if (before := await backend.notices(record)) is not None:
        raise AttackError(f"there was a finding before the edit: {before}")
    update = f"UPDATE {backend.enrollments} SET state = $2 WHERE id = $1"  # noqa: S608 - a name of ours
    async with database_of(backend) as database:
        await database.execute(update, record, "approved")
        started = time.monotonic()
        noticed = await backend.notices(record)
        seconds = time.monotonic() - started
        shown = (await person(backend, "ana").get(f"/enrollments/{record}")).json["state"]
        await database.execute(update, record, "verified")
    if noticed is None:
        return Outcome(False, f"shown as {shown}")
    return Outcome(True, f"found: {noticed}, {seconds:.1f} s")


ATTACKS: tuple[Attack[Backend], ...] = (
    Attack(f"{COPIES} copies at once", many_copies),
    Attack("kill -9 before the commit", killed_before_commit),
    Attack("kill -9 after the commit", killed_after_commit),
    Attack("two approvals for one place", last_place),
    Attack("approving one's own check", own_verification),
    Attack("a neighbour with the ids", neighbour_tenant),
    Attack("a stale form", stale_form),
    Attack("a state edited with psql", edited_by_hand),
)
