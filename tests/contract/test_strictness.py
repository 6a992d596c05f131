"""Input is read strictly: nothing is coerced, dropped or guessed, and nothing hostile becomes a 500."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from tests.contract.fix_server import Caller, Tenancy, code_of
from tests.contract.fix_venue import ROOM
from tests.contract.test_ingress_json import READ, REFUSED


def body(**members: Any) -> bytes:
    """A room with these members, spelled as they are given."""
    pairs = {"name": '"A"', "places": "3", **members}
    return ("{" + ", ".join(f'"{name}": {text}' for name, text in pairs.items()) + "}").encode()


def flaws(answer: Any) -> list[tuple[str, str]]:
    return [(e.get("pointer") or e["parameter"], e["code"]) for e in answer.json()["errors"]]


def test_what_is_not_declared_is_refused(clerk: Caller) -> None:
    """V01: an unknown member, also of an object inside, and an unknown query parameter: 422."""
    answer = clerk.post("/rooms", {**ROOM, "colour": 1, "address": {"street": "a", "town": "b", "lift": 1}})
    assert (answer.status_code, flaws(answer)) == (
        422,
        [("#/colour", "unknown"), ("#/address/lift", "unknown")],
    )
    for path in (
        "/rooms?colour=1",
        "/rooms?tags=a",
        "/rooms?limit=1&limit=2",
        "/openapi.json?x=1",
        "/rooms?_=1",
    ):
        refused = clerk.get(path)
        assert (refused.status_code, code_of(refused)) == (422, "input-invalid"), path
    assert clerk.post("/rooms?force=true", ROOM).status_code == 422


def test_a_member_that_stands_twice_is_refused(clerk: Caller) -> None:
    """V02: duplicates are 400 at any depth, also spelled differently."""
    for raw in (
        b'{"name": "A", "name": "B", "places": 3}',
        b'{"name": "A", "n\\u0061me": "B", "places": 3}',
        body(address='{"street": "a", "street": "b", "town": "c"}'),
    ):
        answer = clerk.post("/rooms", raw)
        assert (answer.status_code, code_of(answer)) == (400, "json-invalid")


@pytest.mark.parametrize(
    "raw",
    [
        body(places="NaN"),
        body(places="Infinity"),
        body(places="-Infinity"),
        body(name='"\\ud800"'),
        body(name='"\\udc00\\ud800"'),
        b'{"\\ud800": 1}',
        b'{"name": "\xff"}',
        b'\xef\xbb\xbf{"name": "A"}',
        '{"name": "A"}'.encode("utf-16"),
        '{"name": "A"}'.encode("utf-32"),
        b"",
        b" ",
        b"{",
        b"{}{}",
        b"{'name': 1}",
        b'{"name": "\x01"}',
        b'{"name": "A",}',
        b"// no\n{}",
        b'{"name": 01}',
        b'{"name": .5}',
        b'{"name": 1.}',
        b'{"name": +1}',
        b"\x00",
        b'{"name": "\xed\xa0\x80"}',
        b'{"name": "\xc0\xaf"}',
    ],
)
def test_what_is_not_strict_json_is_refused(clerk: Caller, raw: bytes) -> None:
    """V03: NaN, lone surrogates, wrong encodings, byte order marks and broken syntax: 400, never 500."""
    headers = {"Content-Type": "application/json", "Idempotency-Key": "k", "Transfer-Encoding": "chunked"}
    answer = clerk.send("POST", "/rooms", content=raw, headers=headers)
    assert (answer.status_code, code_of(answer)) == (400, "json-invalid")


def test_text_holds_no_nul(clerk: Caller) -> None:
    """V04: U+0000 is refused with 422 in text, lists, objects, names and queries; others are kept."""
    for members in (
        {"name": '"a\\u0000"'},
        {"tags": '["a\\u0000"]'},
        {"address": '{"street": "\\u0000", "town": "b"}'},
    ):
        answer = clerk.post("/rooms", body(**members))
        assert (answer.status_code, code_of(answer)) == (422, "input-invalid")
        assert flaws(answer)[0][1] == "character-refused"
    assert clerk.post("/rooms", b'{"a\\u0000": 1}').status_code == 422
    assert clerk.get("/rooms?name=a%00").status_code == 422
    text = "𝄞 é é \u202e \x7f \ufffe ' \" \\ $1 %s <b>"
    assert clerk.create("/rooms", {**ROOM, "name": text}).body["name"] == text


@pytest.mark.parametrize(
    ("name", "spelled"),
    [
        ("places", '"1"'),
        ("places", "1.0"),
        ("places", "true"),
        ("places", "1e2"),
        ("places", "[1]"),
        ("heated", "1"),
        ("heated", '"true"'),
        ("heated", "0"),
        ("name", "1"),
        ("name", "true"),
        ("name", "[]"),
        ("area", "1.5"),
        ("area", "1"),
        ("area", '"1,5"'),
        ("area", '" 1"'),
        ("area", '"1e2"'),
        ("area", '"NaN"'),
        ("area", '"Infinity"'),
        ("area", '"+1"'),
        ("area", '"01"'),
        ("area", '".5"'),
        ("area", '"1_0"'),
        ("area", '"١"'),
        ("kind", '"HALL"'),
        ("kind", "0"),
        ("tags", '"a"'),
        ("tags", '{"0": "a"}'),
        ("address", '"a"'),
        ("address", "[]"),
        ("opened", '"2026-11-21T00:00:00Z"'),
        ("opened", '"2026-13-01"'),
        ("opened", '"20261121"'),
        ("opened", "20261121"),
        ("inspected_at", '"2026-11-21T10:00:00"'),
        ("inspected_at", '"2026-11-21"'),
        ("inspected_at", "1700000000"),
        ("inspected_at", '"2026-11-21T25:00:00Z"'),
        ("setup", '"1 day"'),
        ("setup", "60"),
        ("setup", '"P1M"'),
        ("setup", '"P"'),
        ("partner", '"{0A0B0C0D-0000-7000-8000-000000000000}"'),
        ("partner", '"0A0B0C0D-0000-7000-8000-000000000000"'),
        ("partner", "1"),
        ("keeper", "1"),
        ("keeper", '""'),
    ],
)
def test_nothing_is_coerced(clerk: Caller, name: str, spelled: str) -> None:
    """V05: a value of another type or spelling is 422 with its pointer."""
    answer = clerk.post("/rooms", body(**{name: spelled}))
    assert (answer.status_code, code_of(answer)) == (422, "input-invalid")
    assert [pointer for pointer, _ in flaws(answer)] == [f"#/{name}"]


@pytest.mark.parametrize(
    "number", ["9007199254740992", "-9007199254740992", "9" * 30, "1" * 400, "9" * 5_000, "-0.0", "1e400"]
)
def test_a_number_of_any_size_is_answered(clerk: Caller, number: str) -> None:
    """V06: beyond 53 bits 422, too many digits 400; never 500."""
    answer = clerk.post("/rooms", body(places=number))
    assert answer.status_code in (400, 422)
    assert code_of(answer) in ("json-invalid", "input-invalid")


@pytest.mark.parametrize(
    "spelled",
    [
        "1_0",
        "+1",
        "٣",
        "0x1",
        "1",
        "-1",
        "%20",
        "{id}",
        "..",
        "00000000-0000-7000-8000-00000000000G",
        "0" * 36,
        "null",
        "00000000000070008000000000000000",
        "urn:uuid:00000000-0000-7000-8000-000000000000",
    ],
)
def test_an_id_has_one_spelling(clerk: Caller, spelled: str) -> None:
    """V06: any other spelling of an id in a path is 404."""
    answer = clerk.get(f"/rooms/{spelled}/history")
    assert (answer.status_code, code_of(answer)) == (404, "not-found")


@pytest.mark.parametrize(
    "query",
    [
        "limit=1_0",
        "limit=%2B1",
        "limit=٣",
        "limit=-1",
        "limit=1.0",
        "places=1_0",
        "places=%2B3",
        "places=3.0",
        "heated=1",
        "heated=True",
        "area=NaN",
        "area=1e2",
    ],
)
def test_a_number_in_a_query_has_one_spelling(clerk: Caller, query: str) -> None:
    """V06: and so have numbers and truth values in queries: 422."""
    answer = clerk.get(f"/rooms?{query}")
    assert (answer.status_code, code_of(answer)) == (422, "input-invalid")
    assert answer.json()["errors"][0]["parameter"] == query.partition("=")[0]


def test_money_and_decimals_are_exact(venue: Tenancy, clerk: Caller) -> None:
    """V07: amount as a decimal string with its currency; the scale is checked, no digit is lost."""
    room = clerk.create(
        "/rooms", {**ROOM, "price": {"amount": "9999999999999999.99", "currency": "EUR"}, "area": "0.10"}
    )
    assert room.body["price"] == {"amount": "9999999999999999.99", "currency": "EUR"}
    assert room.body["area"] == "0.10"
    assert clerk.get(room.path).json()["price"] == room.body["price"]
    row = venue.fetch("SELECT price, area FROM venue.rooms WHERE tenant = $1")[0]
    assert (row[0], row[1]) == (Decimal("9999999999999999.99"), Decimal("0.10"))
    for amount, at in (
        ("0.001", "amount"),
        (1, "amount"),
        (1.5, "amount"),
        ("1e2", "amount"),
        ("-0.01", "amount"),
    ):
        answer = clerk.post(
            "/rooms", {"name": "B", "places": 1, "price": {"amount": amount, "currency": "EUR"}}
        )
        assert (answer.status_code, flaws(answer)[0][0]) == (422, f"#/price/{at}")
    for price in (
        {"amount": "1"},
        {"amount": "1", "currency": "EUR", "x": 1},
        "1 EUR",
        {"amount": "1", "currency": "eur"},
    ):
        assert clerk.post("/rooms", {"name": "B", "places": 1, "price": price}).status_code == 422


def test_depth_is_bounded(clerk: Caller) -> None:
    """V08: 100,000 nested arrays or objects, also unclosed: 400."""
    deep = 100_000
    for raw in (
        b"[" * deep,
        b"[" * deep + b"]" * deep,
        b'{"a":' * deep + b"1" + b"}" * deep,
        body(tags="[" * 40 + "]" * 40),
    ):
        answer = clerk.post("/rooms", raw)
        assert (answer.status_code, code_of(answer)) == (400, "json-invalid")


def test_absent_and_null_mean_the_same(clerk: Caller) -> None:
    """V09: for a creation the default, for a change no value; a body of null is no object."""
    room = clerk.create("/rooms", {**ROOM, "opened": None, "heated": None, "kind": None})
    assert (room.body["opened"], room.body["heated"], room.body["kind"]) == (None, False, "hall")
    clerk.do(f"{room.path}/describe", {"opened": "2026-11-21", "heated": True})
    absent = clerk.do(f"{room.path}/describe", {}).json()
    null = clerk.do(f"{room.path}/describe", {"opened": None, "heated": None}).json()
    assert (absent["opened"], absent["heated"]) == (null["opened"], null["heated"]) == (None, True)
    for raw in (b"null", b"[]", b'"x"', b"0", b"false"):
        assert clerk.post(f"{room.path}/describe", raw).status_code == 422
    assert clerk.post("/rooms", {**ROOM, "name": None}).json()["errors"][0]["code"] == "missing"


def test_every_type_comes_back_as_it_was_sent(venue: Tenancy) -> None:
    """V07: the representation, a later read and the list agree with what was sent, spelled normally."""
    manager = venue.actor("max", "manager")
    sent = {
        "name": "Große Halle", "kind": "studio", "places": 10_000, "area": "123456.78",
        "price": {"amount": "0.00", "currency": "EUR"}, "tags": ["a", "", "🙂"],
        "address": {"street": "Weg 1", "town": "Ort", "floor": -2}, "opened": "0001-01-01",
        "inspected_at": "2026-11-21T10:00:00.123456+02:00", "setup": "PT1H30M", "heated": True,
        "partner": "0a0b0c0d-0000-7000-8000-000000000000", "key_code": "k", "keeper": "kim",
    }  # fmt: skip
    room = manager.create("/rooms", sent)
    normal = {**sent, "inspected_at": "2026-11-21T08:00:00.123456Z", "setup": "PT5400S"}
    assert {name: room.body[name] for name in sent} == normal
    assert manager.get(room.path).json() == room.body
    assert manager.get("/rooms").json()["items"] == [room.body]
    assert json.loads(manager.get(room.path).content) == room.body
    for spelled, normal_one in (
        ("-P173D", "-PT14947200S"),
        ("-PT0.5S", "-PT0.500000S"),
        ("P3650000D", "PT315360000000S"),
    ):
        body = {**ROOM, "name": spelled, "setup": spelled}
        assert manager.create("/rooms", body).body["setup"] == normal_one


def test_the_json_parsing_suite_is_classed_right(clerk: Caller) -> None:
    """V10: what JSON allows is read (and then doesn't fit: 422), what it forbids is 400; never 500."""
    cases = [(name, raw, 422) for name, (raw, _) in READ.items()] + [
        (name, raw, 400) for name, raw in REFUSED.items()
    ]
    for name, raw, status in cases:
        headers = {"Content-Type": "application/json", "Idempotency-Key": "k", "Transfer-Encoding": "chunked"}
        answer = clerk.send("POST", "/rooms", content=raw, headers=headers)
        assert (answer.status_code, code_of(answer)) == (
            status,
            "json-invalid" if status == 400 else "input-invalid",
        ), name
