"""What the OpenAPI document says of operating: what happens by itself, and what is done about it."""

from __future__ import annotations

from typing import Any, Final

from avow.api.ingress import PAGE_LIMIT_MAX
from avow.api.openapi.answers import Answers
from avow.api.openapi.json_schema import Schema, closed_object, nullable, schema_of
from avow.api.openapi.parts import BEARER, json_body, query_parameter, ref
from avow.api.operating import OF_A_DESTINATION, OF_A_SET, OF_ONE, SETTLED, who_may_see_to_one
from avow.api.routes import OPERATED, Operation, Route
from avow.engine.workers.operating import BULK_MAX
from avow.model.expression import Expression, render
from avow.model.system import System, asked_for_stuck
from avow.model.types import DateTimeType, Member
from avow.store.operate import STATES

TAG: Final = {"name": "effects", "description": "What happens by itself, and what operators do about it."}
_TEXT: Final[Schema] = {"type": "string"}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_INSTANT: Final[Schema] = schema_of(DateTimeType())
_WORK: Final[Schema] = {
    "work": {"type": "integer"},
    "tenant": _TEXT,
    "entity": _TEXT,
    "record": {"type": "string", "format": "uuid"},
    "name": {"type": "string", "description": "The effect or the transition."},
    "destination": {"type": "string", "description": "Empty for a time, `events` for a parked event."},
    "state": {"type": "string", "enum": list(STATES)},
    "key": {"type": "string", "description": "Under which the other side knows the call."},
    "attempt": _COUNT,
    "unclear": {"type": "boolean", "description": "Whether an attempt may have been carried out."},
    "stuck": nullable({"type": "string", "description": "Why a person has to see to it."}, True),
    "detail": _TEXT,
    "inbox": nullable(
        {"type": "string", "description": "In which inbox it is a task, while it is stuck."}, True
    ),
    "task": nullable({"type": "string", "format": "uuid"}, True),
    "paused": nullable({"type": "string", "description": "Why its destination is paused."}, True),
    "since": _INSTANT,
    "due": _INSTANT,
}
_ATTEMPT: Final[Schema] = {
    "number": _COUNT,
    "fence": _COUNT,
    "at": _INSTANT,
    "outcome": _TEXT,
    "detail": _TEXT,
}
_INTERVENTION: Final[Schema] = {
    **dict.fromkeys(("action", "subject", "reason", "evidence"), _TEXT), "at": _INSTANT, "fence": _COUNT,
}  # fmt: skip


