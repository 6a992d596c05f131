"""Webhooks are believed only where a holder of the secret has just signed these very bytes."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avow.model.signature import (
    SIGNATURES_MAX,
    Message,
    PlainHmac,
    Scheme,
    SignatureRefused,
    StandardWebhooks,
    StripeStyle,
    check_secret,
    sign,
    verify,
)

Pairs = list[tuple[bytes, bytes]]

# What the reference libraries of Standard Webhooks are tested with.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID, SECONDS, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
THEN = datetime.fromtimestamp(SECONDS, UTC)
OTHER = "whsec_" + base64.b64encode(b"another key of 32 bytes, as new.").decode()

STANDARD = StandardWebhooks()


def pairs(headers: dict[str, str]) -> Pairs:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def standard(**changed: str) -> Pairs:
    headers = {"webhook-id": ID, "webhook-timestamp": str(SECONDS), "webhook-signature": SIGNATURE}
    return pairs(headers | {name.replace("_", "-"): value for name, value in changed.items()})


def reason(scheme: Scheme, secrets: list[str], headers: Pairs, body: bytes, now: datetime = THEN) -> str:
    with pytest.raises(SignatureRefused) as raised:
        verify(scheme, secrets, headers, body, now)
    assert not any(secret in str(raised.value) for secret in secrets)
    return raised.value.reason


def test_the_reference_vector_is_right_both_ways() -> None:
    assert verify(STANDARD, [SECRET], standard(), BODY, THEN) == Message(ID, THEN)
    assert pairs(sign([SECRET], ID, THEN, BODY)) == standard()


def test_one_right_signature_among_several_is_enough() -> None:
    mixed = f"v1a,abc v2,def v1,bm90IHRoaXM= {SIGNATURE} v1,"
    assert verify(STANDARD, [SECRET], standard(webhook_signature=mixed), BODY, THEN).id == ID


def test_while_a_secret_is_replaced_both_are_right_on_both_sides() -> None:
    headers = sign([OTHER, SECRET], ID, THEN, BODY)
    assert headers["webhook-signature"].split(" ")[1] == SIGNATURE
    for receiver in ([SECRET], [OTHER], [SECRET, OTHER]):
        assert verify(STANDARD, receiver, pairs(headers), BODY, THEN).id == ID
    assert verify(STANDARD, [OTHER, SECRET], standard(), BODY, THEN).id == ID


def test_names_of_headers_have_any_case() -> None:
    assert verify(STANDARD, [SECRET], [(k.upper(), v) for k, v in standard()], BODY, THEN).id == ID


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"webhook_id": "msg_other"}, "signature-wrong"),
        ({"webhook_id": "msg.1"}, "header-malformed"),
        ({"webhook_timestamp": str(SECONDS + 1)}, "signature-wrong"),
        ({"webhook_timestamp": f"+{SECONDS}"}, "header-malformed"),
        ({"webhook_timestamp": f"{SECONDS}.0"}, "header-malformed"),
        ({"webhook_timestamp": "٣"}, "header-malformed"),
        ({"webhook_timestamp": ""}, "header-malformed"),
        ({"webhook_signature": SIGNATURE.replace("v1", "v2")}, "signature-wrong"),
        ({"webhook_signature": SIGNATURE.removeprefix("v1,")}, "signature-wrong"),
        ({"webhook_signature": SIGNATURE[:-1]}, "signature-wrong"),
        ({"webhook_signature": SIGNATURE.replace("OE=", "OF=")}, "signature-wrong"),
        ({"webhook_signature": ""}, "signature-wrong"),
        ({"webhook_signature": " ".join([SIGNATURE] * (SIGNATURES_MAX + 1))}, "header-malformed"),
        ({"webhook_signature": SIGNATURE + " " * 5_000}, "header-malformed"),
    ],
)
def test_a_changed_header_is_refused(changed: dict[str, str], why: str) -> None:
    assert reason(STANDARD, [SECRET], standard(**changed), BODY) == why


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_header_must_stand_there_exactly_once(name: str) -> None:
    headers = standard()
    twice = headers + [(key.title(), value) for key, value in headers if key == name.encode()]
    assert reason(STANDARD, [SECRET], twice, BODY) == "header-duplicated"
    without = [(key, value) for key, value in headers if key != name.encode()]
    assert reason(STANDARD, [SECRET], without, BODY) == "header-missing"


@pytest.mark.parametrize("way", [-1, 1])
def test_a_message_is_believed_within_the_window_both_ways_and_not_outside(way: int) -> None:
    at_the_edge, beyond = THEN + way * timedelta(seconds=300), THEN + way * timedelta(seconds=301)
    assert verify(STANDARD, [SECRET], standard(), BODY, at_the_edge).time == THEN
    assert reason(STANDARD, [SECRET], standard(), BODY, beyond) == "time-outside-window"


def test_bytes_count_not_what_they_mean() -> None:
    assert reason(STANDARD, [SECRET], standard(), BODY.replace(b" ", b"")) == "signature-wrong"
    assert reason(STANDARD, [SECRET], standard(), BODY + b"\n") == "signature-wrong"


def test_without_a_usable_secret_nothing_is_believed() -> None:
    unusable = ["", "whsec_", "whsec_c2hvcnQ=", "whsec_!", "\ud800"]
    for secret in unusable:
        with pytest.raises(ValueError, match="whsec_ and 24 to 64 bytes"):
            check_secret(STANDARD, secret)
    assert reason(STANDARD, [], standard(), BODY) == "secret-missing"
    with pytest.raises(SignatureRefused):
        verify(STANDARD, unusable, standard(), BODY, THEN)
    assert verify(STANDARD, [*unusable, SECRET], standard(), BODY, THEN).id == ID
    with pytest.raises(ValueError, match="empty"):
        check_secret(StripeStyle(), "")
    check_secret(StripeStyle(), "whsec_not base64 at all")


def test_what_cannot_be_taken_apart_in_one_way_only_is_not_signed() -> None:
    for message_id in ("", "a.1", "a b", "ä", "x" * 256, "a\n"):
        with pytest.raises(ValueError, match="id of a message"):
            sign([SECRET], message_id, THEN, BODY)
    with pytest.raises(ValueError, match="at least one"):
        sign([], ID, THEN, BODY)
    with pytest.raises(ValueError, match="whsec_") as raised:
        sign(["whsec_c2VjcmV0"], ID, THEN, BODY)
    assert "c2VjcmV0" not in str(raised.value)


EVENT = b'{"id": "evt_1", "data": {"a/b": [{"~": 7}], "flag": true, "half": 0.5, "long": "%s"}}' % (
    b"x" * 300
)
ENDPOINT = "whsec_5WbX5kEWLlfzsGNjH64I8lOOqUB6e8FH"


def stripe_signed(body: bytes = EVENT, secret: str = ENDPOINT) -> str:
    return hmac.new(secret.encode(), f"{SECONDS}.".encode() + body, hashlib.sha256).hexdigest()


def stripe(value: str) -> Pairs:
    return [(b"stripe-signature", value.encode())]


@pytest.mark.parametrize(
    "value",
    [
        f"t={SECONDS},v1={stripe_signed()},v0={'6' * 64}",
        f"t={SECONDS},v1={'5' * 64},v1={stripe_signed()}",
        f"v1={stripe_signed().upper()}, t={SECONDS}",
    ],
)
def test_stripe_s_header_is_read_as_documented(value: str) -> None:
    """https://docs.stripe.com/webhooks#verify-manually: t, v1, and what else there may be."""
    assert verify(StripeStyle(), ["gone", ENDPOINT], stripe(value), EVENT, THEN) == Message("evt_1", THEN)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (f"t={SECONDS},v0={stripe_signed()}", "signature-wrong"),
        (f"t={SECONDS},t={SECONDS},v1={stripe_signed()}", "header-malformed"),
        (f"v1={stripe_signed()}", "header-malformed"),
        (f"t={SECONDS + 1},v1={stripe_signed()}", "signature-wrong"),
        (f"t= {SECONDS},v1={stripe_signed()}", "header-malformed"),
        (f"t={SECONDS},v1={stripe_signed()[:-1]}", "signature-wrong"),
        (f"t={SECONDS},v1=", "signature-wrong"),
        ("", "header-malformed"),
    ],
)
def test_another_header_of_stripe_s_kind_is_refused(value: str, why: str) -> None:
    assert reason(StripeStyle(), [ENDPOINT], stripe(value), EVENT) == why


