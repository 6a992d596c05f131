"""What can be answered: the responses of the OpenAPI document, each with the codes that can occur.

It must never leave a status out that the server can send, nor name a code that isn't in the table of
problems. Equal responses are written once and referred to.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from avow.api.openapi.json_schema import Schema, closed_object
from avow.api.openapi.parts import ref
from avow.api.problems import MEDIA_TYPE, type_uri
from avow.api.reach import certain_for_authenticated, possible_for_anonymous
from avow.errors import PROBLEMS, Kind
from avow.model.entity import Entity, Transition
from avow.model.expression import Not, Performed, walk

# What any request can meet, before and after the application looks at it.
_PAGE: Final = (
    "bad-request", "host-invalid", "credential-in-query", "not-acceptable", "uri-too-long", "input-invalid",
    "headers-too-large", "busy", "internal-error",
)  # fmt: skip
_ANY: Final = (*_PAGE, "database-unavailable", "deadline-exceeded")
_COMMAND: Final = (
    "json-invalid", "header-invalid", "idempotency-key-missing", "idempotency-key-invalid", "not-found",
    "body-too-large", "media-type-unsupported", "idempotency-key-reused", "contention",
)  # fmt: skip
# A body in Python may refuse, and may perform transitions of other records with rules of their own.
_BODY: Final = (
    "forbidden", "four-eyes", "state-conflict", "guard-failed", "invariant-violated", "unique-violated",
    "exclusion-violated", "refused",
)  # fmt: skip
_REPLAYED: Final = frozenset({403, 409})


class Answers:
    """Writes responses, and collects the ones that operations share."""

    def __init__(self, root_path: str) -> None:
        self._root_path = root_path
        self._names: dict[tuple[str, ...], str] = {}
        self._responses: dict[str, dict[str, Any]] = {}

    def components(self) -> dict[str, dict[str, Any]]:
        """The schemas, headers and responses that the written responses refer to."""
        return {
            "schemas": {
                "avow.problem": _PROBLEM,
                "avow.flaw": _FLAW,
                "avow.acknowledgement": _ACKNOWLEDGEMENT,
            },
            "headers": _HEADERS,
            "responses": dict(sorted(self._responses.items())),
        }

    def json(self, description: str, schema: str, *headers: str) -> dict[str, Any]:
        """A success with a JSON body of a named schema."""
        content = {"application/json": {"schema": ref("schemas", schema)}}
        sent = self.headers("X-Request-Id", "Cache-Control", *headers)
        return {"description": description, "headers": sent, "content": content}

    def record(self, description: str, entity: Entity) -> dict[str, Any]:
        """The answer to a command: the record, or what is left of it for one who may not read it."""
        answer = self.json(description, entity.name, "ETag", "Idempotency-Replayed")
        if certain_for_authenticated(entity.read) and possible_for_anonymous(entity.read):
            return answer
        seen = ref("schemas", entity.name)
        schema = {"anyOf": [seen, ref("schemas", "avow.acknowledgement")]}
        return {**answer, "content": {"application/json": {"schema": schema}}}

    def unchanged(self) -> dict[str, Any]:
        """The answer to a reader who has the current version."""
        sent = self.headers("X-Request-Id", "Cache-Control", "ETag")
        return {"description": "What you have is current; there is no body.", "headers": sent}

    def text(self, description: str, *media_types: str) -> dict[str, Any]:
        """A page of the server itself."""
        written: dict[str, Any] = {"description": description, "headers": self.headers("X-Request-Id")}
        if media_types:
            written["content"] = {media_type: {"schema": {}} for media_type in media_types}
        return written

    def headers(self, *names: str) -> dict[str, Any]:
        """References to headers, by name."""
        return {name: ref("headers", name) for name in names}

    def refusals(self, codes: Iterable[str]) -> dict[str, Any]:
        """The refusals of an operation on records: these codes and those that any request can meet."""
        return self._by_status([*_ANY, *codes])

    def page_refusals(self, codes: Iterable[str]) -> dict[str, Any]:
        """The refusals of a page of the server itself."""
        return self._by_status([*_PAGE, *codes])

    def codes_of_command(
        self, entity: Entity, transitions: Sequence[Transition], creation: bool
    ) -> list[str]:
        """The codes that a command can be refused with, beside a missing right."""
        codes = [*_COMMAND, "precondition-failed"]
        asked = {t.step for t in entity.transitions.values() if t.task is not None}
        if not creation:
            codes.append("state-conflict")
        if any(t.precondition for t in transitions):
            codes.append("precondition-required")
        if any(t.step in asked for t in transitions):
            codes.append("task-claimed")
        if any(t.when is not None for t in transitions):
            codes.append("guard-failed")
        if any(t.erases is not None for t in transitions):
            codes.append("erasure-held")
        if entity.invariants or entity.quotas:
            codes.append("invariant-violated")
        if entity.uniques:
            codes.append("unique-violated")
        if entity.exclusions:
            codes.append("exclusion-violated")
        if any(
            isinstance(node, Not) and isinstance(node.part, Performed)
            for t in transitions
            for node in walk(t.by)
        ):
            codes.append("four-eyes")
        if any(t.body is not None for t in transitions):
            codes += _BODY
        return codes

    def codes_of_act(self) -> list[str]:
        """The codes that anything done with a task can be refused with, beside a missing right."""
        return [*_COMMAND]

    def _by_status(self, codes: list[str]) -> dict[str, Any]:
        statuses = sorted({PROBLEMS[code].status for code in codes})
        wanted = set(codes)
        return {
            str(status): self._refusal(
                status,
                tuple(row.code for row in PROBLEMS.values() if row.status == status and row.code in wanted),
            )
            for status in statuses
        }

    def _refusal(self, status: int, codes: tuple[str, ...]) -> dict[str, str]:
        """A reference to the response of one status with exactly these codes."""
        if codes not in self._names:
            same = sum(name.startswith(f"{status}") for name in self._responses)
            self._names[codes] = f"{status}" if not same else f"{status}.{same + 1}"
            self._responses[self._names[codes]] = self._write(status, codes)
        return ref("responses", self._names[codes])

    def _write(self, status: int, codes: tuple[str, ...]) -> dict[str, Any]:
        rows = [PROBLEMS[code] for code in codes]
        names = ["X-Request-Id", "Cache-Control"]
        names += ["WWW-Authenticate"] if status == 401 else []
        names += ["Accept-Post"] if status == 415 else []
        names += ["Idempotency-Replayed"] if status in _REPLAYED else []
        names += ["Retry-After"] if any(row.kind is Kind.TRY_AGAIN for row in rows) else []
        told = {
            "type": {"enum": [type_uri(code, self._root_path) for code in codes]},
            "status": {"const": status},
        }
        schema = {"allOf": [ref("schemas", "avow.problem"), {"properties": told}]}
        lines = [f"{row.title} (`{row.code}`). {row.mend}" for row in rows]
        return {
            "description": "\n\n".join(lines),
            "headers": self.headers(*names),
            "content": {MEDIA_TYPE: {"schema": schema}},
        }


_ACKNOWLEDGEMENT: Final[Schema] = {
    **closed_object(
        {
            "id": {"type": "string", "format": "uuid"},
            "version": {"type": "integer", "minimum": 1},
            "state": {"type": "string"},
        },
        ["id", "version", "state"],
    ),
    "description": "All that is told to one who may give the command, but may not read the record.",
}
_FLAW: Final[Schema] = {
    "type": "object",
    "description": "What does not fit: a place in the body (`pointer`), or a parameter (`parameter`, `in`).",
    "properties": {
        "pointer": {
            "type": "string",
            "description": "JSON pointer into the body, such as #/items/0/quantity.",
        },
        "parameter": {"type": "string"},
        "in": {"type": "string", "enum": ["query", "header", "path"]},
        "code": {"type": "string"},
        "detail": {"type": "string", "description": "One sentence; it never repeats the value."},
    },
    "required": ["code", "detail"],
}
_PROBLEM: Final[Schema] = {
    "type": "object",
    "description": "A refusal or failure (RFC 9457).",
    "properties": {
        "type": {
            "type": "string",
            "format": "uri-reference",
            "description": "Stable; it resolves to a page.",
        },
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string", "format": "uri-reference"},
        "request_id": {"type": "string"},
        "mend": {"type": "string", "description": "What to do."},
        "retryable": {"type": "boolean", "description": "Whether the identical request may be sent again."},
        "errors": {"type": "array", "items": ref("schemas", "avow.flaw")},
        "errors_omitted": {"type": "integer", "description": "How many more flaws there are."},
        "rule": {"type": "string", "description": "What does not hold, in the words of the declaration."},
        "current_state": {"type": "string"},
        "allowed": {
            "type": "array",
            "items": {"type": "string"},
            "description": "The commands that you may give now.",
        },
        "limit_bytes": {"type": "integer"},
    },
    "required": ["type", "title", "status", "request_id", "mend", "retryable"],
}
_HEADERS: Final[dict[str, Any]] = {
    "X-Request-Id": {
        "description": "The server's own id of the request; quote it in questions.",
        "required": True,
        "schema": {"type": "string"},
    },
    "Cache-Control": {"description": "Whether the answer may be kept.", "schema": {"type": "string"}},
    "ETag": {
        "description": "The version of the record, as If-Match takes it; absent from a dry run.",
        "schema": {"type": "string", "pattern": '^"[0-9a-f-]{36}\\.[0-9]+"$'},
    },
    "Location": {
        "description": "Where the new record is.",
        "required": True,
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "Idempotency-Replayed": {
        "description": "true when this answer was given before, under the same key; absent otherwise.",
        "schema": {"type": "string", "const": "true"},
    },
    "Preference-Applied": {"description": "The preference that was heeded.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds to wait before sending it again.", "schema": {"type": "integer"}},
    "WWW-Authenticate": {
        "description": "How to authenticate.",
        "required": True,
        "schema": {"type": "string"},
    },
    "Accept-Post": {"description": "The media type that is accepted.", "schema": {"type": "string"}},
}
