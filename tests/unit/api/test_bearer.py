"""A token lets in exactly the subject whom the configured issuer named, and nobody else.

The cases restate the known attacks on JSON Web Tokens; keys are made anew in each run.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from avow.api import bearer
from avow.api.bearer import Identity, Issuer
from avow.errors import ProblemError

NOW_S = 1_795_000_000
RSA = RSAKey.generate_key(2048, {"kid": "r"})
OTHER_RSA = RSAKey.generate_key(2048, {"kid": "r"})
EC = ECKey.generate_key("P-256", {"kid": "e"})
EC_384 = ECKey.generate_key("P-384", {"kid": "e"})
ED = OKPKey.generate_key("Ed25519", {"kid": "d"})
SECRET = b"s" * 32
ISSUER = Issuer(
    "https://id.example", "avow", roles_claim="realm_access.roles", tenant_claim="org", subject_prefix="x:"
)
DEVELOPMENT = Issuer("avow-dev", "avow", frozenset({"HS256"}), tenant_claim="tenant", development=True)
CLAIMS: dict[str, Any] = {
    "iss": "https://id.example",
    "aud": ["other", "avow"],
    "sub": "alice",
    "exp": NOW_S + 300,
    "nbf": NOW_S,
    "iat": NOW_S,
    "jti": "t1",
    "realm_access": {"roles": ["dean", "registrar"]},
    "org": "north",
}


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _sign(header: dict[str, Any], payload: bytes, key: Any) -> str:
    names = [header["alg"]]
    registry = jws.JWSRegistry(algorithms=names, strict_check_header=False)
    registry.max_header_length = 10_000
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)
        return jws.serialize_compact(header, payload, key, registry=registry)


def _token(claims: dict[str, Any] | None = None, key: Any = RSA, **header: Any) -> str:
    payload = json.dumps({**CLAIMS, **(claims or {})}).encode()
    return _sign({"alg": "RS256", "typ": "at+jwt", "kid": "r", **header}, payload, key)


def _without(name: str) -> str:
    claims = {key: value for key, value in CLAIMS.items() if key != name}
    return _sign({"alg": "RS256", "typ": "JWT", "kid": "r"}, json.dumps(claims).encode(), RSA)


def _raw(header: dict[str, Any], signature: bytes = b"x") -> str:
    return ".".join((_b64(json.dumps(header).encode()), _b64(json.dumps(CLAIMS).encode()), _b64(signature)))


def _public(key: Any) -> Any:
    return type(key).import_key(key.as_dict(private=False))


def _verify(text: str, key: Any = RSA, issuer: Issuer = ISSUER, now_s: float = NOW_S) -> Identity:
    return bearer.verify(bearer.parse(text), issuer, _public(key), now_s)


def _refused(call: Callable[[], object]) -> str:
    with pytest.raises(ProblemError) as caught:
        call()
    assert caught.value.problem.code == "unauthenticated"
    return caught.value.problem.detail


def test_a_good_token_names_its_subject() -> None:
    assert _verify(_token()) == Identity(
        subject="x:alice",
        roles=frozenset({"dean", "registrar"}),
        tenant="north",
        issuer="https://id.example",
        token_id="t1",
        expires_at=datetime.fromtimestamp(NOW_S + 300, UTC),
    )


@pytest.mark.parametrize(
    ("algorithm", "key"), [("RS256", RSA), ("PS256", RSA), ("ES256", EC), ("EdDSA", ED), ("Ed25519", ED)]
)
def test_every_allowed_algorithm_is_verified(algorithm: str, key: Any) -> None:
    token = _token(key=key, alg=algorithm, kid=key.kid)
    assert _verify(token, key).subject == "x:alice"
    head, payload, signature = token.split(".")
    raw = bytearray(base64.urlsafe_b64decode(signature + "=="))
    raw[5] ^= 1
    _refused(lambda: _verify(f"{head}.{payload}.{_b64(bytes(raw))}", key))
    forged = _b64(json.dumps({**CLAIMS, "sub": "mallory"}).encode())
    _refused(lambda: _verify(f"{head}.{forged}.{signature}", key))
    _refused(lambda: _verify(f"{head}.{payload}.{_b64(bytes(raw[:-1]))}", key))
    _refused(lambda: _verify(f"{head}.{payload}.{_b64(bytes(len(raw)))}", key))


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "NONE", "nOnE", "rs256", "RS256 ", "", "HS256", "HS512"]
)
def test_no_unsigned_token_and_no_other_spelling_of_an_algorithm(algorithm: str) -> None:
    _refused(lambda: _verify(_raw({"alg": algorithm, "typ": "JWT", "kid": "r"})))
    head, payload, _ = _raw({"alg": algorithm, "typ": "JWT", "kid": "r"}).split(".")
    _refused(lambda: _verify(f"{head}.{payload}."))
    _refused(lambda: _verify(f"{head}.{payload}"))


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS384", "PS512", "RS1"])
def test_an_algorithm_outside_the_list_is_refused_though_its_signature_may_be_good(algorithm: str) -> None:
    if algorithm != "RS1":
        _refused(lambda: _verify(_token(alg=algorithm)))
    _refused(lambda: _verify(_raw({"alg": algorithm, "typ": "JWT", "kid": "r"})))


def test_an_hmac_under_the_public_key_is_refused() -> None:
    """The classic confusion: the verifier's public key, in any spelling, used as an HMAC secret."""
    public = RSA.public_key
    for secret in (
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).strip(),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.PEM, PublicFormat.PKCS1),
        json.dumps(RSA.as_dict(private=False)).encode(),
    ):
        for algorithm in ("HS256", "RS256"):
            head = _b64(json.dumps({"alg": algorithm, "typ": "JWT", "kid": "r"}).encode())
            body = _b64(json.dumps(CLAIMS).encode())
            mac = hmac.digest(secret, f"{head}.{body}".encode(), hashlib.sha256)
            _refused(lambda text=f"{head}.{body}.{_b64(mac)}": _verify(text))


