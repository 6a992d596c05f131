"""The OpenAPI document: valid, exact, complete, and the same bytes for the same model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from avow import (
    Call,
    Entity,
    State,
    Subject,
    actor,
    authenticated,
    create,
    effect,
    everybody,
    field,
    internal,
    invariant,
    performed,
    read,
    ref,
    role,
    system,
    task,
    transition,
)
from avow.api.openapi import document, document_bytes
from avow.api.routes import Routes
from avow.errors import PROBLEMS
from examples.enrollment.system import app as enrollment
from tests.golden import assert_golden

HERE = Path(__file__).parent
clerk = role("clerk")


class Depot(Entity):
    """Where parcels lie."""

    name: str = field(max_length=40, pattern="[A-Z]+")
    visible = read(by=everybody)
    open = State(initial=True, final=True)
    build = create(open, by=everybody, sets=[name])


class Parcel(Entity):
    """Something to carry."""

    owner: Subject = field(default=actor)
    depot: Depot | None = ref()
    weight: Decimal = field(default=Decimal("1.5"), digits=6, scale=2, ge=Decimal(0))
    note: str = field(default="", read=actor == owner)
    light = invariant(weight <= Decimal(30), "A parcel weighs at most 30.")
    visible = read(by=actor == owner)

    here, sent = State(initial=True), State(final=True)
    bring = create(here, by=authenticated, sets=[weight, depot])
    find = create(here, by=clerk)
    weigh = transition(here, to=here, by=clerk, sets=[weight], precondition=True)
    light_mail = transition(here, to=sent, by=clerk, when=weight <= Decimal(1), command="send")
    heavy_mail = transition(
        here, to=sent, by=clerk & ~performed(weigh), when=weight > Decimal(1), command="send"
    )
    shelve = transition(here, to=here, by=internal)


app = system("parcels", Depot, Parcel)


@effect(task=task(clerk))
async def carry(load: Load, call: Call) -> None: ...


class Load(Entity):
    """Something that is carried by somebody else, with nobody who operates."""

    visible = read(by=clerk)
    here, going = State(initial=True), State(invoke=carry)
    there, lost = State(final=True), State(final=True)
    bring = create(here, by=clerk)
    go = transition(here, to=going, by=clerk, precondition=True)
    arrive = transition(going, to=there, on=carry.done)
    lose = transition(going, to=lost, on=carry.failed)


owed = system("loads", Load)
DOCUMENTS = {"parcels": document(app), "enrollment": document(enrollment), "mounted": document(app, "/v1")}
DOCUMENTS |= {"owed": document(owed), "paused": document(system("loads", Load, pausers=clerk))}


def operations(doc: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in doc["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def follow(doc: dict[str, Any], held: dict[str, Any]) -> dict[str, Any]:
    """What a reference refers to."""
    while "$ref" in held:
        found: Any = doc
        for part in held["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        held = found
    return held


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for name, member in node.items():
            if name == "$ref":
                yield member
            yield from references(member)
    elif isinstance(node, list):
        for member in node:
            yield from references(member)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_document_is_valid_openapi(name: str) -> None:
    OPENAPI_31_VALIDATOR.validate(DOCUMENTS[name])


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_reference_and_link_leads_somewhere_and_nothing_is_unused(name: str) -> None:
    doc = DOCUMENTS[name]
    used = set(references(doc))
    for reference in used:
        assert follow(doc, {"$ref": reference})
    known = {operation["operationId"] for _, _, operation in operations(doc)}
    for _, _, operation in operations(doc):
        for response in operation["responses"].values():
            links = follow(doc, response).get("links", {})
            assert {link["operationId"] for link in links.values()} <= known
    parts = doc["components"]
    defined = {
        f"#/components/{kind}/{part}" for kind in parts if kind != "securitySchemes" for part in parts[kind]
    }
    assert defined == used


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_schema_is_valid_json_schema(name: str) -> None:
    for schema in DOCUMENTS[name]["components"]["schemas"].values():
        bundled = {**schema, "components": DOCUMENTS[name]["components"]}
        jsonschema_rs.Draft202012Validator(bundled)


def test_the_document_holds_exactly_the_routes() -> None:
    described = {(method, path) for method, path, _ in operations(DOCUMENTS["parcels"])}
    assert described == {(route.method, route.template) for route in Routes(app)}


def test_whom_a_call_asks_sees_to_one_work_and_lists_none_where_nobody_operates() -> None:
    paths = DOCUMENTS["owed"]["paths"]
    verbs = ("retry", "skip", "compensate", "settle")
    known = ["/effects/{work}", *(f"/effects/{{work}}/{verb}" for verb in verbs)]
    assert [path for path in paths if path.startswith("/effects")] == known
    assert "/tasks" in paths
    assert owed.roles == ("clerk",)


def test_what_only_other_transitions_can_cause_is_nowhere() -> None:
    assert "shelve" not in json.dumps(DOCUMENTS["parcels"])


def test_operation_ids_are_unique() -> None:
    for doc in DOCUMENTS.values():
        ids = [operation["operationId"] for _, _, operation in operations(doc)]
        assert len(ids) == len(set(ids))


def test_the_same_model_gives_the_same_bytes() -> None:
    assert document_bytes(app) == document_bytes(app)
    assert json.loads(document_bytes(app)) == DOCUMENTS["parcels"]


def test_every_command_needs_a_key_and_tells_how_long_it_is_kept() -> None:
    doc = DOCUMENTS["parcels"]
    for method, _, operation in operations(doc):
        named = [follow(doc, parameter) for parameter in operation.get("parameters", ())]
        keys = [parameter for parameter in named if parameter["name"] == "Idempotency-Key"]
        assert len(keys) == (method == "POST")
        assert all(key["required"] and "7 days" in key["description"] for key in keys)


@pytest.mark.parametrize(
    ("key", "fits"),
    [
        ("a", True), ('"a b"', False), ('"a\\"b"', True), ("x" * 255, True), ("x" * 256, False), ("", False),
        ('""', False), ("a,b", False), ('"a', False), ("0f8fad5b-d9cb-469f-a165-70867728950e", True),
    ],
)  # fmt: skip
def test_the_pattern_of_a_key_is_that_of_the_parser(key: str, fits: bool) -> None:
    schema = DOCUMENTS["parcels"]["components"]["parameters"]["IdempotencyKey"]["schema"]
    assert jsonschema_rs.Draft202012Validator(schema).is_valid(key) is fits


def test_each_refusal_names_the_problem_types_that_can_occur() -> None:
    doc = DOCUMENTS["mounted"]
    weigh = doc["paths"]["/parcels/{id}/weigh"]["post"]["responses"]
    statuses = "200 400 401 403 404 406 409 412 413 414 415 422 428 431 500 503 504"
    assert list(weigh) == statuses.split()
    conflict = follow(doc, weigh["409"])["content"]["application/problem+json"]["schema"]["allOf"][1]
    codes = [uri.removeprefix("/v1/problems/") for uri in conflict["properties"]["type"]["enum"]]
    assert codes == ["state-conflict", "invariant-violated"]
    assert all(PROBLEMS[code].status == 409 for code in codes)
    assert "428" not in doc["paths"]["/parcels/{id}/send"]["post"]["responses"]
    assert "403" not in doc["paths"]["/depots"]["post"]["responses"]


def test_only_what_nobody_in_particular_may_do_goes_without_a_credential() -> None:
    paths = DOCUMENTS["parcels"]["paths"]
    assert paths["/depots"]["get"]["security"] == [{}, {"bearer": []}]
    assert paths["/depots"]["post"]["security"] == [{}, {"bearer": []}]
    assert paths["/parcels"]["get"]["security"] == [{"bearer": []}]
    assert paths["/parcels/{id}/send"]["post"]["security"] == [{"bearer": []}]


def test_inputs_are_closed_and_fields_with_a_policy_of_their_own_are_not_promised() -> None:
    schemas = DOCUMENTS["parcels"]["components"]["schemas"]
    bring = schemas["Parcel.bring.input"]
    assert bring["additionalProperties"] is False
    assert "required" not in bring
    assert bring["properties"]["weight"]["default"] == "1.50"
    assert schemas["Depot.build.input"]["required"] == ["name"]
    assert schemas["Parcel"]["required"] == ["id", "version", "state", "owner", "depot", "weight"]
    assert "note" in schemas["Parcel"]["properties"]


def test_a_creation_links_to_the_record_its_commands_and_what_may_refer_to_it() -> None:
    links = DOCUMENTS["parcels"]["paths"]["/depots"]["post"]["responses"]["201"]["links"]
    assert set(links) == {"depots.read", "depots.history", "depots.why", "Parcel.bring"}
    assert links["Parcel.bring"]["requestBody"] == {"depot": "$response.body#/id"}
    links = DOCUMENTS["parcels"]["paths"]["/parcels"]["post"]["responses"]["201"]["links"]
    assert {"Parcel.weigh", "Parcel.send"} <= set(links)


def test_who_may_and_when_is_said_for_every_command() -> None:
    send = DOCUMENTS["parcels"]["paths"]["/parcels/{id}/send"]["post"]
    assert send["x-avow-by"] == "clerk | clerk & ~performed(weigh)"
    assert send["x-avow-when"] == ["weight <= 1", "weight > 1"]
    assert (send["x-avow-from"], send["x-avow-to"]) == (["here"], ["sent"])
    assert "Only when `weight > 1`" in send["description"]
    tag = DOCUMENTS["parcels"]["tags"][1]
    assert "Invariant light: `weight <= 30`. A parcel weighs at most 30." in tag["description"]


def test_the_document_of_the_enrollment_example_is_as_reviewed() -> None:
    text = json.dumps(DOCUMENTS["enrollment"], indent=1, ensure_ascii=False) + "\n"
    assert_golden(HERE / "golden" / "enrollment.openapi.json", text)
