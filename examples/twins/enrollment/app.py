"""The routes: who may do what to a course and an enrollment, in which state."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from examples.twins.service.database import AuditEntry, Base, connect, transaction
from examples.twins.service.idempotency import IdempotentRoute, forget_expired
from examples.twins.service.problems import ProblemError, not_found
from examples.twins.service.serving import equip
from examples.twins.service.tokens import Caller, CallerOf

from .tables import Course, Enrollment


@dataclass(frozen=True, slots=True)
class Step:
    """From which states to which; by whom: one of these roles, or the applicant where there are none."""

    sources: frozenset[str]
    target: str
    roles: tuple[str, ...] = ()


def step(sources: str, target: str, *roles: str) -> Step:
    return Step(frozenset(sources.split()), target, roles)


STEPS = {
    "submit": step("draft", "submitted"),
    "verify": step("submitted", "verified", "registrar"),
    "approve": step("verified", "approved", "dean"),
    "reject": step("submitted verified", "rejected", "registrar", "dean"),
    "withdraw": step("draft submitted verified", "withdrawn"),
    "leave": step("approved", "left"),
    "archive": step("approved rejected withdrawn left", "archived", "registrar"),
}
STAFF = frozenset({"registrar", "dean"})
"""Who may read every record of their tenant."""
PAGE_SIZE_MAX = 100

Record = TypeVar("Record", Course, Enrollment)

router = APIRouter(route_class=IdempotentRoute)


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class NewCourse(Body):
    title: str = Field(default="", max_length=200)
    seats: int = Field(ge=1, le=2**31 - 1)


class NewEnrollment(Body):
    course: uuid.UUID = Field(strict=False)


class Submission(Body):
    essay: str = Field(max_length=20_000)


def represent(record: Course | Enrollment) -> dict[str, Any]:
    own = (
        {"title": record.title, "seats": record.seats, "taken": record.taken}
        if isinstance(record, Course)
        else {"course": str(record.course), "applicant": record.applicant, "essay": record.essay}
    )
    return {"id": str(record.id), "state": record.state, "version": record.version, **own}


def etag(record: Course | Enrollment) -> str:
    return f'"{record.id}.{record.version}"'


def answer(record: Course | Enrollment, status: int = 200, **headers: str) -> Response:
    return JSONResponse(
        represent(record), status, {"ETag": etag(record), "Cache-Control": "no-store", **headers}
    )


def audit(
    session: AsyncSession, caller: Caller, record: Course | Enrollment, action: str, before: str | None
) -> None:
    session.add(
        AuditEntry(
            tenant=caller.tenant,
            record=record.id,
            action=action,
            actor=caller.subject,
            before=before,
            after=record.state,
            detail=represent(record),
        )
    )


async def load(
    session: AsyncSession, kind: type[Record], caller: Caller, record: uuid.UUID, *, lock: bool = False
) -> Record:
    """One record of the caller's tenant, its row locked where it will change. Raises 404.

    Who changes both locks the enrollment first and its course second, so that nobody waits in a circle.
    """
    query = select(kind).where(kind.tenant == caller.tenant, kind.id == record)
    found = (await session.scalars(query.with_for_update() if lock else query)).one_or_none()
    if found is None:
        raise not_found()
    if isinstance(found, Enrollment) and found.applicant != caller.subject and caller.roles.isdisjoint(STAFF):
        raise not_found()
    return found


def check_version(request: Request, record: Course | Enrollment) -> None:
    """Raises 412 when the caller's form is stale."""
    wanted = request.headers.get("If-Match", "*")
    if wanted != "*" and etag(record) not in [tag.strip() for tag in wanted.split(",")]:
        raise ProblemError(412, "precondition-failed", "The record has changed; read it again.")


async def advance(
    session: AsyncSession, request: Request, caller: Caller, record: Enrollment, name: str
) -> Response:
    """Move a locked enrollment and write its audit entry. Raises 403, 412 or 409 (wrong state)."""
    taken = STEPS[name]
    if not taken.roles and record.applicant != caller.subject:
        raise ProblemError(403, "forbidden", "Only the applicant may do this.")
    check_version(request, record)
    if record.state not in taken.sources:
        allowed = sorted(each for each, other in STEPS.items() if record.state in other.sources)
        detail = f"{name} isn't possible in the state {record.state}."
        raise ProblemError(409, "state-conflict", detail, current_state=record.state, allowed=allowed)
    before, record.state = record.state, taken.target
    await session.flush()
    audit(session, caller, record, name, before)
    return answer(record)


async def change_seats(
    session: AsyncSession, caller: Caller, course_id: uuid.UUID, by: int, name: str
) -> None:
    """Take or give back a place. Raises 409 when the course is full."""
    course = await load(session, Course, caller, course_id, lock=True)
    if not 0 <= course.taken + by <= course.seats:
        raise ProblemError(409, "invariant-violated", "The course has no place left.")
    course.taken += by
    await session.flush()
    audit(session, caller, course, name, course.state)


