"""Mounted into an application of another framework: under its prefix, with or without its lifespan."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from avow.api.app import Application
from avow.api.authentication import Trust
from tests.contract.fix_server import Tenancy, code_of
from tests.contract.fix_venue import ROOM
from tests.contract.systems import venue as venue_system


async def hello(_: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


def in_starlette(prefix: str, application: Application) -> Any:
    return Starlette(routes=[Route("/hello", hello), Mount(prefix, app=application)])


def in_fastapi(prefix: str, application: Application) -> Any:
    outer = FastAPI()
    outer.add_api_route("/hello", hello)
    outer.mount(prefix, application)
    return outer


def in_two(prefix: str, application: Application) -> Any:
    first, _, rest = prefix[1:].partition("/")
    return Starlette(routes=[Mount(f"/{first}", routes=[Mount(f"/{rest}", app=application)])])


@asynccontextmanager
async def mounted(
    venue: Tenancy, mount: Callable[[str, Application], Any], prefix: str
) -> AsyncGenerator[httpx2.AsyncClient]:
    """A client of the outer application. Its lifespan is not run, and so isn't forwarded either."""
    server = venue.server
    trust = Trust(development_secret=bytes.fromhex(server.environment["AVOW_DEVELOPMENT_SECRET"]))
    application = Application(server.database.system, server.database.application_url, b"s" * 32, trust)
    transport = httpx2.ASGITransport(app=mount(prefix, application))
    headers = {"Authorization": f"Bearer {venue.actor('ann', 'clerk').token}"}
    try:
        async with httpx2.AsyncClient(transport=transport, base_url="http://a", headers=headers) as client:
            yield client
    finally:
        await application.close()


@pytest.mark.parametrize("prefix", ["/avow", "/api/v1", "/a b", "/ünder"])
@pytest.mark.parametrize("mount", [in_starlette, in_fastapi, in_two])
async def test_every_address_in_an_answer_carries_the_prefix(
    venue: Tenancy, mount: Callable[[str, Application], Any], prefix: str
) -> None:
    """Location, the type of a problem, and the servers of the OpenAPI document."""
    if mount is in_two and prefix.count("/") < 2:
        prefix += "/inner"
    written = str(httpx2.URL(f"http://a{prefix}").raw_path, "ascii")
    async with mounted(venue, mount, prefix) as client:
        made = await client.post(f"{prefix}/rooms", json=ROOM, headers={"Idempotency-Key": "k"})
        assert made.status_code == 201, made.text
        assert made.headers["location"] == f"{written}/rooms/{made.json()['id']}"
        assert (await client.get(made.headers["location"])).json() == made.json()
        missing = await client.get(f"{prefix}/nowhere")
        assert code_of(missing) == "not-found"
        assert missing.json()["type"] == f"{written}/problems/not-found"
        assert (await client.get(missing.json()["type"])).status_code == 200
        document = (await client.get(f"{prefix}/openapi.json")).json()
        assert document["servers"] == [{"url": written}]
        again = await client.post(f"{prefix}/rooms", json=ROOM, headers={"Idempotency-Key": "k"})
        assert (again.content, again.headers["location"]) == (made.content, made.headers["location"])


async def test_a_kept_refusal_has_the_prefix_of_the_mount(venue: Tenancy) -> None:
    async with mounted(venue, in_starlette, "/avow") as client:
        for key in "ab":
            answer = await client.post("/avow/rooms", json=ROOM, headers={"Idempotency-Key": key})
        assert answer.json()["type"] == "/avow/problems/unique-violated"
        assert (await client.get(answer.json()["type"])).status_code == 200


async def test_the_outer_application_keeps_its_own_addresses(venue: Tenancy) -> None:
    async with mounted(venue, in_starlette, "/avow") as client:
        assert (await client.get("/hello")).text == "hello"
        assert (await client.get("/rooms")).status_code == 404
        assert (await client.get("/avowrooms")).status_code == 404


async def test_a_lifespan_that_is_forwarded_opens_and_closes(venue: Tenancy) -> None:
    server = venue.server
    application = Application(server.database.system, server.database.application_url, b"s" * 32, Trust())
    said = list[str]()
    asked = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive() -> dict[str, Any]:
        return {"type": next(asked)}

    async def send(message: dict[str, Any]) -> None:
        said.append(message["type"])

    await application({"type": "lifespan"}, receive, send)
    assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_a_lifespan_without_a_database_says_what_to_do() -> None:
    application = Application(venue_system.app, "postgresql://x:x@127.0.0.1:1/x", b"s" * 32, Trust())
    said = list[dict[str, Any]]()

    async def receive() -> dict[str, Any]:
        return {"type": "lifespan.startup"}

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    await application({"type": "lifespan"}, receive, send)
    assert said[0]["type"] == "lifespan.startup.failed"
    assert "AVOW_DATABASE_URL" in said[0]["message"]
