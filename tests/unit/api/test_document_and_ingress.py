"""What the document allows, the ingress accepts: requests made from the one are read by the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from schemathesis import GenerationMode

from avow import Entity, Money, State, Subject, create, everybody, field, read, ref, system, transition
from avow.api import ingress
from avow.api.openapi import document
from avow.api.routes import Operation, Route, Routes
from avow.errors import ProblemError


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


@dataclass(frozen=True)
class Address:
    street: str
    floor: int | None


class Shelf(Entity):
    visible = read(by=everybody)
    open = State(initial=True, final=True)
    place = create(open, by=everybody)


class Parcel(Entity):
    code: str = field(pattern="[A-Z]{2}-[0-9]{1,4}", max_length=12)
    sender: Subject = field()
    pieces: int = field(ge=1, le=9)
    fragile: bool = field()
    size: Size = field()
    weight: Decimal = field(digits=6, scale=2, ge=Decimal(0))
    price: Money = field(currency="EUR", ge=Decimal(0))
    due: date | None = field()
    seen: datetime = field()
    lead: timedelta | None = field()
    batch: UUID = field()
    tags: list[str] = field()
    address: Address = field()
    shelf: Shelf = ref()
    visible = read(by=everybody)

    open, sent = State(initial=True), State(final=True)
    post = create(
        open, by=everybody,
        sets=[code, sender, pieces, fragile, size, weight, price, due, seen, lead, batch, tags, address,
              shelf],
    )  # fmt: skip

    @transition(open, to=sent, by=everybody)
    def send(self, by_air: bool = False, why: str | None = None) -> None: ...


app = system("parcels", Shelf, Parcel)
schema = schemathesis.openapi.from_dict(document(app))
routes = [route for route in Routes(app) if route.entity is not None]
PHASES = (Phase.explicit, Phase.generate)
WITH_INPUT = [route for route in routes if route.transitions and route.transition.parameters]


def read_request(route: Route, query: bytes, body: Any) -> None:
    """Read a request as the server does."""
    assert route.entity is not None
    readers: dict[Operation, Callable[[], Any]] = {
        Operation.LIST: lambda: ingress.read_list_query(route.entity, query),  # type: ignore[arg-type]
        Operation.READ: lambda: ingress.read_record_query(query),
        Operation.HISTORY: lambda: ingress.read_history_query(query),
        Operation.RECEIPT: lambda: ingress.read_receipt_query(query),
        Operation.WHY: lambda: ingress.read_why_query(route.entity, query),  # type: ignore[arg-type]
    }
    if route.transitions:
        ingress.read_command_query(query)
        ingress.InputReader(route.transition).read({} if is_absent(body) else body)
    else:
        readers[route.operation]()


def is_absent(body: Any) -> bool:
    return isinstance(body, schemathesis.core.NotSet)


def holds_float(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(map(holds_float, value.values() if isinstance(value, dict) else value))
    return isinstance(value, float)


@pytest.mark.parametrize("route", routes, ids=lambda route: f"{route.method} {route.template}")
def test_every_request_that_the_document_allows_is_accepted(route: Route) -> None:
    operation = schema[route.template][route.method]

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES)
    @given(operation.as_strategy(generation_mode=GenerationMode.POSITIVE))
    def accepted(case: Any) -> None:
        # 1.0 is an integer to JSON Schema; the server wants integers written as such, and the text says so.
        assume(not holds_float(case.body))
        try:
            read_request(route, urlencode(case.query or {}, doseq=True).encode(), case.body)
        except ProblemError as error:
            pytest.fail(f"{error.problem.extra['errors']} {case.query} {case.body}")

    accepted()


@pytest.mark.parametrize("route", WITH_INPUT, ids=lambda route: route.template)
def test_every_body_that_the_document_forbids_is_refused(route: Route) -> None:
    operation = schema[route.template][route.method]
    forbidden = 0

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES)
    @given(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
    def refused(case: Any) -> None:
        nonlocal forbidden
        body = case.meta.components.get(schemathesis.core.parameters.ParameterLocation.BODY)
        if body is None or body.mode is not GenerationMode.NEGATIVE or is_absent(case.body):
            return
        forbidden += 1
        try:
            read_request(route, b"", case.body)
        except ProblemError:
            return
        pytest.fail(f"accepted {case.body!r}")

    refused()
    assert forbidden
