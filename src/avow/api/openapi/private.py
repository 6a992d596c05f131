"""Commands that reveal private values, as OpenAPI has them: the record, and what is told in clear."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from avow.api.openapi.answers import Answers
from avow.api.openapi.json_schema import Schema, argument_schema, closed_object, schema_of
from avow.api.openapi.parts import json_body, ref
from avow.model.entity import Entity, Transition
from avow.model.private import PrivateType

FIND_CODES: Final = (
    "cursor-invalid", "input-invalid", "json-invalid", "body-too-large", "media-type-unsupported",
)  # fmt: skip
"""How finding by private values can be refused, beside a missing right."""


_AS_OF: Final = ref("parameters", "as_of")
"""What can be said of a list, and not of private values: what they were is in nobody's reach."""


def find_operation(
    entity: Entity, listed: dict[str, Any], answers: Answers, denials: Iterable[str]
) -> dict[str, Any]:
    """Finding by private values: what listing is, by a body. denials: how a right to it can be missing."""
    values = {name: argument_schema(entity.fields[name].type) for name in entity.searchable}
    wanted = {**closed_object(values, []), "minProperties": 1}
    responses = {"200": listed["responses"]["200"], **answers.refusals([*FIND_CODES, *denials])}
    return {
        **listed,
        "parameters": [p for p in listed["parameters"] if p != _AS_OF],
        "operationId": f"{entity.plural}.find",
        "summary": f"Find {entity.plural} by private values",
        "requestBody": json_body(wanted),
        "responses": responses,
    }


def revealed_answer(entity: Entity, command: str, answers: Answers) -> dict[str, Any]:
    """The answer to a command that reveals."""
    description = "The record as it is now, and what is revealed of it."
    return answers.json(description, revealed_name(entity, command), "ETag", "Idempotency-Replayed")


def revealed_name(entity: Entity, command: str) -> str:
    """The name of the schema of what a command reveals."""
    return f"{entity.name}.{command}.revealed"


def revealed_schemas(entity: Entity, shown: Schema) -> dict[str, Schema]:
    """Of each command that reveals the schema of its answer; shown: that of the record itself."""
    reveals = {t.command: t for t in entity.transitions.values() if t.reveals}
    return {revealed_name(entity, command): _answer(entity, t, shown) for command, t in reveals.items()}


def _answer(entity: Entity, transition: Transition, shown: Schema) -> Schema:
    values = {name: _value(entity, name) for name in transition.reveals}
    revealed: Schema = {
        **closed_object(values, list(values)),
        "description": "In clear. A dry run gives what stands for the values instead.",
    }
    kept = ("id", "version", "state")
    properties: dict[str, Any] = {**shown["properties"], "revealed": revealed}
    return closed_object(properties, [*kept, "revealed"])


def _value(entity: Entity, name: str) -> Schema:
    field = entity.fields[name]
    kind = field.type
    inner = kind.inner if isinstance(kind, PrivateType) else kind
    number: Schema = {"type": "integer", "description": "The audit entry by which it was erased."}
    none: list[Schema] = [{"type": "null"}] if field.optional else []
    return {
        "anyOf": [
            schema_of(inner),
            closed_object({"erased_at": number}, ["erased_at"]),
            schema_of(kind),
            *none,
        ]
    }
