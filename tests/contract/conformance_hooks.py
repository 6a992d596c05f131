"""What schemathesis has to know beyond the OpenAPI document; loaded by its command line.

It must never make a request more acceptable than the documentation in prose makes it, and never look
away from a status that isn't explained by a rule of the declaration.
"""

from __future__ import annotations

import itertools
import uuid
from typing import Any

import schemathesis
from schemathesis import GenerationMode
from schemathesis.core import NotSet
from schemathesis.core.parameters import ParameterLocation

from tests.fix_collector import look_less_often

REFUSED_BY_A_RULE = frozenset({401, 403, 404, 409, 412, 428})
UNSEEN = frozenset({"cursor-invalid", "reference-not-found"})
"""What a document can't say of a value: whose cursor it is, and which records exist."""

_keys = itertools.count()
_run = uuid.uuid4()
look_less_often()


@schemathesis.hook
def before_call(_: Any, case: Any, **__: Any) -> None:
    """Send what a careful client sends.

    A key is fresh for each request. A whole number is written without a point: JSON Schema counts 1.0 as
    an integer, the server doesn't. A case that is meant to be wrong, but only lacks a body that isn't
    needed, is right.
    """
    if _lacks_only_an_optional_body(case):
        case.meta.generation.mode = GenerationMode.POSITIVE
    if not _is_positive(case):
        return
    if "Idempotency-Key" in (case.headers or {}):
        case.headers["Idempotency-Key"] = f"{_run}-{next(_keys)}"
    case.body = _without_points(case.body)


@schemathesis.check
def refused_only_by_a_rule(_: Any, response: Any, case: Any) -> None:
    """A request that fits the document is accepted, or refused by a right, a state, a rule or a condition."""
    if not _is_positive(case) or response.status_code < 400 or response.status_code in REFUSED_BY_A_RULE:
        return
    document = response.json()
    codes = {error["code"] for error in document.get("errors", [])}
    codes |= {document["type"].rpartition("/")[2]} & UNSEEN
    if not codes or not codes - {"cursor"} <= UNSEEN:
        raise AssertionError(f"refused though it fits: {response.status_code} {document}")


@schemathesis.check
def every_answer_has_a_request_id(_: Any, response: Any, case: Any) -> None:
    """Every answer names its request; every refusal is a problem that says what to do."""
    if "x-request-id" not in response.headers:
        raise AssertionError("no X-Request-Id")
    if response.status_code >= 400 and case.method != "HEAD":
        document = response.json()
        if document["status"] != response.status_code or not document["mend"]:
            raise AssertionError(f"not a whole problem: {document}")


def _lacks_only_an_optional_body(case: Any) -> bool:
    if case.meta is None or not isinstance(case.body, NotSet) or case.method != case.operation.method.upper():
        return False
    rest = [part for place, part in case.meta.components.items() if place is not ParameterLocation.BODY]
    body = case.operation.definition.raw.get("requestBody", {"required": True})
    return not body.get("required", False) and all(part.mode.is_positive for part in rest)


def _is_positive(case: Any) -> bool:
    return case.meta is not None and case.meta.generation.mode.is_positive


def _without_points(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_points(held) for name, held in value.items()}
    if isinstance(value, list):
        return [_without_points(held) for held in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
