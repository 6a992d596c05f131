"""What the OpenAPI document says of tasks: the inbox, and what is done with one other than doing it."""

from __future__ import annotations

from typing import Any, Final

from avow.api.openapi.answers import Answers
from avow.api.openapi.json_schema import Schema, closed_object, nullable, schema_of
from avow.api.openapi.parts import BEARER, json_body, query_parameter, ref
from avow.api.routes import Operation
from avow.api.tasks import MEMBERS
from avow.model.system import System, asking
from avow.model.types import DateTimeType

TAG: Final = {
    "name": "tasks",
    "description": "What people are asked to do. To do it is to give the command to its record, at `path`; "
    "or, of what is stuck, to see to what is `owed`, below `path`.",
}
_CLAIM: Final = """\
Nobody else can do it until it is released or the claim ends, which `held_until` says.
Who claims it again makes the claim last longer."""
_RELEASE: Final = "It belongs to everybody in the role again."
_DELEGATE: Final = """\
They have to be permitted to do it by themselves. Once they have, you count as having done it, too, wherever
the declaration asks for a second person."""
_FOLLOW_UP: Final = """\
It stays where it is; `follow_up` says the time, and that it has come is recorded.
Without `at` the date is taken away."""
_ACTS: Final = {
    Operation.CLAIM: ("Claim a task", _CLAIM),
    Operation.RELEASE: ("Release a task", _RELEASE),
    Operation.DELEGATE: ("Let somebody else do a task in your place", _DELEGATE),
    Operation.FOLLOW_UP: ("Say when a task is to be looked at again", _FOLLOW_UP),
}
_INSTANT: Final[Schema] = schema_of(DateTimeType())


def operation(what: Operation, system: System, answers: Answers) -> dict[str, Any]:
    """One operation on tasks."""
    return _inbox(system, answers) if what is Operation.TASKS else _act(what, answers)


def _inbox(system: System, answers: Answers) -> dict[str, Any]:
    entities = [e.name for e in asking(system)]
    flag: Schema = {"type": "boolean", "default": False}
    own = [
        query_parameter(
            "role",
            {"type": "string"},
            "Only tasks in the inbox of this role, if you have it; `operators`: in that of whoever operates.",
        ),
        query_parameter(
            "entity", {"type": "string", "enum": entities}, "Only tasks about records of this entity."
        ),
        query_parameter("mine", flag, "Only tasks that you have claimed, or that were delegated to you."),
        query_parameter("overdue", flag, "Only tasks whose due time has come."),
    ]
    paging = [ref("parameters", name) for name in ("limit", "cursor")]
    codes = ["cursor-invalid", "input-invalid", "unauthenticated"]
    return {
        "tags": ["tasks"],
        "operationId": "tasks.list",
        "summary": "List what you are asked to do",
        "description": "The tasks in the inboxes of your roles, and those that you hold, the one due first "
        "coming first. Tasks that you could not do are left out, so that a page may be shorter than `limit`; "
        "where it takes a second person, `why_not` says so.",
        "security": BEARER,
        "parameters": [*paging, *own],
        "responses": {"200": answers.json("A page of tasks.", "avow.inbox"), **answers.refusals(codes)},
    }


def _act(operation: Operation, answers: Answers) -> dict[str, Any]:
    summary, description = _ACTS[operation]
    members = MEMBERS[operation]
    parameters = [ref("parameters", name) for name in ("id", "IdempotencyKey")]
    schema = ref("schemas", f"avow.task.{operation.value}")
    held = "task-not-held" if operation is Operation.RELEASE else "task-claimed"
    denied = ["forbidden"] if operation is Operation.DELEGATE else []
    denied += [] if operation is Operation.RELEASE else ["four-eyes"]
    return {
        "tags": ["tasks"],
        "operationId": f"tasks.{operation.value}",
        "summary": summary,
        "description": description,
        "security": BEARER,
        "parameters": parameters,
        "requestBody": json_body(schema, required=any(not member.optional for member in members)),
        "responses": {
            "200": answers.json("The task as it is now.", "avow.task.held", "Idempotency-Replayed"),
            **answers.refusals([*answers.codes_of_act(), "unauthenticated", held, *denied]),
        },
    }


def schemas() -> dict[str, Schema]:
    """The schemas that operations on tasks refer to."""
    held = _held()
    bodies = {
        f"avow.task.{operation.value}": closed_object(
            {member.name: nullable(schema_of(member.type), member.optional) for member in members},
            [member.name for member in members if not member.optional],
        )
        for operation, members in MEMBERS.items()
    }
    shown = {**held, **_SHOWN}
    return {
        "avow.task": closed_object(shown, list(shown)),
        "avow.task.held": closed_object(held, list(held)),
        **bodies,
    }


def _held() -> dict[str, Schema]:
    return {
        "id": {"type": "string", "format": "uuid"},
        "task": {
            "type": "string",
            "description": "The name of the transition that is asked for, or of what is stuck.",
        },
        "due": nullable(_INSTANT, True),
        "follow_up": nullable(_INSTANT, True),
        "escalated_at": nullable(_INSTANT, True),
        "holder": nullable({"type": "string"}, True),
        "held_until": nullable(_INSTANT, True),
    }


_OWED: Final[dict[str, Schema]] = {
    "work": {"type": "integer"},
    "name": {"type": "string", "description": "The effect, the transition, or the event."},
    "destination": {"type": "string", "description": "Empty for a time, `events` for an event."},
    "key": {"type": "string", "description": "Under which the other side knows the call."},
    "attempt": {"type": "integer", "minimum": 0},
    "unclear": {"type": "boolean", "description": "Whether an attempt may have been carried out."},
    "stuck": {"type": "string", "description": "Why a person has to see to it."},
    "detail": {"type": "string"},
    "ways": {
        "type": "array",
        "items": {"type": "string", "enum": ["settle", "retry", "skip"]},
        "description": "What can be done about it: each is posted below `path`.",
    },
}
_SHOWN: Final[dict[str, Schema]] = {
    "entity": {"type": "string"},
    "record": nullable(
        {"type": "string", "format": "uuid", "description": "Null of an event: there may be no record yet."},
        True,
    ),
    "command": nullable(
        {"type": "string", "description": "Null where something is stuck: see `owed`."}, True
    ),
    "path": {
        "type": "string",
        "description": "Where the command is given, by POST: that does the task. Or where what is stuck is "
        "looked at, by GET; what is done about it is posted below it.",
    },
    "role": {"type": "string", "description": "In whose inbox it stands; `operators`: whoever operates."},
    "asked_by": {"type": "string", "description": "Whose command asks for it."},
    "since": _INSTANT,
    "overdue": {"type": "boolean"},
    "may": {"type": "boolean", "description": "Whether you may do it now."},
    "why_not": {
        "type": ["object", "null"],
        "properties": {
            "four_eyes": {"type": "string", "description": "The clause that asks for a second person."},
            "claimed_by": {"type": "string"},
        },
    },
    "shows": {
        "type": "object",
        "description": "Those fields of the record that the task shows and that you may see.",
    },
    "owed": nullable(closed_object(_OWED, list(_OWED)), True),
}
