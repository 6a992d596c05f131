"""Headers are read in one way only, or refused with a problem that names them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avow.api import headers
from avow.api.headers import Headers
from avow.errors import ProblemError


def _headers(name: str, *values: bytes) -> Headers:
    return Headers([(name.lower().encode(), value) for value in values])


def _code(call: Callable[[], object]) -> str:
    with pytest.raises(ProblemError) as caught:
        call()
    return caught.value.problem.code


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (b"abc", "abc"),
        (b'"abc"', "abc"),
        (b' "abc" ', "abc"),
        (rb'"a\"b\\c"', 'a"b\\c'),
        (b"8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        (b'"a,b;c"', "a,b;c"),
        (b"x" * 255, "x" * 255),
        (b'"' + b"x" * 255 + b'"', "x" * 255),
        (b'"' + rb"\"" * 255 + b'"', '"' * 255),
        (b"YWJj/+=", "YWJj/+="),
    ],
)
def test_an_idempotency_key_is_a_quoted_string_or_a_bare_token(value: bytes, key: str) -> None:
    assert headers.idempotency_key(_headers("Idempotency-Key", value)) == key


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b'""', b"   ", b"x" * 256, b'"' + b"x" * 256 + b'"', b"a b", b'"a b"', b"a,b", b'"a", "b"'),
        *(
            b'"a";p=1',
            b"a;p=1",
            b'"a',
            b'a"',
            b'"a"b"',
            rb'"a\b"',
            b"a\\b",
            b"\xe9",
            b'"\xe9"',
            b"a\x00",
            b"a\tb",
        ),
        *(b"a\x7f", b'"a\r\nb"', b":Zm9v:, :Zm9v:", b"(a)", b"?1,"),
    ],
)
def test_any_other_idempotency_key_is_refused(value: bytes) -> None:
    assert (
        _code(lambda: headers.idempotency_key(_headers("idempotency-key", value)))
        == "idempotency-key-invalid"
    )


def test_two_idempotency_key_lines_are_refused_even_if_equal() -> None:
    two = _headers("idempotency-key", b"a", b"a")
    assert _code(lambda: headers.idempotency_key(two)) == "idempotency-key-invalid"


def test_an_absent_idempotency_key_is_refused() -> None:
    assert _code(lambda: headers.idempotency_key(Headers([]))) == "idempotency-key-missing"


def test_an_absent_header_is_none() -> None:
    none = Headers([])
    assert headers.if_match(none) is None
    assert headers.if_none_match(none) is None
    assert headers.content_length(none) is None
    assert headers.bearer_token(none) is None


@pytest.mark.parametrize(
    "value",
    [
        b"application/json",
        b"Application/JSON",
        b"application/json; charset=utf-8",
        b'application/json;charset="UTF-8"',
    ],
)
def test_a_json_body_is_accepted(value: bytes) -> None:
    headers.demand_json_body(_headers("content-type", value))
    headers.demand_json_body(Headers([(b"content-type", value), (b"content-encoding", b"Identity")]))


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"text/plain", b"application/json; charset=latin-1", b"application/json; charset=utf-16"),
        *(
            b"application/json; charset=utf-8; charset=utf-8",
            b"application/json; x=y",
            b"application/json,text/plain",
        ),
        *(
            b"application/x-www-form-urlencoded",
            b"multipart/form-data",
            b"application/jsonx",
            b"application/ld+json",
        ),
        *(b"*/*", b"application/json;", b"application/json\r\nx: y"),
    ],
)
def test_any_other_media_type_is_refused_and_told_what_is_accepted(value: bytes) -> None:
    with pytest.raises(ProblemError) as caught:
        headers.demand_json_body(_headers("content-type", value))
    assert caught.value.problem.code == "media-type-unsupported"
    assert caught.value.headers == {"accept-post": "application/json"}


def test_a_missing_or_double_media_type_or_an_encoded_body_is_refused() -> None:
    assert _code(lambda: headers.demand_json_body(Headers([]))) == "media-type-unsupported"
    both = _headers("content-type", b"application/json", b"application/json")
    assert _code(lambda: headers.demand_json_body(both)) == "media-type-unsupported"
    for encoding in (b"gzip", b"identity, gzip", b"br", b""):
        lines = Headers([(b"content-type", b"application/json"), (b"content-encoding", encoding)])
        assert _code(lambda lines=lines: headers.demand_json_body(lines)) == "media-type-unsupported"


@pytest.mark.parametrize(
    "value", [b"-1", b"+1", b"1_0", b"0x10", b"", b"1,1", b"1" * 19, "٣".encode(), b"1 2"]
)
def test_a_content_length_that_is_no_number_is_refused(value: bytes) -> None:
    assert _code(lambda: headers.content_length(_headers("content-length", value))) == "bad-request"


def test_a_content_length_is_read_once() -> None:
    assert headers.content_length(_headers("content-length", b"042")) == 42
    assert _code(lambda: headers.content_length(_headers("content-length", b"1", b"1"))) == "bad-request"


@pytest.mark.parametrize(
    "value", [b"example.org", b"example.org:8080", b"127.0.0.1:1", b"[::1]:80", b"localhost:"]
)
def test_a_host_is_read(value: bytes) -> None:
    assert headers.host(_headers("host", value)) == value.decode()


@pytest.mark.parametrize(
    "value", [b"", b"a b", b"a/b", b"user@host", b"a,b", b"[::1", b"a:123456", b"a\r\nb", b"\xe9"]
)
def test_a_malformed_host_is_refused(value: bytes) -> None:
    assert _code(lambda: headers.host(_headers("host", value))) == "host-invalid"


def test_a_missing_or_double_host_is_refused() -> None:
    assert _code(lambda: headers.host(Headers([]))) == "host-invalid"
    assert _code(lambda: headers.host(_headers("host", b"a", b"a"))) == "host-invalid"


def test_only_one_bearer_credential_is_read() -> None:
    assert headers.bearer_token(_headers("authorization", b"Bearer a.b-c_d~e+f/g==")) == "a.b-c_d~e+f/g=="
    assert headers.bearer_token(_headers("Authorization", b"bEARER  abc")) == "abc"
    for value in (
        b"Basic abc",
        b"Bearer",
        b"Bearer ",
        b"Bearer a b",
        b"Bearer a,b",
        b"abc",
        b"",
        b"Bearer \xe9",
    ):
        one = _headers("authorization", value)
        assert _code(lambda one=one: headers.bearer_token(one)) == "unauthenticated"
    long = _headers("authorization", b"Bearer " + b"a" * 8193)
    assert _code(lambda: headers.bearer_token(long)) == "unauthenticated"
    two = _headers("authorization", b"Bearer a", b"Bearer a")
    assert _code(lambda: headers.bearer_token(two)) == "unauthenticated"


BOTH = ("text/plain", "application/json")


@pytest.mark.parametrize(
    ("accept", "answer"),
    [
        (b"", "text/plain"),
        (b"*/*", "text/plain"),
        (b"application/json", "application/json"),
        (b"APPLICATION/JSON", "application/json"),
        (b"application/json;charset=utf-8", "application/json"),
        (b"application/*", "application/json"),
        (b"text/*;q=0.1, application/json;q=0.2", "application/json"),
        (b"text/plain;q=0, */*", "application/json"),
        (b"text/html, image/gif, *; q=.2, */*; q=.2", "text/plain"),
        (b"application/json;q=0.5;level=1", "application/json"),
        (b"application/json;q=0, */*;q=0.001", "text/plain"),
    ],
)
def test_the_most_preferred_representation_is_chosen(accept: bytes, answer: str) -> None:
    assert headers.negotiate(_headers("accept", accept), BOTH) == answer


@pytest.mark.parametrize(
    "accept",
    [
        *(b"application/xml", b"text/*", b"application/json;q=0", b"*/*;q=0", b"application/json;q=0.0, */*"),
        *(b"application/json;version=2", b"application/json;q=2", b"json", b",,,", b"*/json", b"\xff\xfe"),
    ],
)
def test_an_accept_without_json_is_not_acceptable(accept: bytes) -> None:
    assert _code(lambda: headers.negotiate(_headers("accept", accept))) == "not-acceptable"


def test_several_accept_lines_are_one_list() -> None:
    assert headers.negotiate(_headers("accept", b"text/html", b"application/json")) == "application/json"
    assert headers.negotiate(Headers([])) == "application/json"


READERS: list[tuple[str, Callable[[Headers], object]]] = [
    ("idempotency-key", headers.idempotency_key),
    ("if-match", headers.if_match),
    ("if-none-match", headers.if_none_match),
    ("content-type", headers.demand_json_body),
    ("content-length", headers.content_length),
    ("host", headers.host),
    ("authorization", headers.bearer_token),
    ("accept", headers.negotiate),
]


@pytest.mark.parametrize(("name", "read"), READERS, ids=[name for name, _ in READERS])
@given(st.lists(st.binary(max_size=40), max_size=3))
def test_any_header_value_is_read_or_refused(
    name: str, read: Callable[[Headers], object], values: list[bytes]
) -> None:
    with contextlib.suppress(ProblemError):
        read(_headers(name, *values))


@pytest.mark.parametrize(("name", "read"), READERS, ids=[name for name, _ in READERS])
def test_a_refusal_never_repeats_the_value(name: str, read: Callable[[Headers], object]) -> None:
    """A line break in a value, or a secret, cannot come back in the problem."""
    with pytest.raises(ProblemError) as caught:
        read(_headers(name, b"hunter2\r\nset-cookie: (x)"))
    problem = caught.value.problem
    assert "hunter2" not in json.dumps([problem.detail, dict(problem.extra), caught.value.headers])


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"wait", 10.0), (b"wait=3", 3.0), (b'WAIT = "3"', 3.0), (b"wait=0", 0.0),
        (b"wait=" + b"9" * 400, 10.0), (b"respond-async, wait=3;foo", 3.0), (b"return=minimal", None),
        (b"wait=-1", None), (b"wait=soon", None), (b"waiting=3", None), (b"", None),
    ],
)  # fmt: skip
def test_how_long_a_client_would_wait_is_bounded_and_else_not_heeded(
    value: bytes, seconds: float | None
) -> None:
    assert headers.preferred_wait_s(_headers("prefer", value), 10.0) == seconds