def test_stripe_s_kind_has_a_window_too() -> None:
    headers = stripe(f"t={SECONDS},v1={stripe_signed()}")
    late = THEN + timedelta(seconds=301)
    assert reason(StripeStyle(), [ENDPOINT], headers, EVENT, late) == "time-outside-window"


@pytest.mark.parametrize(("pointer", "found"), [("/id", "evt_1"), ("/data/a~1b/0/~0", "7")])
def test_an_id_stands_where_a_json_pointer_leads(pointer: str, found: str) -> None:
    headers = stripe(f"t={SECONDS},v1={stripe_signed()}")
    assert verify(StripeStyle(id_pointer=pointer), [ENDPOINT], headers, EVENT, THEN).id == found


@pytest.mark.parametrize(
    "pointer",
    [
        "/none",
        "/data",
        "/data/flag",
        "/data/half",
        "/data/long",
        "/data/a~1b/1",
        "/data/a~1b/-1",
        "/data/a~1b/00",
        "/id/0",
    ],
)
def test_without_an_id_there_a_message_is_refused(pointer: str) -> None:
    headers = stripe(f"t={SECONDS},v1={stripe_signed()}")
    assert reason(StripeStyle(id_pointer=pointer), [ENDPOINT], headers, EVENT) == "id-missing"


