"""What the OpenAPI document says of subscriptions."""

from __future__ import annotations

from typing import Any, Final

from avow.api.openapi.answers import Answers
from avow.api.openapi.json_schema import Schema, closed_object
from avow.api.openapi.parts import BEARER, json_body, ref
from avow.api.routes import Route
from avow.engine.workers.publishing import event_type
from avow.model.system import System, published_types

TAG: Final = {"name": "subscriptions", "description": "Who is told of what is published, by signed webhooks."}
_TEXT: Final[Schema] = {"type": "string"}
_EVENTS: Final[Schema] = {"type": "array", "items": _TEXT, "minItems": 1}
_SHOWN: Final[Schema] = {
    "id": {"type": "string", "format": "uuid"},
    "url": _TEXT,
    "events": _EVENTS,
    "state": {"type": "string", "enum": ["active", "paused", "disabled"]},
    "reason": _TEXT,
    "subject": _TEXT,
    "created_at": {"type": "string", "format": "date-time"},
    "replaying_since": {"type": ["string", "null"], "format": "date-time"},
}
_NAME: Final = "avow.subscription"
SCHEMAS: Final[dict[str, Schema]] = {
    _NAME: closed_object({**_SHOWN, "secret": _TEXT}, list(_SHOWN)),
    f"{_NAME}.page": closed_object({"items": {"type": "array", "items": {"type": "object"}}}, ["items"]),
    f"{_NAME}.ended": closed_object({"id": _SHOWN["id"]}, ["id"]),
}
_ANSWERS: Final = {
    "pause": ("Tell it nothing for now; what happens is kept for it.", _NAME),
    "resume": ("Go on telling it, what was kept first.", _NAME),
    "rotate": (
        "Give it a new secret, which the answer shows; the one before it signs as well for a day.",
        _NAME,
    ),
    "replay": ("Begin to tell it again, in order, of everything since an instant.", _NAME),
    "delete": ("End it, with what it is still to be told.", f"{_NAME}.ended"),
    "": ("One subscription.", _NAME),
}
_CODES: Final = ("unauthenticated", "forbidden", "not-found", "header-invalid")
_OF_A_POST: Final = (
    "json-invalid", "idempotency-key-missing", "idempotency-key-invalid", "body-too-large",
    "media-type-unsupported", "request-timeout", "idempotency-key-reused",
)  # fmt: skip


def operation(system: System, route: Route, answers: Answers) -> dict[str, Any]:
    """The operation of one route below /subscriptions."""
    below, posts = "{id}" in route.template, route.method == "POST"
    verb = route.template.rpartition("{id}")[2].lstrip("/") if below else ("create" if posts else "list")
    if below:
        summary, schema = _ANSWERS[verb]
    else:
        summary = "Subscribe; the answer shows the secret" if posts else "The subscriptions that you may see"
        schema = _NAME if posts else f"{_NAME}.page"
    replayed = ["Idempotency-Replayed"] if posts else []
    parameters = [*(["id"] if below else []), *(["IdempotencyKey"] if posts else [])]
    return {
        "tags": [TAG["name"]],
        "operationId": f"subscriptions.{verb or 'read'}",
        "summary": summary,
        "security": BEARER,
        "parameters": [ref("parameters", name) for name in parameters],
        **({"requestBody": _body(system, verb)} if posts else {}),
        "responses": {
            "201" if posts and not below else "200": answers.json(summary, schema, *replayed),
            **answers.refusals([*_CODES, *(_OF_A_POST if posts else ())]),
        },
    }


def _body(system: System, verb: str) -> dict[str, Any]:
    members: Schema = {}
    if verb == "create":
        known = [event_type(system, name) for name in published_types(system)]
        members = {"url": _TEXT, "events": {**_EVENTS, "items": {"type": "string", "enum": known}}}
    elif verb == "replay":
        members = {"since": {"type": "string", "format": "date-time"}}
    return json_body(closed_object(members, list(members)), required=bool(members))
