"""The table of routes: what is in it, and that paths are compared strictly."""

from __future__ import annotations

from uuid import UUID

import pytest

from avow import Entity, State, authenticated, create, everybody, internal, read, role, system, transition
from avow.api.routes import Operation, Routes, is_public, record_path

ID = "01890a5d-ac96-774b-bcce-b302099a8057"
clerk = role("clerk")


class Problem(Entity):
    """Its plural is also the name of the server's own pages."""

    visible = read(by=authenticated)
    open, done = State(initial=True), State(final=True)

    file = create(open, by=everybody)
    file_late = create(open, by=clerk)
    history = transition(open, to=open, by=clerk)
    ripen = transition(open, to=open, by=internal)
    rot = transition(open, to=open, by=internal & clerk)
    close = transition(open, to=done, by=internal | clerk)


app = system("tracker", Problem)
routes = Routes(app)


def test_every_public_command_and_nothing_internal_has_a_route() -> None:
    assert [(route.method, route.template) for route in routes] == [
        ("GET", "/problems"),
        ("POST", "/problems"),
        ("POST", "/problems/file_late"),
        ("GET", "/problems/{id}"),
        ("GET", "/problems/{id}/history"),
        ("POST", "/problems/{id}/history"),
        ("GET", "/problems/{id}/why"),
        ("GET", "/problems/{id}/receipt"),
        ("POST", "/problems/{id}/close"),
        ("GET", "/openapi.json"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/problems/{code}"),
    ]


def test_a_transition_is_public_unless_only_another_transition_can_cause_it() -> None:
    public = {t.name for t in app.entities["Problem"].transitions.values() if is_public(t)}
    assert public == {"file", "file_late", "history", "close"}


def test_not_internal_is_public() -> None:
    class Thing(Entity):
        visible = read(by=authenticated)
        open = State(initial=True, final=True)
        start = create(open, by=~internal & clerk)

    thing = system("things", Thing).entities["Thing"]
    assert is_public(thing.transitions["start"])


def test_a_get_and_a_command_of_the_same_word_share_a_path() -> None:
    match = routes.match(f"/problems/{ID}/history".encode())
    assert match is not None
    assert match.resource.allow == "GET, HEAD, OPTIONS, POST"
    assert [(match.resource.routes[m].operation, match.route(m)) for m in ("GET", "POST")] == [
        (Operation.HISTORY, match.resource.routes["GET"]),
        (Operation.COMMAND, match.resource.routes["POST"]),
    ]
    assert match.route("HEAD") is match.route("GET")
    assert match.route("DELETE") is None


def test_each_template_matches_itself() -> None:
    """Whatever the table holds can be reached: a template with its parts filled in finds its own route."""
    for route in routes:
        path = route.template.replace("{id}", ID).replace("{code}", "forbidden")
        match = routes.match(path)
        assert match is not None
        assert match.route(route.method) is route
        assert match.id == (UUID(ID) if "{id}" in route.template else None)


def test_problem_pages_and_records_of_that_name_do_not_clash() -> None:
    page, record = routes.match(b"/problems/not-found"), routes.match(f"/problems/{ID}")
    assert page is not None
    assert (page.name, page.id, page.resource.allow) == ("not-found", None, "GET, HEAD, OPTIONS")
    assert record is not None
    assert (record.name, record.id) == (None, UUID(ID))


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "//",
        "problems",
        "/problems/",
        "//problems",
        "/./problems",
        "/Problems",
        "/problems/x",
        f"/problems/{ID}/",
        f"/problems/{ID.upper()}",
        f"/problems/{ID.replace('-', '')}",
        f"/problems/{{{ID}}}",
        f"/problems/urn:uuid:{ID}",
        f"/problems/{ID}\n",
        f"/problems/{ID}/ripen",
        f"/problems/{ID}/file_late",
        f"/problems/{ID}/close/x",
        f"/problems/{ID}/close?",
        f"/problems/{ID}/..",
        "/problems/unknown-code",
        f"/nothing/{ID}",
        "/problems%2Ffile_late",
        f"/problems/{ID}%2Fclose",
        "/problems%",
        "/problems%zz",
        "/problem%FF",
        "/openapi.json/",
        "/healthz%00",
        "/\u0661",
        "/problems/\u0660" + ID[1:],
        "/problems;x=1",
    ],
)
def test_anything_but_the_exact_path_is_nowhere(path: str) -> None:
    assert routes.match(path) is None
    assert routes.match(path.encode("utf-8")) is None


@pytest.mark.parametrize(
    ("path", "template"),
    [
        (b"/problem%73", "/problems"),
        (b"/%70roblems/file%5Flate", "/problems/file_late"),
        (f"/problems/%30{ID[1:]}/clos%65".encode(), "/problems/{id}/close"),
        (b"/openapi%2Ejson", "/openapi.json"),
    ],
)
def test_percent_encoding_is_undone_once_inside_a_segment(path: bytes, template: str) -> None:
    match = routes.match(path)
    assert match is not None
    assert match.resource.template == template


def test_double_encoding_is_nowhere() -> None:
    assert routes.match(b"/problem%2573") is None


def test_a_record_is_found_where_location_says() -> None:
    entity = app.entities["Problem"]
    match = routes.match(record_path(entity, UUID(ID)))
    assert match is not None
    assert match.resource.template == "/problems/{id}"
