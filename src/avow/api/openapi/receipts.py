"""What the OpenAPI document says of receipts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from avow.api.openapi.answers import Answers
from avow.api.openapi.json_schema import Schema, closed_object
from avow.api.openapi.parts import query_parameter
from avow.canonical import INTEGER_MAX
from avow.engine.log.erasures import UNSIGNED
from avow.engine.log.receipts import WAIT_S_MAX
from avow.model.entity import Entity

NAME: Final = "avow.receipt"
_ERASED: Final[Schema] = {
    **closed_object(
        {
            "field": {"type": "string"},
            "leaf": {
                "type": ["integer", "null"],
                "minimum": 0,
                "description": "Where the log has the entry that erased it; null: it isn't in this log.",
            },
            "unsigned": {
                "type": ["string", "null"],
                "enum": [*UNSIGNED, None],
                "description": "Why the receipt itself doesn't say so; null: it does.",
            },
        },
        ["field", "leaf", "unsigned"],
    ),
    "description": "A private value of the entry that was erased.",
}
SCHEMA: Final[Schema] = {
    **closed_object(
        {
            "claim": {"type": "string"},
            "version": {"type": "integer", "minimum": 1},
            "leaf": {"type": "integer", "minimum": 0},
            "size": {"type": "integer", "minimum": 1},
            "log": {"type": "string", "description": "The key that the log signs with."},
            "sealed_at": {"type": "string", "format": "date-time"},
            "witnesses": {"type": "array", "items": {"type": "string"}},
            "erased": {"type": "array", "items": _ERASED},
            "receipt": {"type": "string", "description": "The file (c2sp.org/tlog-proof)."},
        },
        ["claim", "version", "leaf", "size", "log", "sealed_at", "witnesses", "erased", "receipt"],
    ),
    "description": "A proof that this happened to the record at this version. It doesn't say that it still "
    "holds: later versions may exist.",
}
_CONSTANT: Final = (
    r'(-?(0|[1-9][0-9]{0,9})(\.[0-9]{1,4})? [A-Z]{3}|"[ !#-\[\]-~]{0,60}"|[A-Za-z0-9_.:+-]{1,60})'
)
_CONDITION: Final = rf"[A-Za-z_][A-Za-z0-9_]{{0,47}} (=|!=|<|<=|>|>=) {_CONSTANT}"
_PARAMETERS: Final[list[dict[str, Any]]] = [
    {
        "name": "claim",
        "in": "query",
        "required": True,
        "description": "What is to be shown: conditions on `state` and on fields that one entry set, such as "
        "`state = captured` or `amount >= 25.00 EUR & paid = true`.",
        "schema": {"type": "string", "pattern": f"^{_CONDITION}( & {_CONDITION}){{0,3}}$"},
    },
    query_parameter(
        "version",
        {"type": "integer", "minimum": 1, "maximum": INTEGER_MAX},
        "Of this version; without it, of the newest that makes the claim true.",
    ),
    {
        "name": "Prefer",
        "in": "header",
        "required": False,
        "description": f"`wait=SECONDS` (RFC 7240): wait for the seal, at most {WAIT_S_MAX:.0f} seconds.",
        "schema": {"type": "string", "pattern": "^wait=[0-9]{1,3}$"},
    },
]


def operation(
    entity: Entity,
    answers: Answers,
    identity: dict[str, Any],
    security: Sequence[Any],
    denials: Sequence[str],
) -> dict[str, Any]:
    """The operation that gives a receipt of one entity's records; `identity` is the parameter of its id."""
    codes = ["input-invalid", "header-invalid", "not-found", "forbidden", "claim-unproved", "not-sealed"]
    return {
        "operationId": f"{entity.plural}.receipt",
        "summary": f"Prove to others what happened to one {entity.name}",
        "description": "For who may see every field of the record, and each record that its entry names.",
        "security": list(security),
        "parameters": [identity, *_PARAMETERS],
        "responses": {
            "200": answers.json("The receipt.", NAME, "Preference-Applied"),
            **answers.refusals([*codes, *denials]),
        },
    }
