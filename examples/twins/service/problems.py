"""Answers that aren't a success, as RFC 9457 problem documents. They never repeat what the client sent."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException


class ProblemError(Exception):
    """Raised anywhere in a request; the edge answers it.

    status: the HTTP status.       code: stable, for programs.
    detail: one sentence.          extra: further members of the document.
    """

    def __init__(self, status: int, code: str, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.extra = status, code, detail, extra

    def response(self) -> JSONResponse:
        """The document, with Retry-After where the same request may simply be sent again."""
        body = {"type": f"/problems/{self.code}", "status": self.status, "detail": self.detail, **self.extra}
        headers = {"Cache-Control": "no-store"}
        if self.extra.get("retryable"):
            headers["Retry-After"] = "1"
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse(body, self.status, headers, media_type="application/problem+json")


def not_found() -> ProblemError:
    """What doesn't exist and what the caller may not know of look the same."""
    return ProblemError(404, "not-found", "There is nothing here.")


async def answer_problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ProblemError)
    return error.response()


async def answer_invalid_input(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    places = [
        {"in": part["loc"][0], "pointer": "#/" + "/".join(map(str, part["loc"][1:])), "code": part["type"]}
        for part in error.errors()
    ]
    return ProblemError(422, "input-invalid", "The input doesn't fit.", errors=places).response()


async def answer_framework_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return ProblemError(error.status_code, "http", str(error.detail)).response()


async def answer_unexpected(_: Request, __: Exception) -> JSONResponse:
    return ProblemError(500, "internal-error", "Our fault; it has been logged.").response()
