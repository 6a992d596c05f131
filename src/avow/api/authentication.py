"""Who is asking: a bearer credential becomes an actor, or the request ends here.

A token only identifies. Roles come with it, and what they permit is decided per command. A token's
signature is verified once and counts for a minute; an API key's row is read for each request, after it
came, so that a right that is taken away is gone at once.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from avow.api import api_keys, bearer
from avow.api.bearer import Issuer, Key, UnverifiedToken
from avow.api.coalesced import Coalesced
from avow.api.headers import Headers, bearer_token
from avow.api.jwks import KeySet
from avow.api.verified import VerifiedTokens
from avow.errors import reject
from avow.model.actor import ANONYMOUS, DEFAULT_TENANT, TENANT_CHARACTERS_MAX, Actor, anonymous
from avow.model.values import Subject
from avow.store.reads import Reads

NOBODY = anonymous(DEFAULT_TENANT)
"""Who sends a request without a credential."""

DEVELOPMENT_ISSUER = Issuer(
    issuer="avow-development",
    audience="avow",
    algorithms=frozenset({bearer.DEVELOPMENT_ALGORITHM}),
    tenant_claim="tenant",
    development=True,
)
"""Who signs the tokens that `avow dev` prints; `avow serve` believes it in nothing."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom a server believes.

    issuers:            OIDC issuers with the source of their keys.
    pepper:             the secret under which API keys are stored; None: no API keys.
    development_secret: only under `avow dev`.
    """

    issuers: Mapping[str, tuple[Issuer, KeySet]] = field(default_factory=dict[str, "tuple[Issuer, KeySet]"])
    pepper: bytes | None = None
    development_secret: bytes | None = None


class Authenticator:
    """Turns the credential of a request into an actor."""

    def __init__(self, trust: Trust, reads: Reads) -> None:
        self._trust = trust
        self._tokens = VerifiedTokens(time.time, time.monotonic)
        self._rows = Coalesced(reads.api_key)
        secret = trust.development_secret
        self._development_key = None if secret is None else bearer.development_key(secret)

    def known(self, headers: Headers) -> Actor | None:
        """The actor of a request whose credential was verified a moment ago. Raises `unauthenticated`."""
        credential = headers.one(b"authorization", "unauthenticated")
        return None if credential is None else self._tokens.find(credential)

    async def identify(self, headers: Headers) -> Actor:
        """The actor of a request; anonymous without a credential. Raises `unauthenticated`."""
        credential = headers.one(b"authorization", "unauthenticated")
        text = bearer_token(headers)
        if text is None or credential is None:
            return NOBODY
        if api_keys.looks_like_key(text):
            return await self._by_key(text)
        return await self._by_token(credential, text)

    async def _by_key(self, text: str) -> Actor:
        key = api_keys.parse(text)
        if self._trust.pepper is None:
            raise reject("unauthenticated", "This server knows no API keys.")
        row = await self._rows.read(key.public_id)
        stored = api_keys.UNKNOWN if row is None else row["digest"]
        if not api_keys.matches(key, (stored,), self._trust.pepper) or row is None:
            raise reject("unauthenticated", "The API key is unknown, expired or revoked.")
        return _actor(row["subject"], row["tenant"], frozenset(row["roles"]), f"key:{key.public_id}")

    async def _by_token(self, credential: bytes, text: str) -> Actor:
        token = bearer.parse(text)
        asked_at_s = time.monotonic()
        development = token.issuer == DEVELOPMENT_ISSUER.issuer
        issuer, key = self._development() if development else await self._issuers_key(token)
        identity = bearer.verify(token, issuer, key, time.time())
        if issuer.tenant_claim is not None and identity.tenant is None:
            raise reject("unauthenticated", "The token names no tenant.")
        named = "token" if identity.token_id is None else f"token:{identity.token_id}"
        actor = _actor(identity.subject, identity.tenant, identity.roles, named)
        self._tokens.add(credential, actor, bearer.validity(token, issuer), asked_at_s)
        return actor

    def _development(self) -> tuple[Issuer, Key]:
        if self._development_key is None:
            detail = "Development tokens are refused here; they are for `avow dev`."
            raise reject("unauthenticated", detail)
        return DEVELOPMENT_ISSUER, self._development_key

    async def _issuers_key(self, token: UnverifiedToken) -> tuple[Issuer, Key]:
        believed = self._trust.issuers.get(token.issuer)
        if believed is None or token.algorithm not in believed[0].algorithms:
            raise reject("unauthenticated", "The token is not from an issuer that is believed here.")
        key = await believed[1].find(token.key_id, token.algorithm, time.monotonic())
        if key is None and believed[1].empty:
            raise reject("busy", "The keys of the token's issuer could not be fetched yet.")
        if key is None:
            raise reject("unauthenticated", "The token's key is not known.")
        return believed[0], key


def _actor(subject: str, tenant: str | None, roles: frozenset[str], credential: str) -> Actor:
    where = DEFAULT_TENANT if tenant is None else tenant
    named = 0 < len(where) <= TENANT_CHARACTERS_MAX and where.isprintable()
    if not named or "\x00" in subject or subject == ANONYMOUS:
        raise reject("unauthenticated", "The credential names no usable tenant or subject.")
    return Actor(Subject(subject), where, roles, credential)