@pytest.mark.parametrize(
    "header",
    [
        {"jwk": OTHER_RSA.as_dict(private=False)},
        {"jku": "https://evil.example/keys"},
        {"x5u": "https://evil.example/cert"},
        {"x5c": ["AAAA"]},
        {"crit": ["exp"]},
        {"crit": ["b64"], "b64": False},
        {"crit": []},
        {"b64": True},
        {"zip": "DEF"},
    ],
)
def test_a_header_that_names_its_own_key_or_an_extension_is_refused(header: dict[str, Any]) -> None:
    """Even under the right key."""
    text = _raw({"alg": "RS256", "typ": "JWT", "kid": "r", **header})
    assert "header" in _refused(lambda: bearer.parse(text))


def test_harmless_private_header_parameters_are_passed_over() -> None:
    assert _verify(_token(nonce="x", x5t="abc")).subject == "x:alice"


def test_the_key_must_be_the_one_that_the_token_names() -> None:
    _refused(lambda: _verify(_token(key=OTHER_RSA)))
    _refused(lambda: _verify(_token(kid="other")))
    _refused(lambda: _verify(_token(key=EC, alg="ES256", kid="e"), RSA))
    _refused(lambda: _verify(_token(), EC))
    _refused(lambda: _verify(_token(key=EC, alg="ES256", kid="e"), EC_384))


def test_a_key_marked_for_another_use_is_refused() -> None:
    for mark in ({"use": "enc"}, {"key_ops": ["encrypt"]}, {"alg": "PS256"}):
        key = RSAKey.import_key({**RSA.as_dict(private=False), **mark})
        _refused(lambda key=key: bearer.verify(bearer.parse(_token()), ISSUER, key, NOW_S))


@pytest.mark.parametrize("name", ["iss", "aud", "sub", "exp"])
def test_a_token_without_a_mandatory_claim_is_refused(name: str) -> None:
    _refused(lambda: _verify(_without(name)))


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", ["1795000300", True, None, [], {}, -1, 10**12, "Infinity", [1795000300]])
def test_a_time_is_a_plain_number(name: str, value: Any) -> None:
    _refused(lambda: _verify(_token({name: value})))


@pytest.mark.parametrize("number", ["Infinity", "-Infinity", "NaN", "1e999", "9" * 5000, "1795000300x"])
def test_a_time_that_is_no_json_number_is_refused(number: str) -> None:
    payload = json.dumps({**CLAIMS, "exp": "@"}).replace('"@"', number).encode()
    _refused(lambda: _verify(_sign({"alg": "RS256", "typ": "JWT", "kid": "r"}, payload, RSA)))


def test_a_fractional_time_is_read() -> None:
    assert _verify(_token({"exp": NOW_S + 0.5})).expires_at == datetime.fromtimestamp(NOW_S, UTC)


