"""JWT bearer tokens: one strict reading of a token, then one verification against one issuer.

joserfc does the cryptography; what it leaves open is decided here. A token only identifies: what its
subject may do is decided per command. Nothing in it chooses the algorithm, the key's source or the
issuer that we trust.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, cast

from joserfc import jws, jwt
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from avow.api import base64url, json_text
from avow.errors import ProblemError, reject

ALGORITHMS: Final = frozenset({"RS256", "PS256", "ES256", "EdDSA", "Ed25519"})
DEVELOPMENT_ALGORITHM: Final = "HS256"
TOKEN_CHARACTERS_MAX: Final = 8192
NAME_CHARACTERS_MAX: Final = 255
ROLES_MAX: Final = 256
AUDIENCES_MAX: Final = 64
LEEWAY_S_MAX: Final = 60
SECRET_BYTES_MIN: Final = 32
INSTANT_S_MAX: Final = 253_402_300_799  # the last second of the year 9999

# These would let a token name its own key; and no extension is understood, so `crit` is refused too.
_REFUSED_HEADERS: Final = ("crit", "b64", "zip", "enc", "jwk", "jku", "x5u", "x5c")
# Claims that only identity, refresh or logout tokens carry: those are not for us.
_FOREIGN_CLAIMS: Final = ("at_hash", "c_hash", "s_hash", "events")
_FOREIGN_KINDS: Final = {"typ": {"id", "refresh", "offline", "logout"}, "token_use": {"id", "refresh"}}

Key = RSAKey | ECKey | OKPKey | OctKey


@dataclass(frozen=True, slots=True)
class Issuer:
    """Whom we believe, and how its tokens are read.

    issuer, audience: compared exactly with `iss` and `aud`.
    algorithms:       a subset of `ALGORITHMS`; for the development issuer exactly HS256.
    types:            the accepted `typ` headers, lower case; add "" for an issuer that sends none.
    roles_claim:      a claim's name, or names joined by dots, as in `realm_access.roles`.
    tenant_claim:     the same for the tenant; None: tokens of this issuer name no tenant.
    subject_prefix:   put before `sub`, so that two issuers never share a subject.
    leeway_s:         how far clocks may differ. lifetime_s_max: the longest `exp - iat`; None: any.
    """

    issuer: str
    audience: str
    algorithms: frozenset[str] = ALGORITHMS
    types: frozenset[str] = frozenset({"jwt", "at+jwt", "application/at+jwt"})
    roles_claim: str = "roles"
    tenant_claim: str | None = None
    subject_prefix: str = ""
    leeway_s: int = 30
    lifetime_s_max: int | None = None
    development: bool = False

    def __post_init__(self) -> None:
        allowed = frozenset({DEVELOPMENT_ALGORITHM}) if self.development else ALGORITHMS
        if not self.algorithms or not self.algorithms <= allowed:
            raise ValueError(f"the algorithms of this issuer are a subset of {sorted(allowed)}")
        if not self.issuer or not self.audience or not 0 <= self.leeway_s <= LEEWAY_S_MAX:
            raise ValueError(f"an issuer has a name, an audience, and a leeway of 0 to {LEEWAY_S_MAX} s")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who presented a valid token. `subject` already carries the issuer's prefix."""

    subject: str
    roles: frozenset[str]
    tenant: str | None
    issuer: str
    token_id: str | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Validity:
    """When a token is believed: from `starts_s` (None: ever) until before `ends_s`.

    Seconds since 1970; how far clocks may differ is counted in.
    """

    starts_s: int | Decimal | None
    ends_s: int | Decimal

    def holds(self, now_s: float) -> bool:
        """Whether it is the time."""
        return now_s < self.ends_s and (self.starts_s is None or now_s >= self.starts_s)

    def over(self, now_s: float) -> bool:
        """Whether the time is past."""
        return now_s >= self.ends_s


@dataclass(frozen=True, slots=True, repr=False)
class UnverifiedToken:
    """A well-formed token. `issuer`, `algorithm` and `key_id` serve to find the key, and prove nothing."""

    text: str
    algorithm: str
    type: str
    key_id: str | None
    issuer: str
    claims: Mapping[str, Any]