@pytest.mark.parametrize("body", [b"", b"\xff", b"no json", b"[" * 100_000, b'{"id": ' + b"1" * 5_000 + b"}"])
def test_a_signed_body_that_holds_no_id_is_refused(body: bytes) -> None:
    headers = stripe(f"t={SECONDS},v1={stripe_signed(body)}")
    assert reason(StripeStyle(), [ENDPOINT], headers, body) == "id-missing"


# The example of GitHub's documentation, "Validating webhook deliveries".
GITHUB = PlainHmac("X-Hub-Signature-256", prefix="sha256=", id_header="X-GitHub-Delivery")
GITHUB_SECRET, GITHUB_BODY = "It's a Secret to Everybody", b"Hello, World!"
GITHUB_SIGNATURE = b"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
GITHUB_HEADERS = [(b"x-hub-signature-256", GITHUB_SIGNATURE), (b"x-github-delivery", b"72d3162e")]


def test_a_plain_hmac_is_read_as_github_documents_its_own() -> None:
    headers = GITHUB_HEADERS
    assert verify(GITHUB, [GITHUB_SECRET], headers, GITHUB_BODY, THEN) == Message("72d3162e", None)
    assert reason(GITHUB, [GITHUB_SECRET], headers, GITHUB_BODY + b"!") == "signature-wrong"
    assert reason(GITHUB, [GITHUB_SECRET], headers[:1], GITHUB_BODY) == "header-missing"
    bare = [(b"x-hub-signature-256", GITHUB_SIGNATURE.removeprefix(b"sha256=")), headers[1]]
    assert reason(GITHUB, [GITHUB_SECRET], bare, GITHUB_BODY) == "header-malformed"
    for odd in (b"", b"a b", b"\xff", b"x" * 256):
        assert (
            reason(GITHUB, [GITHUB_SECRET], [headers[0], (headers[1][0], odd)], GITHUB_BODY) == "id-missing"
        )


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("encoding", ["hex", "base64"])
def test_a_plain_hmac_has_either_algorithm_and_either_spelling(algorithm: Any, encoding: Any) -> None:
    digest = hmac.new(b"k", EVENT, algorithm).digest()
    value = digest.hex().encode() if encoding == "hex" else base64.b64encode(digest)
    scheme = PlainHmac("X-Sign", algorithm, encoding, id_pointer="/id")
    assert verify(scheme, ["k"], [(b"x-sign", value)], EVENT, THEN).id == "evt_1"
    assert reason(scheme, ["l"], [(b"x-sign", value)], EVENT) == "signature-wrong"


def test_where_the_id_stands_is_said_exactly_once_and_well() -> None:
    for wrong in ({}, {"id_header": "x", "id_pointer": "/id"}, {"id_pointer": "id"}, {"id_pointer": "/~2"}):
        with pytest.raises(ValueError, match=r"id_header|JSON pointer"):
            PlainHmac("X-Sign", **wrong)
    with pytest.raises(ValueError, match="JSON pointer"):
        StripeStyle(id_pointer="")


SIGNED: list[tuple[Scheme, str, Pairs, bytes]] = [
    (STANDARD, SECRET, standard(), BODY),
    (StripeStyle(), ENDPOINT, stripe(f"t={SECONDS},v1={stripe_signed()}"), EVENT),
    (GITHUB, GITHUB_SECRET, GITHUB_HEADERS, GITHUB_BODY),
]


@given(st.sampled_from(SIGNED), st.data())
def test_one_other_bit_of_the_body_is_refused(
    signed: tuple[Scheme, str, Pairs, bytes], data: st.DataObject
) -> None:
    scheme, secret, headers, body = signed
    place, bit = data.draw(st.integers(0, len(body) - 1)), data.draw(st.integers(0, 7))
    changed = body[:place] + bytes([body[place] ^ 1 << bit]) + body[place + 1 :]
    assert reason(scheme, [secret], headers, changed) == "signature-wrong"


@given(st.sampled_from(SIGNED), st.data())
def test_whatever_a_message_holds_it_is_refused_or_right_and_nothing_else_happens(
    signed: tuple[Scheme, str, Pairs, bytes], data: st.DataObject
) -> None:
    scheme, secret, headers, body = signed
    odd = st.one_of(st.binary(max_size=80), st.sampled_from([value for _, value in headers]))
    changed = [(name, data.draw(odd)) for name, _ in headers]
    now = data.draw(st.datetimes(timezones=st.just(UTC)))
    try:
        message = verify(scheme, [secret], changed, body, now)
    except SignatureRefused:
        return
    assert message.id
    assert changed[0 if scheme is not STANDARD else 2][1].strip()


@given(
    st.binary(max_size=200),
    st.text(
        st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="."),
        min_size=1,
        max_size=255,
    ),
)
def test_what_is_signed_is_believed(body: bytes, message_id: str) -> None:
    headers = pairs(sign([SECRET, OTHER], message_id, THEN, body))
    assert verify(STANDARD, [OTHER], headers, body, THEN) == Message(message_id, THEN)
