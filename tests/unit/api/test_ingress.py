"""Bodies and query strings: typed values out, or every flaw by name and no value repeated."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from functools import partial
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, strategies

from avow import Entity, Money, State, Subject, create, everybody, field, read, ref, system, transition
from avow.api import ingress
from avow.errors import ProblemError

ID = "01890a5d-ac96-774b-bcce-b302099a8057"


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


class Shelf(Entity):
    visible = read(by=everybody)
    open = State(initial=True, final=True)
    place = create(open, by=everybody)


class Parcel(Entity):
    note: str = field(default="", max_length=501)
    label: str = field(default="", max_length=500)
    sender: Subject = field()
    pieces: int = field(default=1, ge=1, le=9)
    fragile: bool = field(default=False)
    size: Size = field(default=Size.SMALL)
    weight: Decimal = field(default=Decimal("1"), digits=6, scale=2)
    price: Money = field(default=Money(Decimal("0"), "EUR"), currency="EUR")
    due: date | None = field()
    seen: datetime | None = field()
    tags: list[str] = field(default=())
    shelf: Shelf | None = ref()
    limit: int = field(default=0)
    token: str = field(default="", max_length=20)
    visible = read(by=everybody)

    open, sent = State(initial=True), State(final=True)
    post = create(open, by=everybody, sets=[sender, pieces, tags, due])

    @transition(open, to=sent, by=everybody)
    def send(self, by_air: bool = False, why: str | None = None) -> None: ...


app = system("parcels", Parcel, Shelf)
parcel = app.entities["Parcel"]
post, send = parcel.transitions["post"], parcel.transitions["send"]


def refused(call: Callable[[], Any]) -> tuple[str, list[dict[str, str]]]:
    """The code of the refusal and its errors."""
    with pytest.raises(ProblemError) as caught:
        call()
    return caught.value.problem.code, list(caught.value.problem.extra.get("errors", []))


def test_a_body_becomes_typed_values() -> None:
    body = {"sender": "ann", "pieces": 2, "tags": ["x"], "due": "2026-11-21"}
    values = ingress.InputReader(post).read(body)
    assert values == {"sender": Subject("ann"), "pieces": 2, "tags": ("x",), "due": date(2026, 11, 21)}


def test_absent_and_null_both_mean_the_default_of_the_argument() -> None:
    assert ingress.InputReader(send).read({}) == {"by_air": False}
    assert ingress.InputReader(send).read({"by_air": None, "why": None}) == {"by_air": False}


def test_every_flaw_is_reported_at_its_place() -> None:
    body = {"pieces": "2", "tags": ["a", 1, "\0"], "due": "tomorrow", "state": "sent"}
    code, errors = refused(lambda: ingress.InputReader(post).read(body))
    assert code == "input-invalid"
    assert [(error["pointer"], error["code"]) for error in errors] == [
        ("#/state", "unknown"),
        ("#/sender", "missing"),
        ("#/pieces", "not-an-integer"),
        ("#/tags/1", "not-a-string"),
        ("#/tags/2", "character-refused"),
        ("#/due", "not-a-date"),
    ]


@pytest.mark.parametrize("body", [None, [], "x", 1, True, Decimal("1.5"), [{}]])
def test_a_body_that_is_no_object_is_refused_at_its_root(body: Any) -> None:
    code, errors = refused(lambda: ingress.InputReader(send).read(body))
    assert (code, errors[0]["pointer"]) == ("input-invalid", "#")


@pytest.mark.parametrize("pieces", ["1", True, Decimal("1.0"), Decimal("1E+2"), 0, 10, 2**53])
def test_nothing_is_coerced(pieces: Any) -> None:
    code, errors = refused(lambda: ingress.InputReader(post).read({"sender": "ann", "pieces": pieces}))
    assert (code, errors[0]["pointer"]) == ("input-invalid", "#/pieces")


def test_the_list_of_errors_is_bounded_and_says_what_it_leaves_out() -> None:
    with pytest.raises(ProblemError) as caught:
        ingress.InputReader(send).read({f"member{index}": 1 for index in range(70)})
    extra = caught.value.problem.extra
    assert len(extra["errors"]) == ingress.FLAWS_MAX
    assert extra["errors_omitted"] == 20


@given(strategies.dictionaries(strategies.text(), strategies.text(min_size=8, alphabet="\u2603"), min_size=1))
def test_no_value_is_ever_repeated(body: dict[str, str]) -> None:
    with pytest.raises(ProblemError) as caught:
        ingress.InputReader(post).read(body)
    assert "\\u2603" * 8 not in json.dumps(caught.value.problem.extra)


def test_a_list_query_becomes_page_state_and_filters() -> None:
    query = (
        f"limit=7&cursor=abc&state=open&label=a%20b+c&sender=ann&pieces=3&fragile=true&size=large&weight=1.50"
        f"&due=2026-11-21&seen={quote('2026-11-21T10:30:00+01:00')}&shelf={ID}&token=t"
    )
    wanted = ingress.read_list_query(parcel, query.encode())
    assert (wanted.page.limit, wanted.page.cursor, wanted.state) == (7, "abc", "open")
    assert {name: value for name, value in wanted.filters.items() if name != "shelf"} == {
        "label": "a b c",
        "sender": Subject("ann"),
        "pieces": 3,
        "fragile": True,
        "size": Size.LARGE,
        "weight": Decimal("1.50"),
        "due": date(2026, 11, 21),
        "seen": datetime(2026, 11, 21, 9, 30, tzinfo=UTC),
        "token": "t",
    }
    assert str(wanted.filters["shelf"]) == ID


def test_long_text_lists_objects_and_taken_words_are_no_filters() -> None:
    names = {"note", "tags", "price", "limit"}
    assert not names & set(ingress.filters_of(parcel))
    for name in names - {"limit"}:
        _, errors = refused(partial(ingress.read_list_query, parcel, f"{name}=x".encode()))
        assert errors[0]["code"] == "unknown"


@pytest.mark.parametrize(("text", "limit"), [("1", 1), ("200", 200), ("201", 200), ("9" * 5000, 200)])
def test_a_page_that_is_too_large_is_cut_to_the_largest(text: str, limit: int) -> None:
    assert ingress.read_list_query(parcel, f"limit={text}".encode()).page.limit == limit


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=0", "not-a-count"),
        ("limit=-1", "not-a-count"),
        ("limit=x", "not-a-count"),
        ("limit=", "not-a-count"),
        ("limit=1_0", "not-a-count"),
        ("limit=%D9%A3", "not-a-count"),
        ("limit=1.0", "not-a-count"),
        ("state=nowhere", "not-an-option"),
        ("state=open&state=open", "twice"),
        ("colour=red", "unknown"),
        ("=x", "unknown"),
        ("limit=1&", "unknown"),
        ("pieces=01", "not-an-integer"),
        ("pieces=%2B1", "not-an-integer"),
        ("pieces=99999999999999999999", "not-an-integer"),
        ("pieces=9007199254740992", "out-of-range"),
        ("fragile=True", "not-a-boolean"),
        ("fragile=1", "not-a-boolean"),
        ("size=SMALL", "not-an-option"),
        ("weight=1.555", "scale-exceeded"),
        ("weight=1e2", "not-a-decimal"),
        ("due=2026-13-01", "not-a-date"),
        (f"shelf={ID.upper()}", "not-a-uuid"),
        ("label=%00", "character-refused"),
        ("limit[]=1", "unknown"),
    ],
)
def test_a_query_parameter_that_does_not_fit_is_named(query: str, code: str) -> None:
    problem, errors = refused(lambda: ingress.read_list_query(parcel, query.encode()))
    assert problem == "input-invalid"
    assert (errors[0]["in"], errors[0]["code"]) == ("query", code)


@pytest.mark.parametrize(
    "raw",
    [
        b"label=%",
        b"label=%zz",
        b"label=%ff",
        b"%ff=1",
        "label=\u00e9".encode(),
        b"label=%ed%a0%80",
        b"a&" * 65,
    ],
)
def test_a_query_that_can_not_be_decoded_is_malformed(raw: bytes) -> None:
    assert refused(lambda: ingress.read_list_query(parcel, raw))[0] == "bad-request"


@pytest.mark.parametrize(
    "name", ["access_token", "API-Key", "x-api-key", "password", "%61ccess_token", "client.secret"]
)
def test_a_credential_in_the_query_is_refused_wherever_it_stands(name: str) -> None:
    raw = f"limit=x&{name}=s3cret&%ff".encode()
    readers: list[Callable[[], Any]] = [
        lambda: ingress.read_list_query(parcel, raw),
        lambda: ingress.read_command_query(raw),
        lambda: ingress.read_history_query(raw),
        lambda: ingress.read_why_query(parcel, raw),
        lambda: ingress.demand_no_query(raw),
    ]
    for reader in readers:
        assert refused(reader)[0] == "credential-in-query"


def test_a_declared_field_called_token_is_a_filter_like_others() -> None:
    assert ingress.read_list_query(parcel, b"token=abc").filters == {"token": "abc"}
    assert refused(lambda: ingress.read_command_query(b"token=abc"))[0] == "credential-in-query"


def test_dry_run_is_true_or_false_and_nothing_else() -> None:
    assert ingress.read_command_query(b"dry_run=true") is True
    assert ingress.read_command_query(b"dry_run=false") is False
    assert ingress.read_command_query(b"") is False
    assert refused(lambda: ingress.read_command_query(b"dry_run=1"))[1][0]["parameter"] == "dry_run"
    assert refused(lambda: ingress.read_command_query(b"dry_run"))[1][0]["parameter"] == "dry_run"


def test_why_names_a_field_and_a_time() -> None:
    wanted = ingress.read_why_query(parcel, b"field=pieces&at=2026-11-21T10:00:00Z")
    assert wanted == ingress.WhyQuery("pieces", datetime(2026, 11, 21, 10, tzinfo=UTC))
    assert ingress.read_why_query(parcel, b"") == ingress.WhyQuery(None, None)
    _, errors = refused(lambda: ingress.read_why_query(parcel, b"field=secret&at=2026-11-21T10:00:00"))
    assert [error["parameter"] for error in errors] == ["field", "at"]


@given(strategies.binary(max_size=200))
def test_no_query_string_makes_anything_but_a_problem(raw: bytes) -> None:
    with suppress(ProblemError):
        ingress.read_list_query(parcel, raw)
