"""What operations of the OpenAPI document repeat: references, parameters of a query, JSON bodies."""

from __future__ import annotations

from typing import Any, Final

from avow.api.openapi.json_schema import Schema

BEARER: Final[list[dict[str, list[str]]]] = [{"bearer": []}]
"""The `security` of what nobody does without a credential."""


def ref(kind: str, name: str) -> dict[str, str]:
    """A reference to what stands once for all operations; kind: `schemas`, `parameters`, `responses`."""
    return {"$ref": f"#/components/{kind}/{name}"}


def query_parameter(name: str, schema: Schema, description: str) -> dict[str, Any]:
    """A parameter of the query that may be left out."""
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


def json_body(schema: Schema, *, required: bool = True) -> dict[str, Any]:
    """A request's body, which has to fit a schema."""
    return {"required": required, "content": {"application/json": {"schema": schema}}}