class _Registry(jws.JWSRegistry):
    """The one algorithm that a token was admitted for; no warning for `EdDSA`, an older name of Ed25519."""

    max_header_length = TOKEN_CHARACTERS_MAX

    def get_alg(self, name: str) -> Any:
        if self.allowed is None or name not in self.allowed:
            raise UnsupportedAlgorithmError
        return self.algorithms[name]


def parse(text: str) -> UnverifiedToken:
    """Read a token without verifying it; raises `unauthenticated` unless it has one strict spelling."""
    if len(text) > TOKEN_CHARACTERS_MAX:
        raise _refusal("The token is too long.")
    parts = text.split(".")
    if len(parts) != 3 or not all(parts):
        raise _refusal("The token is malformed.")
    try:
        raw_header, raw_claims, _ = (base64url.decode(part) for part in parts)
        header, claims = json_text.loads(raw_header), json_text.loads(raw_claims)
    except (ValueError, ProblemError):
        raise _refusal("The token is malformed.") from None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise _refusal("The token is malformed.")
    if any(name in header for name in _REFUSED_HEADERS):
        raise _refusal("The token's header holds a parameter that is not accepted.")
    key_id = header.get("kid")
    return UnverifiedToken(
        text=text,
        algorithm=_word(header.get("alg"), "alg"),
        type=_word(header.get("typ", ""), "typ", empty=True).lower(),
        key_id=None if key_id is None else _word(key_id, "kid"),
        issuer=_word(claims.get("iss"), "iss"),
        claims=claims,
    )


def verify(token: UnverifiedToken, issuer: Issuer, key: Key, now_s: float) -> Identity:
    """Verify a token's signature and claims; raises `unauthenticated` with the reason.

    key: the issuer's key for `token.key_id`. now_s: seconds since 1970.
    """
    if token.issuer != issuer.issuer:
        raise _refusal("The token is from another issuer.")
    if token.algorithm not in issuer.algorithms:
        raise _refusal("The token's algorithm is not accepted.")
    if token.type not in issuer.types:
        raise _refusal("The token's type is not accepted.")
    _verify_signature(token, key, development=issuer.development)
    claims = token.claims
    _demand_access_token(claims)
    if issuer.audience not in _audiences(claims):
        raise _refusal("The token is for another audience.")
    _demand_validity(token, issuer, now_s)
    token_id = claims.get("jti")
    return Identity(
        subject=_subject(claims, issuer),
        roles=_roles(_at(claims, issuer.roles_claim)),
        tenant=_tenant(claims, issuer),
        issuer=issuer.issuer,
        token_id=None if token_id is None else _word(token_id, "jti"),
        expires_at=datetime.fromtimestamp(int(_instant(claims, "exp") or 0), UTC),
    )


def development_token(
    issuer: Issuer,
    secret: bytes,
    subject: str,
    roles: frozenset[str],
    now_s: int,
    lifetime_s: int,
    tenant: str = "",
) -> str:
    """Make a token of the development issuer, whose claims have plain names (no dots)."""
    if not issuer.development:
        raise ValueError("only the development issuer signs its own tokens")
    claims: dict[str, Any] = {
        "iss": issuer.issuer,
        "aud": issuer.audience,
        "sub": subject,
        issuer.roles_claim: sorted(roles),
        "iat": now_s,
        "exp": now_s + lifetime_s,
    }
    if issuer.tenant_claim is not None and tenant:
        claims[issuer.tenant_claim] = tenant
    key = development_key(secret)
    return jwt.encode({"alg": DEVELOPMENT_ALGORITHM}, claims, key, algorithms=[DEVELOPMENT_ALGORITHM])


def development_key(secret: bytes) -> OctKey:
    """The key of the development issuer; raises ValueError for fewer than 32 bytes."""
    if len(secret) < SECRET_BYTES_MIN:
        raise ValueError(f"the development secret has at least {SECRET_BYTES_MIN} bytes")
    return OctKey.import_key(secret)


