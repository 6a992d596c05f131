"""Problems as bytes: RFC 9457 documents, and the pages that their `type` URIs resolve to.

It must never put anything into an answer but what the problem holds, and never a header with a line
break in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from avow.errors import PROBLEMS, Kind, Problem, ProblemError

MEDIA_TYPE: Final = "application/problem+json"
REALM: Final = "avow"
RETRY_AFTER_S: Final = 1

# Our own extension members may not replace what RFC 9457 or this file defines.
_RESERVED: Final = frozenset(
    {"type", "title", "status", "detail", "instance", "request_id", "mend", "retryable"}
)
_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
_VALUE: Final = re.compile(r"[\t\x20-\x7e]*", re.ASCII)
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole response; `headers` is what ASGI sends: lower-case names, bytes."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def answer(
    problem: Problem, request_id: str, root_path: str = "", headers: Mapping[str, str] | None = None
) -> Answer:
    """Make the response for a problem.

    request_id: our own id of the request, a UUID or 32 hexadecimal digits.
    root_path:  the prefix under which the application is mounted; `type` starts with it.
    headers:    headers that belong to this occurrence (Allow, Retry-After, ...); they win.
    Raises ValueError for a header that cannot be sent, KeyError for an unknown code: both our bugs.
    """
    row = problem.type
    retryable = row.kind is Kind.TRY_AGAIN
    document: dict[str, Any] = {
        "type": type_uri(problem.code, root_path),
        "title": row.title,
        "status": row.status,
    }
    if problem.detail:
        document["detail"] = problem.detail
    if _UUID.fullmatch(request_id):
        document["instance"] = f"urn:uuid:{UUID(request_id)}"
    document |= {"request_id": request_id, "mend": row.mend, "retryable": retryable}
    document |= {name: value for name, value in problem.extra.items() if name not in _RESERVED}
    # ASCII only: a stray surrogate in an extension member must not turn a refusal into a failure.
    body = json.dumps(document, separators=(",", ":"), allow_nan=False).encode("ascii")
    sent = {
        "content-type": MEDIA_TYPE,
        "content-length": str(len(body)),
        "cache-control": "no-store",
        "x-request-id": request_id,
    }
    if row.status == 401:
        sent["www-authenticate"] = f'Bearer realm="{REALM}", error="invalid_token"'
    if retryable or row.status == 429:
        sent["retry-after"] = str(RETRY_AFTER_S)
    sent |= {name.lower(): value for name, value in (headers or {}).items()}
    return Answer(row.status, [encode_header(name, value) for name, value in sent.items()], body)


def answer_error(error: ProblemError, request_id: str, root_path: str = "") -> Answer:
    """Make the response for a problem that was raised, with the headers it carries."""
    return answer(error.problem, request_id, root_path, error.headers)


def no_credential() -> ProblemError:
    """The refusal of a request without any credential: no `error` parameter (RFC 6750, section 3)."""
    problem = Problem("unauthenticated", "The request carries no credential.")
    return ProblemError(problem, {"www-authenticate": f'Bearer realm="{REALM}"'})


def encode_header(name: str, value: str) -> tuple[bytes, bytes]:
    """One header line as ASGI wants it; raises ValueError for line breaks and anything but ASCII text.

    Every header that is built from data goes through here.
    """
    if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
        raise ValueError(f"the header {name!r} cannot be sent")
    return name.lower().encode("ascii"), value.encode("ascii")


def type_uri(code: str, root_path: str = "") -> str:
    """The URI reference that names a problem type; GET on it answers with `document(code)`."""
    return f"{root_path.rstrip('/')}/problems/{code}"


def document(code: str, *, as_json: bool = False) -> Answer | None:
    """The page about one problem type, for people (plain text) or as JSON; None for an unknown code."""
    row = PROBLEMS.get(code)
    if row is None:
        return None
    retry = {
        Kind.REJECTED: "Sending the same request again gives the same answer.",
        Kind.TRY_AGAIN: "The identical request may be sent again.",
        Kind.BUG: "The server is at fault.",
    }[row.kind]
    if as_json:
        facts = {
            "code": row.code,
            "title": row.title,
            "status": row.status,
            "mend": row.mend,
            "kind": row.kind.value,
            "retryable": row.kind is Kind.TRY_AGAIN,
        }
        return _page("application/json", json.dumps(facts).encode("ascii"))
    text = f"{row.title}\n\ncode:   {row.code}\nstatus: {row.status}\n\nWhat to do: {row.mend}\n{retry}\n"
    return _page("text/plain; charset=utf-8", text.encode("utf-8"))


def _page(media_type: str, body: bytes) -> Answer:
    sent = {"content-type": media_type, "vary": "Accept"}
    return Answer(200, [encode_header(name, value) for name, value in sent.items()], body)