def test_expiry_and_start_allow_the_leeway_and_no_more() -> None:
    text = _token({"exp": NOW_S + 10, "nbf": NOW_S, "iat": NOW_S})
    _verify(text, now_s=NOW_S + 39.9)
    assert _refused(lambda: _verify(text, now_s=NOW_S + 40)) == "The token has expired."
    _verify(text, now_s=NOW_S - 30)
    assert "not valid yet" in _refused(lambda: _verify(text, now_s=NOW_S - 30.1))
    for name in ("nbf", "iat"):
        later = _token({"exp": NOW_S + 999, name: NOW_S + 31})
        _refused(lambda later=later: _verify(later))


def test_a_token_that_lives_too_long_is_refused_where_a_bound_is_set() -> None:
    bounded = Issuer("https://id.example", "avow", lifetime_s_max=300)
    _verify(_token(), issuer=bounded)
    _refused(lambda: _verify(_token({"exp": NOW_S + 301}), issuer=bounded))
    _refused(lambda: _verify(_without("iat"), issuer=bounded))


@pytest.mark.parametrize(
    "audience", ["other", [], [""], ["Avow"], "avow ", {"avow": 1}, ["avow", 1], None, ["a"] * 65]
)
def test_a_token_for_another_audience_is_refused(audience: Any) -> None:
    _refused(lambda: _verify(_token({"aud": audience})))


@pytest.mark.parametrize(
    "issuer", ["https://id.example/", "HTTPS://id.example", "", 1, ["https://id.example"], None]
)
def test_the_issuer_is_compared_exactly(issuer: Any) -> None:
    _refused(lambda: _verify(_token({"iss": issuer})))


@pytest.mark.parametrize(
    "subject", ["", 1, None, ["alice"], "a" * 256, "a" * 254, "a\x00", "a\nb", "a\u2028b"]
)
def test_a_subject_is_a_short_printable_text(subject: Any) -> None:
    """The prefix counts towards the limit."""
    _refused(lambda: _verify(_token({"sub": subject})))


@pytest.mark.parametrize("kind", ["", "dpop+jwt", "logout+jwt", "id+jwt", "JWS", "secevent+jwt"])
def test_a_token_of_another_type_is_refused(kind: str) -> None:
    _refused(lambda: _verify(_token(typ=kind)))


@pytest.mark.parametrize("kind", ["JWT", "jwt", "at+jwt", "application/at+jwt", "AT+JWT"])
def test_an_access_token_type_is_read_in_any_case(kind: str) -> None:
    _verify(_token(typ=kind))


def test_a_missing_type_is_accepted_only_where_it_is_configured() -> None:
    text = _sign({"alg": "RS256", "kid": "r"}, json.dumps(CLAIMS).encode(), RSA)
    _refused(lambda: _verify(text))
    _verify(text, issuer=Issuer("https://id.example", "avow", types=frozenset({"jwt", ""})))


@pytest.mark.parametrize(
    "claims", [{"at_hash": "x"}, {"typ": "ID"}, {"typ": "Refresh"}, {"token_use": "id"}, {"events": {}}]
)
def test_an_identity_token_is_no_access_token(claims: dict[str, Any]) -> None:
    _refused(lambda: _verify(_token(claims)))


def test_roles_are_found_by_path_or_by_literal_name() -> None:
    assert _verify(_token({"realm_access": {}})).roles == frozenset()
    assert _verify(_token({"realm_access": "x"})).roles == frozenset()
    assert _verify(_token({"realm_access": {"roles": "a b"}})).roles == frozenset({"a", "b"})
    dotted = Issuer("https://id.example", "avow", roles_claim="https://example.org/roles")
    assert _verify(_token({"https://example.org/roles": ["a"]}), issuer=dotted).roles == frozenset({"a"})
    for roles in ([1], [""], {"a": 1}, 7, True, ["a"] * 257, ["a\x00"]):
        _refused(lambda roles=roles: _verify(_token({"realm_access": {"roles": roles}})))


def test_a_tenant_is_read_only_where_it_is_configured() -> None:
    assert _verify(_token(), issuer=Issuer("https://id.example", "avow")).tenant is None
    for tenant in (1, "", ["north"], "n\x00"):
        _refused(lambda tenant=tenant: _verify(_token({"org": tenant})))


