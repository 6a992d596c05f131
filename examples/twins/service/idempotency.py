"""Requests that may be sent again: a route class which runs a request once per Idempotency-Key.

It stands around the handler, knows nothing of what it does, and never opens the handler's transaction. The
key is written as "in progress" and committed first, so that copies which arrive meanwhile get an answer at
once and don't each hold a connection. The handler then does its work; its answer is stored for later copies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from .database import IdempotencyKey, Sessions, transaction
from .problems import ProblemError
from .tokens import authenticate

KEY_LENGTH_MAX = 255
KEY_LIFETIME_H = 24
KEPT_HEADERS = ("content-type", "etag", "location", "cache-control")
# A refusal by rule is the result of the command and is kept; with any other refusal nothing was executed.
KEPT_REFUSALS = (409, 412)

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to execute one key, from `locked_at` until it is settled or the lock has gone stale."""

    key: tuple[str, str, str]
    locked_at: datetime

    def condition(self) -> Any:
        row = IdempotencyKey
        mine = (row.tenant == self.key[0]) & (row.subject == self.key[1]) & (row.key == self.key[2])
        return mine & (row.locked_at == self.locked_at) & row.status.is_(None)


async def claim(
    sessions: Sessions, key: tuple[str, str, str], fingerprint: bytes, lock_s: float
) -> Claim | Response:
    """The right to execute, or the stored answer. Raises 409 while a copy works, 422 for another request.

    A lock older than `lock_s` belongs to a process that died: whoever comes next takes it over.
    """
    columns = {"tenant": key[0], "subject": key[1], "key": key[2], "fingerprint": fingerprint}
    fresh = insert(IdempotencyKey).values(columns).on_conflict_do_nothing()
    async with transaction(sessions) as session:
        locked_at = await session.scalar(fresh.returning(IdempotencyKey.locked_at))
        if locked_at is not None:
            return Claim(key, locked_at)
        row = await session.get(IdempotencyKey, key, with_for_update=True)
        if row is None:  # released between the two statements
            raise ProblemError(409, "in-progress", "A copy of this request is at work.", retryable=True)
        if row.fingerprint != fingerprint:
            raise ProblemError(422, "idempotency-key-reused", "The key was used for another request.")
        if row.status is not None:
            return Response(row.body, row.status, {**(row.headers or {}), "Idempotency-Replayed": "true"})
        now = await session.scalar(select(func.clock_timestamp()))
        assert now is not None
        if now - row.locked_at < timedelta(seconds=lock_s):
            raise ProblemError(409, "in-progress", "A copy of this request is at work.", retryable=True)
        row.locked_at = now
        return Claim(key, now)


async def settle(sessions: Sessions, claimed: Claim, response: Response) -> None:
    """Store the answer. An attempt whose lock was taken over meanwhile stores nothing."""
    kept = {name: value for name, value in response.headers.items() if name in KEPT_HEADERS}
    values = {"status": response.status_code, "headers": kept, "body": bytes(response.body)}
    async with transaction(sessions) as session:
        await session.execute(update(IdempotencyKey).where(claimed.condition()).values(values))


async def release(sessions: Sessions, claimed: Claim) -> None:
    """Forget the key: nothing was executed, so the client may correct the request or send it again."""
    async with transaction(sessions) as session:
        await session.execute(delete(IdempotencyKey).where(claimed.condition()))


async def forget_expired(sessions: Sessions) -> None:
    """Remove the keys whose published lifetime is over."""
    oldest = func.now() - timedelta(hours=KEY_LIFETIME_H)
    async with transaction(sessions) as session:
        await session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < oldest))


class IdempotentRoute(APIRoute):
    """A route whose handler runs once for each Idempotency-Key of a caller."""

    def get_route_handler(self) -> Handler:
        handler = super().get_route_handler()

        async def once(request: Request) -> Response:
            if request.method != "POST":
                return await handler(request)
            caller = authenticate(request)
            key = request.headers.get("Idempotency-Key", "").strip('"')
            if not (0 < len(key) <= KEY_LENGTH_MAX and key.isascii() and key.isprintable()):
                raise ProblemError(
                    400, "idempotency-key-missing", "Send an Idempotency-Key of 1 to 255 characters."
                )
            text = f"{request.method} {request.url.path}\n".encode() + await request.body()
            sessions, lock_s = request.app.state.sessions, request.app.state.key_lock_s
            scope = (caller.tenant, caller.subject, key)
            claimed = await claim(sessions, scope, hashlib.sha256(text).digest(), lock_s)
            if isinstance(claimed, Response):
                return claimed
            try:
                response = await handler(request)
            except ProblemError as problem:
                response = problem.response()
                if problem.status not in KEPT_REFUSALS:
                    await release(sessions, claimed)
                    return response
            except Exception:
                await release(sessions, claimed)
                raise
            await settle(sessions, claimed, response)
            return response

        return once
