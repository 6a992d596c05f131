"""The parameters that operations share, each written once and referred to by its name here."""

from __future__ import annotations

from typing import Any, Final

from avow.api.ingress import PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX
from avow.api.openapi.json_schema import ID, schema_of
from avow.api.openapi.parts import query_parameter
from avow.model.types import DateTimeType
from avow.store.retention import KEY_RETENTION_DAYS

_KEY_PATTERN: Final = (
    '^(?:"(?:[\\u0021\\u0023-\\u005b\\u005d-\\u007e]|\\\\["\\\\]){1,255}"'
    "|[A-Za-z0-9!#$%&'*+./:=@^_`|~-]{1,255})$"
)
_TAG: Final = '(?:W/)?"[\\u0021\\u0023-\\u007e]*"'
_CONDITION_PATTERN: Final = f"^(?:\\*|{_TAG}(?:[ \\t]*,[ \\t]*{_TAG}){{0,63}})$"
_INSTANT_EXAMPLE: Final = "2026-11-21T09:30:00Z"

PARAMETERS: Final[dict[str, Any]] = {
    "id": {
        "name": "id",
        "in": "path",
        "required": True,
        "description": "The id of the record, in lower case. Any other spelling is answered with 404.",
        "schema": ID,
    },
    "limit": query_parameter(
        "limit",
        {"type": "integer", "minimum": 1, "default": PAGE_LIMIT_DEFAULT},
        f"How many items a page has; a larger number than {PAGE_LIMIT_MAX} means {PAGE_LIMIT_MAX}.",
    ),
    "cursor": query_parameter(
        "cursor",
        {"type": "string"},
        "`next` of the page before; it belongs to the same filters and the same tenant, and grants nothing.",
    ),
    "at": query_parameter(
        "at",
        schema_of(DateTimeType()),
        f"As it was at this time, such as {_INSTANT_EXAMPLE}; without it, now.",
    ),
    "as_of": query_parameter(
        "as_of",
        schema_of(DateTimeType()),
        f"From what could be known at this time, such as {_INSTANT_EXAMPLE}: what its newest checkpoint "
        "covers. A time that lies behind the newest checkpoint has the same answer for ever.",
    ),
    "dry_run": query_parameter(
        "dry_run",
        {"type": "boolean", "default": False},
        "Decide everything and write nothing. The Idempotency-Key isn't used up: send the command itself "
        "under the same one. If it has an answer already, that is the answer.",
    ),
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "required": True,
        "description": "One fresh key per intended command, the same key on every retry; quoted or bare. "
        f"A key is kept for {KEY_RETENTION_DAYS} days: until then the same request gets the same answer, and "
        "another request under it is refused with 422.",
        "schema": {"type": "string", "pattern": _KEY_PATTERN},
    },
    "IfMatch": {
        "name": "If-Match",
        "in": "header",
        "required": False,
        "description": "The ETag of the version that was seen; 412 if the record has changed since.",
        "schema": {"type": "string", "pattern": _CONDITION_PATTERN},
    },
    "IfNoneMatch": {
        "name": "If-None-Match",
        "in": "header",
        "required": False,
        "description": "The ETag that is known: 304 if it is current. If-Match is read too: 412 if not.",
        "schema": {"type": "string", "pattern": _CONDITION_PATTERN},
    },
}