def _verify_signature(token: UnverifiedToken, key: Key, *, development: bool) -> None:
    # Belt and braces: a symmetric key never meets an issuer's token, nor the other way round.
    if isinstance(key, OctKey) is not development or (key.kid is not None and key.kid != token.key_id):
        raise _refusal("The token's signature is not valid.")
    # Our own checks on the header are done; joserfc's would refuse private header parameters.
    registry = _Registry(algorithms=[token.algorithm], strict_check_header=False)
    try:
        jws.deserialize_compact(token.text, key, registry=registry)
    except (JoseError, ValueError):
        raise _refusal("The token's signature is not valid.") from None


def _demand_access_token(claims: Mapping[str, Any]) -> None:
    foreign = any(name in claims for name in _FOREIGN_CLAIMS) or any(
        str(claims.get(name, "")).lower() in kinds for name, kinds in _FOREIGN_KINDS.items()
    )
    if foreign:
        raise _refusal("The token is not an access token.")


def validity(token: UnverifiedToken, issuer: Issuer) -> Validity:
    """When a token of this issuer is believed; raises `unauthenticated` where it doesn't say."""
    expires_s = _instant(token.claims, "exp")
    if expires_s is None:
        raise _refusal("The token has no expiry.")
    starts = [start for name in ("nbf", "iat") if (start := _instant(token.claims, name)) is not None]
    return Validity(max(starts) - issuer.leeway_s if starts else None, expires_s + issuer.leeway_s)


def _demand_validity(token: UnverifiedToken, issuer: Issuer, now_s: float) -> None:
    valid = validity(token, issuer)
    if valid.over(now_s):
        raise _refusal("The token has expired.")
    if not valid.holds(now_s):
        raise _refusal("The token is not valid yet.")
    expires_s, issued_s = _instant(token.claims, "exp"), _instant(token.claims, "iat")
    if issuer.lifetime_s_max is not None and (
        expires_s is None or issued_s is None or expires_s - issued_s > issuer.lifetime_s_max
    ):
        raise _refusal("The token is valid for too long.")


def _instant(claims: Mapping[str, Any], name: str) -> int | Decimal | None:
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not 0 <= value <= INSTANT_S_MAX:
        raise _refusal(f"The token's claim {name} is not a time.")
    return value


def _audiences(claims: Mapping[str, Any]) -> list[object]:
    audience = claims.get("aud")
    listed: list[object] = cast("list[object]", audience) if isinstance(audience, list) else [audience]
    if not 1 <= len(listed) <= AUDIENCES_MAX or not all(isinstance(item, str) for item in listed):
        raise _refusal("The token has no audience.")
    return listed


def _subject(claims: Mapping[str, Any], issuer: Issuer) -> str:
    return _word(issuer.subject_prefix + _word(claims.get("sub"), "sub"), "sub")


def _tenant(claims: Mapping[str, Any], issuer: Issuer) -> str | None:
    value = None if issuer.tenant_claim is None else _at(claims, issuer.tenant_claim)
    return None if value is None else _word(value, "tenant")


def _roles(value: object) -> frozenset[str]:
    if value is None:
        return frozenset()
    listed = value.split() if isinstance(value, str) else value
    if not isinstance(listed, list) or len(cast("list[object]", listed)) > ROLES_MAX:
        raise _refusal("The token's roles are not a list of names.")
    return frozenset(_word(role, "roles") for role in cast("list[object]", listed))


def _at(claims: Mapping[str, Any], path: str) -> object:
    if path in claims:  # a name may itself hold dots, as https://example.org/roles does
        return claims[path]
    value: object = claims
    for name in path.split("."):
        value = cast("dict[str, object]", value).get(name) if isinstance(value, dict) else None
    return value


def _word(value: object, name: str, *, empty: bool = False) -> str:
    if not isinstance(value, str) or not (1 - empty) <= len(value) <= NAME_CHARACTERS_MAX:
        raise _refusal(f"The token's {name} is missing or malformed.")
    if not value.isprintable():
        raise _refusal(f"The token's {name} is missing or malformed.")
    return value


def _refusal(detail: str) -> ProblemError:
    return reject("unauthenticated", detail)