@router.post("/courses")
async def create_course(request: Request, body: NewCourse, caller: CallerOf) -> Response:
    caller.need("registrar")
    async with transaction(request.app.state.sessions) as session:
        course = Course(tenant=caller.tenant, title=body.title, seats=body.seats)
        session.add(course)
        await session.flush()
        audit(session, caller, course, "create", None)
        return answer(course, 201, Location=f"/courses/{course.id}")


@router.get("/courses/{course_id}")
async def read_course(request: Request, course_id: uuid.UUID, caller: CallerOf) -> Response:
    async with transaction(request.app.state.sessions) as session:
        return answer(await load(session, Course, caller, course_id))


@router.post("/courses/{course_id}/close")
async def close_course(request: Request, course_id: uuid.UUID, caller: CallerOf) -> Response:
    caller.need("registrar")
    async with transaction(request.app.state.sessions) as session:
        course = await load(session, Course, caller, course_id, lock=True)
        check_version(request, course)
        if course.state != "open":
            raise ProblemError(
                409, "state-conflict", "The course is closed.", current_state="closed", allowed=[]
            )
        course.state = "closed"
        await session.flush()
        audit(session, caller, course, "close", "open")
        return answer(course)


@router.post("/enrollments")
async def create_enrollment(request: Request, body: NewEnrollment, caller: CallerOf) -> Response:
    async with transaction(request.app.state.sessions) as session:
        course = await load(session, Course, caller, body.course, lock=True)
        if course.state != "open":
            raise ProblemError(409, "guard-failed", "The course is closed.")
        enrollment = Enrollment(tenant=caller.tenant, applicant=caller.subject, course=course.id)
        session.add(enrollment)
        await session.flush()
        audit(session, caller, enrollment, "create", None)
        return answer(enrollment, 201, Location=f"/enrollments/{enrollment.id}")


@router.get("/enrollments")
async def list_enrollments(
    request: Request,
    caller: CallerOf,
    state: str | None = None,
    after: uuid.UUID | None = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_SIZE_MAX)] = 50,
) -> Response:
    query = select(Enrollment).where(Enrollment.tenant == caller.tenant).order_by(Enrollment.id)
    if caller.roles.isdisjoint(STAFF):
        query = query.where(Enrollment.applicant == caller.subject)
    if state is not None:
        query = query.where(Enrollment.state == state)
    if after is not None:
        query = query.where(Enrollment.id > after)
    async with transaction(request.app.state.sessions) as session:
        found = list(await session.scalars(query.limit(limit + 1)))
    page = found[:limit]
    last = str(page[-1].id) if len(found) > limit else None
    return JSONResponse({"items": [represent(record) for record in page], "after": last})


@router.get("/enrollments/{enrollment_id}")
async def read_enrollment(request: Request, enrollment_id: uuid.UUID, caller: CallerOf) -> Response:
    async with transaction(request.app.state.sessions) as session:
        found = await load(session, Enrollment, caller, enrollment_id)
    if request.headers.get("If-None-Match") == etag(found):
        return Response(status_code=304, headers={"ETag": etag(found), "Cache-Control": "no-store"})
    return answer(found)


@router.post("/enrollments/{enrollment_id}/submit")
async def submit(request: Request, enrollment_id: uuid.UUID, body: Submission, caller: CallerOf) -> Response:
    async with transaction(request.app.state.sessions) as session:
        enrollment = await load(session, Enrollment, caller, enrollment_id, lock=True)
        enrollment.essay = body.essay
        return await advance(session, request, caller, enrollment, "submit")


@router.post("/enrollments/{enrollment_id}/{name}")
async def take_step(
    request: Request,
    enrollment_id: uuid.UUID,
    name: Literal["verify", "approve", "reject", "withdraw", "leave", "archive"],
    caller: CallerOf,
) -> Response:
    if STEPS[name].roles:
        caller.need(*STEPS[name].roles)
    async with transaction(request.app.state.sessions) as session:
        enrollment = await load(session, Enrollment, caller, enrollment_id, lock=True)
        if name == "approve" and enrollment.verified_by == caller.subject:
            raise ProblemError(403, "four-eyes", "Who verified an application may not approve it.")
        if name == "verify":
            enrollment.verified_by = caller.subject
        response = await advance(session, request, caller, enrollment, name)
        if name == "approve":
            await change_seats(session, caller, enrollment.course, +1, "take_seat")
        if name == "leave":
            await change_seats(session, caller, enrollment.course, -1, "give_back_seat")
        return response


def build(settings: Mapping[str, str]) -> FastAPI:
    """The application. Raises ValueError when a setting can't be used."""
    engine = connect(settings["TWIN_DATABASE_URL"])

    @asynccontextmanager
    async def lifespan(application: FastAPI) -> AsyncGenerator[None, None]:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        await forget_expired(application.state.sessions)
        yield
        await engine.dispose()

    application = FastAPI(title="Enrollment", lifespan=lifespan)
    application.include_router(router)
    equip(application, engine, settings)
    return application
