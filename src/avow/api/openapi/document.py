"""The OpenAPI 3.1 document of a system: what the server does, said from the same model and routes.

It must never describe what no route serves, nor depend on anything but the model: the same system
gives the same bytes. What OpenAPI has no word for (who may, guards, invariants) is said in prose and
in members that start with `x-avow-`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from avow.api.ingress import PAGE_LIMIT_MAX, filters_of
from avow.api.openapi import events, operating, private, receipts, subscriptions, tasks
from avow.api.openapi.answers import Answers
from avow.api.openapi.json_schema import (
    Schema,
    argument_schema,
    closed_object,
    described,
    nullable,
    schema_of,
)
from avow.api.openapi.parameters import PARAMETERS
from avow.api.openapi.parts import BEARER, query_parameter, ref
from avow.api.reach import certain_for_authenticated, possible_for_anonymous
from avow.api.routes import TASK_ACTS, Operation, Route, Routes, is_public
from avow.errors import PROBLEMS
from avow.model.entity import Entity, Field, Parameter, Transition
from avow.model.expression import AnyOf, Const, Expression, render
from avow.model.system import System, asks, publishes
from avow.model.types import Reference

OPENAPI_VERSION: Final = "3.1.0"

_INTRODUCTION: Final = """\
HEAD does what GET does, without a body. OPTIONS answers 204 with Allow. A path takes no other method.
Integers have at most 53 bits; decimals, money and times are strings.
In a body, null and absent mean the same.
Query strings are form-encoded: `+` is a space, a plus sign is `%2B`. A parameter may stand once.
Every answer carries X-Request-Id. Every refusal is a problem document (RFC 9457) whose `type` resolves."""


def document(system: System, root_path: str = "") -> dict[str, Any]:
    """The document as plain data. root_path: the prefix under which the application is mounted."""
    writer = _Writer(system, root_path)
    paths: dict[str, dict[str, Any]] = {}
    for route in Routes(system):
        paths.setdefault(route.template, {})[route.method.lower()] = writer.operation(route)
    return {
        "openapi": OPENAPI_VERSION,
        "info": {
            "title": system.name,
            "version": system.fingerprint.hex()[:12],
            "description": _INTRODUCTION,
        },
        "servers": [{"url": root_path or "/"}],
        "tags": [
            *(_tag(entity) for entity in system.entities.values()),
            *([tasks.TAG] if asks(system) else []),
            *([events.TAG] if system.senders else []),
            *([subscriptions.TAG] if publishes(system) else []),
            *([operating.TAG] if operating.shown(system) else []),
            _SERVER_TAG,
        ],
        "paths": paths,
        "components": writer.components(),
        "x-avow-fingerprint": system.fingerprint.hex(),
    }


def document_bytes(system: System, root_path: str = "") -> bytes:
    """The document as it is served: UTF-8 JSON, the same bytes for the same system."""
    return json.dumps(document(system, root_path), ensure_ascii=False, separators=(",", ":")).encode()


_SERVER_TAG: Final = {"name": "server", "description": "The server itself, not the records that it keeps."}


class _Writer:
    """Writes the operations of one system, and collects what they share."""

    def __init__(self, system: System, root_path: str) -> None:
        self._system = system
        self._answers = Answers(root_path)
        self._routes = tuple(Routes(system))

    def operation(self, route: Route) -> dict[str, Any]:
        """One operation."""
        if route.operation in TASK_ACTS or route.operation is Operation.TASKS:
            return tasks.operation(route.operation, self._system, self._answers)
        if route.sender is not None:
            return events.operation(self._system, route.sender, self._answers)
        if route.operation is Operation.SUBSCRIPTION:
            return subscriptions.operation(self._system, route, self._answers)
        if route.operation in (Operation.OPERATE, Operation.DESTINATION):
            return operating.operation(self._system, route, self._answers)
        if route.entity is None:
            return self._page(route)
        writers = {
            Operation.LIST: self._list,
            Operation.FIND: self._list,
            Operation.READ: self._read,
            Operation.HISTORY: self._history,
            Operation.WHY: self._why,
            Operation.RECEIPT: self._receipt,
            Operation.CREATE: self._command,
            Operation.COMMAND: self._command,
        }
        return {"tags": [route.entity.name], **writers[route.operation](route, route.entity)}

    def components(self) -> dict[str, Any]:
        """Everything that operations refer to."""
        schemas: dict[str, Schema] = {}
        for entity in self._system.entities.values():
            schemas[entity.name] = _representation(entity)
            schemas.update(private.revealed_schemas(entity, schemas[entity.name]))
            schemas[f"{entity.name}.page"] = _page_of(ref("schemas", entity.name))
        for route in self._routes:
            if route.entity is not None and route.transitions:
                schemas[_input_name(route)] = _input(route.entity, route.transition)
        schemas |= {"avow.entry": _ENTRY, "avow.history": _page_of(ref("schemas", "avow.entry"))}
        schemas |= {"avow.provenance": _PROVENANCE, receipts.NAME: receipts.SCHEMA}
        if asks(self._system):
            schemas |= tasks.schemas()
            schemas |= {"avow.inbox": _page_of(ref("schemas", "avow.task"))}
        if self._system.senders:
            schemas[events.OUTCOME_NAME] = events.OUTCOME
        schemas |= subscriptions.SCHEMAS if publishes(self._system) else {}
        schemas |= operating.schemas_of(self._system)
        collected = self._answers.components()
        return {
            "schemas": {**schemas, **collected["schemas"]},
            "parameters": PARAMETERS,
            "headers": collected["headers"],
            "responses": collected["responses"],
            "securitySchemes": {"bearer": _BEARER},
        }

    def _list(self, route: Route, entity: Entity) -> dict[str, Any]:
        filters = [_filter(field) for field in filters_of(entity).values()]
        page, as_of = [ref("parameters", name) for name in ("limit", "cursor")], ref("parameters", "as_of")
        parameters = [*page, _state_filter(entity), as_of, *filters]
        ok = self._answers.json(
            "A page of the records that you may see, oldest first.", f"{entity.name}.page"
        )
        codes = ["cursor-invalid", "input-invalid", *_denials(entity.read)]
        listed = {
            "operationId": f"{entity.plural}.list",
            "summary": f"List {entity.plural}",
            "description": _readers(entity),
            "security": _security([entity.read]),
            "parameters": parameters,
            "responses": {"200": ok, **self._answers.refusals(codes)},
        }
        if route.operation is Operation.FIND:
            return private.find_operation(entity, listed, self._answers, _denials(entity.read))
        return listed

    def _read(self, route: Route, entity: Entity) -> dict[str, Any]:
        ok, denials = self._answers.json(f"The {entity.name}.", entity.name, "ETag"), _denials(entity.read)
        codes = ["header-invalid", "input-invalid", "not-found", "precondition-failed", *denials]
        return {
            "operationId": f"{entity.plural}.read",
            "summary": f"Read one {entity.name}",
            "description": _readers(entity),
            "security": _security([entity.read]),
            "parameters": [ref("parameters", name) for name in ("id", "as_of", "IfNoneMatch")],
            "responses": {"200": ok, "304": self._answers.unchanged(), **self._answers.refusals(codes)},
        }

    def _history(self, route: Route, entity: Entity) -> dict[str, Any]:
        ok = self._answers.json("A page of the audit entries of the record, oldest first.", "avow.history")
        codes = ["cursor-invalid", "input-invalid", "not-found", *_denials(entity.read)]
        return {
            "operationId": f"{entity.plural}.history",
            "summary": f"Read what happened to one {entity.name}",
            "description": f"{_readers(entity)} Values of fields that you may not see are left out.",
            "security": _security([entity.read]),
            "parameters": [ref("parameters", name) for name in ("id", "limit", "cursor", "as_of")],
            "responses": {"200": ok, **self._answers.refusals(codes)},
        }

    def _why(self, route: Route, entity: Entity) -> dict[str, Any]:
        names = {"type": "string", "enum": list(entity.fields)}
        field = (
            [query_parameter("field", names, "One field; without it, all of them.")] if entity.fields else []
        )
        parameters = [ref("parameters", "id"), *field, ref("parameters", "at"), ref("parameters", "as_of")]
        ok = self._answers.json(
            "From each value to the command that set it, and why it could.", "avow.provenance"
        )
        codes = ["input-invalid", "not-found", *_denials(entity.read)]
        return {
            "operationId": f"{entity.plural}.why",
            "summary": f"Ask why one {entity.name} looks the way it does",
            "description": f"{_readers(entity)} Values of fields that you may not see are left out.",
            "security": _security([entity.read]),
            "parameters": parameters,
            "responses": {"200": ok, **self._answers.refusals(codes)},
        }

    def _receipt(self, route: Route, entity: Entity) -> dict[str, Any]:
        security, denials = _security([entity.read]), _denials(entity.read)
        return receipts.operation(entity, self._answers, ref("parameters", "id"), security, denials)

    def _command(self, route: Route, entity: Entity) -> dict[str, Any]:
        creation = route.operation is Operation.CREATE
        public = [t for t in route.transitions if is_public(t)]
        parameters = (
            ["dry_run", "IdempotencyKey"] if creation else ["id", "dry_run", "IdempotencyKey", "IfMatch"]
        )
        answer = self._answers.record(
            f"The new {entity.name}." if creation else "The record as it is now.", entity
        )
        if route.transition.reveals:
            answer = private.revealed_answer(entity, route.transition.command, self._answers)
        links = self._links(entity, route)
        answer["headers"] |= self._answers.headers("Location") if creation else {}
        answers = {"201" if creation else "200": {**answer, **({"links": links} if links else {})}}
        if creation:
            answers["200"] = self._answers.record("With dry_run: the record as it would be.", entity)
        content = {"application/json": {"schema": ref("schemas", _input_name(route))}}
        codes = self._answers.codes_of_command(entity, public, creation)
        denials = [code for t in public for code in _denials(t.by)]
        return {
            "operationId": f"{entity.name}.{route.transition.command}",
            "summary": f"{route.transition.command}: {_way(public)}",
            "description": _command_text(public),
            "security": _security([t.by for t in public]),
            "parameters": [ref("parameters", name) for name in parameters],
            "requestBody": {
                "required": any(not p.optional for p in route.transition.parameters),
                "content": content,
            },
            "responses": {**dict(sorted(answers.items())), **self._answers.refusals([*codes, *denials])},
            **_marks(public, creation),
        }

    def _page(self, route: Route) -> dict[str, Any]:
        match route.operation:
            case Operation.OPENAPI:
                summary, ok = "This document", self._answers.text("The document.", "application/json")
            case Operation.PROBLEM:
                summary = "What a problem type means, and what to do"
                ok = self._answers.text("The page.", "text/plain", "application/json")
            case Operation.HEALTH:
                summary, ok = "Whether the process lives", self._answers.text("It does.")
            case _:
                summary, ok = "Whether commands can be served now", self._answers.text("They can.")
        codes = {Operation.PROBLEM: ["not-found"], Operation.READY: ["database-unavailable"]}
        code = {"type": "string", "enum": list(PROBLEMS)}
        named = [{"name": "code", "in": "path", "required": True, "schema": code}]
        return {
            "tags": ["server"],
            "operationId": f"server.{route.operation.value}",
            "summary": summary,
            "security": [],
            **({"parameters": named} if route.operation is Operation.PROBLEM else {}),
            "responses": {"200": ok, **self._answers.page_refusals(codes.get(route.operation, []))},
        }

    def _links(self, entity: Entity, route: Route) -> dict[str, Any]:
        """Where one can go from an answer: to the record, and from a creation to what can be done next."""
        links: dict[str, Any] = {}
        for other in self._routes:
            if other.entity is None or other.operation is Operation.RECEIPT:
                continue  # a receipt is of a claim, which no answer holds
            if other.entity is entity and "{id}" in other.template:
                wanted = other.operation is Operation.READ or (route.operation is Operation.CREATE)
                if wanted and other is not route:
                    links[_operation_id(other)] = {
                        "operationId": _operation_id(other),
                        "parameters": {"id": "$response.body#/id"},
                    }
            if route.operation is Operation.CREATE and other.operation is Operation.CREATE:
                body = _references(other.transition, entity)
                if body:
                    links[_operation_id(other)] = {"operationId": _operation_id(other), "requestBody": body}
        return links


def _operation_id(route: Route) -> str:
    entity = route.entity
    if entity is None:
        return f"server.{route.operation.value}"
    if route.transitions:
        return f"{entity.name}.{route.transition.command}"
    return f"{entity.plural}.{route.operation.value}"


def _input_name(route: Route) -> str:
    entity = "" if route.entity is None else route.entity.name
    return f"{entity}.{route.transition.command}.input"


def _references(transition: Transition, entity: Entity) -> dict[str, str]:
    """The arguments that take the id of such an entity, each with where an answer has it."""
    fitting = [p.name for p in transition.parameters if p.type == Reference(entity.name)]
    return dict.fromkeys(fitting, "$response.body#/id")


def _representation(entity: Entity) -> Schema:
    states = {"type": "string", "enum": list(entity.states)}
    properties: dict[str, Schema] = {
        "id": {"type": "string", "format": "uuid"},
        "version": {"type": "integer", "minimum": 1, "description": "Counts the changes of the record."},
        "state": states,
    }
    for field in entity.fields.values():
        unread = "" if field.read is None else f"Absent unless you are: {render(field.read)}."
        properties[field.name] = described(nullable(schema_of(field.type), field.optional), field.doc, unread)
    required = ["id", "version", "state", *(f.name for f in entity.fields.values() if f.read is None)]
    return {**closed_object(properties, required), **({"description": entity.doc} if entity.doc else {})}


def _input(entity: Entity, transition: Transition) -> Schema:
    properties = {p.name: _argument(entity, transition, p) for p in transition.parameters}
    return closed_object(properties, [p.name for p in transition.parameters if not p.optional])


def _argument(entity: Entity, transition: Transition, parameter: Parameter) -> Schema:
    schema = nullable(argument_schema(parameter.type), parameter.optional)
    field = entity.fields.get(parameter.name)
    doc = field.doc if field is not None and parameter.name in transition.sets else ""
    schema = described(schema, doc)
    default = parameter.default
    if transition.creation and field is not None and isinstance(field.default, Const):
        default = field.default.value if parameter.name in transition.sets else default
    return schema if default is None else {**schema, "default": parameter.type.dump(default)}


def _page_of(item: Schema) -> Schema:
    properties: dict[str, Schema] = {
        "items": {"type": "array", "items": item, "maxItems": PAGE_LIMIT_MAX},
        "next": {"type": "string", "description": "The cursor of the next page; absent on the last one."},
    }
    return closed_object(properties, ["items"])


def _filter(field: Field) -> dict[str, Any]:
    note = f"Only records whose {field.name} equals this."
    if field.read is not None:
        note += f" Only finds records on which you are: {render(field.read)}."
    return query_parameter(field.name, schema_of(field.type), note)


def _state_filter(entity: Entity) -> dict[str, Any]:
    return query_parameter(
        "state", {"type": "string", "enum": list(entity.states)}, "Only records in this state."
    )


def _security(policies: Iterable[Expression]) -> list[dict[str, list[str]]]:
    anonymous = any(possible_for_anonymous(policy) for policy in policies)
    return [*([{}] if anonymous else []), *BEARER]


def _denials(policy: Expression) -> list[str]:
    """How a policy can refuse: a missing credential, and a right that not everybody has."""
    denied = ["unauthenticated"]
    if not certain_for_authenticated(policy):
        denied.append("forbidden")
    return denied


def _tag(entity: Entity) -> dict[str, str]:
    states = [f"{s.name}{' (initial)' * s.initial}{' (final)' * s.final}" for s in entity.states.values()]
    lines = [entity.doc, f"States: {', '.join(states)}.", _readers(entity)]
    lines += [f"Invariant {i.name}: `{render(i.condition)}`. {i.message}" for i in entity.invariants]
    lines += [f"Unique {u.name}: {', '.join(u.fields)}{_among(u.states)}." for u in entity.uniques]
    lines += [
        f"Exclusion {x.name}: {x.start} to {x.end} disjoint for {', '.join(x.fields)}{_among(x.states)}."
        for x in entity.exclusions
    ]
    lines += [
        f"Quota {q.name}: {q.weight or 'the number of records'} per {q.anchor}{_among(q.states)} is at most"
        f" `{render(q.limit)}`."
        for q in entity.quotas
    ]
    return {"name": entity.name, "description": "\n\n".join(line for line in lines if line)}


def _among(states: tuple[str, ...]) -> str:
    return f" in {', '.join(states)}" if states else ""


def _readers(entity: Entity) -> str:
    return f"Who may read it: `{render(entity.read)}`."


def _way(transitions: list[Transition]) -> str:
    sources = list(dict.fromkeys(s for t in transitions for s in t.sources))
    targets = list(dict.fromkeys(t.target for t in transitions))
    return f"{', '.join(sources) or 'new'} to {', '.join(targets)}"


def _command_text(transitions: list[Transition]) -> str:
    lines = list(dict.fromkeys(t.doc for t in transitions if t.doc))
    for t in transitions:
        guard = f" Only when `{render(t.when)}`." if t.when is not None else ""
        lines.append(
            f"From {', '.join(t.sources) or 'nothing'} to {t.target}. Who may: `{render(t.by)}`.{guard}"
        )
    needs = any(t.precondition for t in transitions)
    return "\n\n".join([*lines, *(["If-Match is required."] if needs else [])])


def _marks(transitions: list[Transition], creation: bool) -> dict[str, Any]:
    """The same for programs; a command of several transitions has the guards in their order."""
    policies = tuple(dict.fromkeys(t.by for t in transitions))
    guards = [render(t.when) for t in transitions if t.when is not None]
    sources = list(dict.fromkeys(s for t in transitions for s in t.sources))
    return {
        "x-avow-by": render(policies[0] if len(policies) == 1 else AnyOf(policies)),
        **({"x-avow-when": guards} if guards else {}),
        "x-avow-from": [] if creation else sources,
        "x-avow-to": list(dict.fromkeys(t.target for t in transitions)),
    }


_BEARER: Final = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT or API key",
    "description": "A signed JWT of an issuer that the server trusts, or an API key. Never in the address.",
}
_ENTRY: Final[Schema] = {
    "type": "object",
    "description": "One audit entry: who did what, when, by which command, and what changed.",
}
_PROVENANCE: Final[Schema] = {
    "type": "object",
    "description": "For each value: the entry that set it, and what allowed it.",
}