def test_a_token_has_one_spelling() -> None:
    """Padding, white space, other alphabets and stray bits in the last character are refused."""
    head, payload, signature = _token().split(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert len(signature) % 4 == 2
    stray = signature[:-1] + alphabet[alphabet.index(signature[-1]) ^ 1]
    assert base64.urlsafe_b64decode(stray + "==") == base64.urlsafe_b64decode(signature + "==")
    for text in (
        f"{head}.{payload}.{stray}",
        f"{head}.{payload}.{signature}==",
        f"{head}.{payload}.{signature}\n",
        f" {head}.{payload}.{signature}",
        f"{head}.{payload}.{signature}.",
        f"{head}..{signature}",
        f"{head}.{payload}.{signature[:10]} {signature[10:]}",
        f"{head}.{payload}.{signature}?",
        f"{head}.{payload}.é",
    ):
        assert _refused(lambda text=text: bearer.parse(text)) == "The token is malformed."


def test_a_header_or_claim_that_stands_twice_is_refused() -> None:
    twice = json.dumps(CLAIMS)[:-1].encode() + b',"sub":"mallory"}'
    _refused(lambda: _verify(_sign({"alg": "RS256", "typ": "JWT", "kid": "r"}, twice, RSA)))


@pytest.mark.parametrize("payload", [b"[]", b"null", b'"x"', b"", b"{", b"\xff", b"[" * 100_000])
def test_a_payload_that_is_no_object_is_refused(payload: bytes) -> None:
    head = _b64(b'{"alg":"RS256","typ":"JWT"}')
    _refused(lambda: bearer.parse(f"{head}.{_b64(payload)}.{_b64(b'x')}"))
    _refused(lambda: bearer.parse(f"{_b64(payload)}.{head}.{_b64(b'x')}"))


def test_a_token_is_bounded_in_length() -> None:
    assert _refused(lambda: bearer.parse(_token({"x": "y" * 9000}))) == "The token is too long."


@given(st.text(max_size=80) | st.from_regex(r"[\w-]{0,20}\.[\w-]{0,40}\.[\w-]{0,20}"))
def test_any_text_is_refused_in_one_way(text: str) -> None:
    with contextlib.suppress(ProblemError):
        bearer.parse(text)


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_header_and_payload_are_refused_in_one_way(header: bytes, payload: bytes) -> None:
    with contextlib.suppress(ProblemError):
        bearer.parse(f"{_b64(header)}.{_b64(payload)}.AAAA")


def test_the_development_issuer_reads_its_own_tokens_only() -> None:
    text = bearer.development_token(DEVELOPMENT, SECRET, "dev", frozenset({"dean"}), NOW_S, 60, "north")
    key = bearer.development_key(SECRET)
    identity = bearer.verify(bearer.parse(text), DEVELOPMENT, key, NOW_S)
    assert (identity.subject, identity.roles, identity.tenant) == ("dev", frozenset({"dean"}), "north")
    other = bearer.development_key(b"t" * 32)
    _refused(lambda: bearer.verify(bearer.parse(text), DEVELOPMENT, other, NOW_S))
    _refused(lambda: bearer.verify(bearer.parse(text), DEVELOPMENT, key, NOW_S + 90))
    same_name = Issuer("avow-dev", "avow")
    _refused(lambda: bearer.verify(bearer.parse(text), same_name, key, NOW_S))
    forged = _token({"iss": "avow-dev"})
    _refused(lambda: bearer.verify(bearer.parse(forged), DEVELOPMENT, _public(RSA), NOW_S))


def test_a_symmetric_key_never_verifies_an_issuers_token() -> None:
    _refused(lambda: bearer.verify(bearer.parse(_token()), ISSUER, OctKey.import_key(SECRET), NOW_S))


def test_a_careless_configuration_is_refused() -> None:
    for make in (
        lambda: Issuer("a", "b", frozenset({"HS256"})),
        lambda: Issuer("a", "b", frozenset({"RS256", "none"})),
        lambda: Issuer("a", "b", frozenset()),
        lambda: Issuer("a", "b", frozenset({"RS256", "HS256"}), development=True),
        lambda: Issuer("a", "b", development=True),
        lambda: Issuer("a", ""),
        lambda: Issuer("", "b"),
        lambda: Issuer("a", "b", leeway_s=61),
        lambda: bearer.development_key(b"short"),
        lambda: bearer.development_token(ISSUER, SECRET, "x", frozenset(), NOW_S, 1),
    ):
        with pytest.raises(ValueError, match=r"issuer|secret"):
            make()