def _listed(item: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": item, **more}


_SET: Final[Schema] = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_CHOICES: Final[dict[str, Schema]] = {
    "state": {"type": "string", "enum": list(STATES)},
    "outcome": {"type": "string", "enum": ["done", "failed"]},
    "set": _SET,
}
_RESULT: Final = {"description": "Of a call that was done: what it returned, of the type that it declares."}


def _closed(members: tuple[Member, ...], **free: Schema) -> Schema:
    properties = {m.name: nullable(_CHOICES.get(m.name) or schema_of(m.type), m.optional) for m in members}
    return closed_object({**properties, **free}, [member.name for member in members if not member.optional])


_BODIES: Final[dict[str, Schema]] = {
    "avow.work.act": _closed(OF_ONE),
    "avow.work.settle": _closed(SETTLED, result=_RESULT),
    "avow.works.act": _closed(OF_A_SET),
    "avow.destination.turn": _closed(OF_A_DESTINATION),
}
SCHEMAS: Final[dict[str, Schema]] = {
    **_BODIES,
    "avow.work": closed_object(_WORK, list(_WORK)),
    "avow.work.whole": closed_object(
        {
            **_WORK,
            "attempts": _listed(closed_object(_ATTEMPT, list(_ATTEMPT))),
            "interventions": _listed(closed_object(_INTERVENTION, list(_INTERVENTION))),
        },
        [*_WORK, "attempts", "interventions"],
    ),
    "avow.work.acted": closed_object(
        {
            "work": {"type": "integer"},
            "action": _TEXT,
            "entity": _TEXT,
            "record": _WORK["record"],
            "state": nullable({"type": "string", "description": "Of the record, where it has moved."}, True),
        },
        ["work", "action", "entity", "record", "state"],
    ),
    "avow.works": closed_object(
        {
            "items": _listed(ref("schemas", "avow.work"), maxItems=PAGE_LIMIT_MAX),
            "next": {"type": "string", "description": "The cursor of the next page; absent on the last one."},
        },
        ["items"],
    ),
    "avow.works.preview": closed_object(
        {"count": _COUNT, "more": {"type": "boolean"}, "set": _SET}, ["count", "more", "set"]
    ),
    "avow.works.acted": closed_object(
        {
            "action": _TEXT,
            "set": _SET,
            "done": _COUNT,
            "left": _listed(closed_object({"work": {"type": "integer"}, "code": _TEXT}, ["work", "code"])),
        },
        ["action", "set", "done", "left"],
    ),
    "avow.destinations": closed_object(
        {
            "items": _listed(
                closed_object(
                    {"destination": _TEXT, "paused": nullable(_TEXT, True)}, ["destination", "paused"]
                )
            )
        },
        ["items"],
    ),
    "avow.destination": closed_object(
        {"destination": _TEXT, "paused": {"type": "boolean"}}, ["destination", "paused"]
    ),
}
_OF_ONE: Final = ("avow.work.act", "avow.work.settle", "avow.work.whole", "avow.work.acted")
_OF_PAUSERS: Final = ("avow.destination.turn", "avow.destinations", "avow.destination")
"""What is referred to where there are no operators: by whom what is stuck asks, and by who may pause."""
_DID: Final = {
    "retry": "Let a worker try it once more, under the same key",
    "skip": "Give it up: a call is settled as failed, anything else passes",
    "compensate": "Undo now what is owed",
    "settle": "Say how a call ended; its transition follows",
    "pause": "Let no call to a destination begin, of any tenant",
    "resume": "Let calls to a destination begin again",
}
_POSTED: Final = (
    "json-invalid", "header-invalid", "idempotency-key-missing", "idempotency-key-invalid", "body-too-large",
    "media-type-unsupported", "request-timeout", "idempotency-key-reused", "contention",
)  # fmt: skip
_OF_A_WORK: Final = ("not-found", "work-moved", "task-claimed")
_OF_A_RECORD: Final = (
    "not-a-call", "call-owed", "state-conflict", "guard-failed", "invariant-violated", "unique-violated",
    "exclusion-violated", "refused",
)  # fmt: skip


def shown(system: System) -> bool:
    """Whether anybody may operate over HTTP."""
    return who_may_see_to_one(system) is not None or system.pausers is not None


def schemas_of(system: System) -> dict[str, Schema]:
    """What its operations refer to."""
    if system.operators is not None:
        return SCHEMAS
    own = _OF_ONE if asked_for_stuck(system) else ()
    own += _OF_PAUSERS if system.pausers is not None else ()
    return {name: schema for name, schema in SCHEMAS.items() if name in own}


def operation(system: System, route: Route, answers: Answers) -> dict[str, Any]:
    """One operation below /effects or /destinations."""
    verb, one = route.template.rpartition("/")[2], "{work}" in route.template
    policy = system.operators if route.operation is Operation.OPERATE else system.pausers
    policy = who_may_see_to_one(system) if one else policy
    if route.method == "GET":
        return _read(system, route, verb, answers, policy)
    name, answer = _body_and_answer(route, verb, one)
    codes = [*_POSTED, *_codes(route, verb, one), "unauthenticated", "forbidden"]
    return {
        **_head(route, f"{_DID[verb]}{'' if one or verb not in OPERATED else ': all of a set'}", policy),
        "parameters": [*([_PATH] if one else []), ref("parameters", "IdempotencyKey")],
        "requestBody": json_body(ref("schemas", name)),
        "responses": {
            "200": answers.json("It was done.", answer, "Idempotency-Replayed"),
            **answers.refusals(codes),
        },
    }


def _body_and_answer(route: Route, verb: str, one: bool) -> tuple[str, str]:
    if route.operation is Operation.DESTINATION:
        return "avow.destination.turn", "avow.destination"
    if not one:
        return "avow.works.act", "avow.works.acted"
    return "avow.work.settle" if verb == "settle" else "avow.work.act", "avow.work.acted"


def _codes(route: Route, verb: str, one: bool) -> list[str]:
    if route.operation is Operation.DESTINATION:
        return ["destination-unchanged"]
    if not one:
        return ["set-changed"]
    return [
        *_OF_A_WORK,
        *(() if verb == "retry" else _OF_A_RECORD),
        *(["call-unclear", "nothing-owed"] if verb == "compensate" else []),
        *(["call-unclear"] if verb == "skip" else ["evidence-missing"] if verb == "settle" else []),
    ]


def _read(
    system: System, route: Route, verb: str, answers: Answers, policy: Expression | None
) -> dict[str, Any]:
    entities = list(system.entities)
    filters = [
        query_parameter("entity", {"type": "string", "enum": entities}, "Only of this entity."),
        query_parameter(
            "destination", {"type": "string", "minLength": 1, "maxLength": 255}, "Only what goes there."
        ),
        query_parameter("state", {"type": "string", "enum": list(STATES)}, "Only what is in this state."),
        query_parameter(
            "stuck", {"type": "string", "minLength": 1, "maxLength": 255}, "Only what is stuck for this."
        ),
    ]
    paging = [ref("parameters", name) for name in ("limit", "cursor")]
    whole = "One work, with its attempts and what operators did"
    counted = f"How much fits, and the name of the set: the oldest {BULK_MAX}"
    told: dict[str, tuple[str, str, list[Any], list[str]]] = {
        "effects": ("What is to be done", "avow.works", [*paging, *filters], ["cursor-invalid"]),
        "preview": (counted, "avow.works.preview", filters, []),
        "{work}": (whole, "avow.work.whole", [_PATH], ["not-found"]),
        "destinations": ("Where calls go, and what is paused", "avow.destinations", [], []),
    }  # fmt: skip
    summary, schema, parameters, codes = told[verb]
    return {
        **_head(route, summary, policy),
        "parameters": parameters,
        "responses": {
            "200": answers.json(summary, schema),
            **answers.refusals(["input-invalid", "unauthenticated", "forbidden", *codes]),
        },
    }


_ASKED: Final = (
    " Who isn't an operator may of what is stuck, where it stands in the inbox of a role of theirs."
)


def _head(route: Route, summary: str, policy: Expression | None) -> dict[str, Any]:
    asked = "{work}" in route.template
    words = [part.strip("{}") for part in route.template.split("/") if part]
    return {
        "tags": [TAG["name"]],
        "operationId": ".".join([words[0], *words[1:], *(["read"] if route.method == "GET" else [])]),
        "summary": summary,
        "description": "" if policy is None else f"Who may: `{render(policy)}`.{_ASKED * asked}",
        "security": BEARER,
    }


_PATH: Final = {
    "name": "work",
    "in": "path",
    "required": True,
    "description": "The number of the work.",
    "schema": {"type": "integer", "minimum": 1, "maximum": 999_999_999_999_999},
}
