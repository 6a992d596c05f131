"""Settings of a server, from the environment; every one is listed in docs/reference/settings.md."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avow.api.authentication import Trust
from avow.api.bearer import ALGORITHMS, Issuer
from avow.api.jwks import KeySet
from avow.api.jwks_fetch import fetch
from avow.engine.outside import Destination
from avow.errors import UsageError

SECRET_CHARACTERS_MIN = 32


@dataclass(frozen=True, slots=True)
class Settings:
    """What a server needs to know.

    database_url: a login of the application role. secret: shared by all processes of one service.
    destinations: where calls to the outside go, by name.
    """

    database_url: str
    secret: bytes
    trust: Trust
    destinations: Mapping[str, Destination]


def read_settings(environment: Mapping[str, str], *, development: bool = False) -> Settings:
    """Read the settings of `avow serve` (or of the server that `avow dev` starts).

    Raises UsageError that names the variable and says what to set.
    """
    url = environment.get("AVOW_DATABASE_URL", "")
    if not url.startswith(("postgresql://", "postgres://")):
        raise UsageError(
            "AVOW_DATABASE_URL isn't set to a PostgreSQL address",
            "Set AVOW_DATABASE_URL=postgresql://login:password@host:5432/database, or use `avow dev`.",
        )
    secret = environment.get("AVOW_SECRET", "")
    if len(secret) < SECRET_CHARACTERS_MIN:
        raise UsageError(
            f"AVOW_SECRET has fewer than {SECRET_CHARACTERS_MIN} characters",
            "Set it to a random secret that all processes of this service share: openssl rand -hex 32",
        )
    development_secret = environment.get("AVOW_DEVELOPMENT_SECRET", "") if development else ""
    trust = Trust(
        issuers=_issuers(environment),
        pepper=pepper_of(secret.encode()),
        development_secret=bytes.fromhex(development_secret) if development_secret else None,
    )
    return Settings(url, secret.encode(), trust, _destinations(environment))


def pepper_of(secret: bytes) -> bytes:
    """The secret under which API keys are stored, derived from the service's own."""
    return hmac.digest(secret, b"avow api keys", "sha256")


def _destinations(environment: Mapping[str, str]) -> dict[str, Destination]:
    """Where calls to the outside go: a JSON object by name, in a file that only the service may read."""
    place = environment.get("AVOW_DESTINATIONS")
    if not place:
        return {}
    mend = 'Write {"NAME": {"url": "https://...", "headers": {...}, "allow_private": false}}.'
    try:
        given: dict[str, dict[str, Any]] = json.loads(Path(place).read_bytes())
        return {name: _destination(name, **told) for name, told in given.items()}
    except OSError as error:
        raise UsageError(f"AVOW_DESTINATIONS can't be read: {error.strerror}", "Name a file.") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"AVOW_DESTINATIONS doesn't fit: {error}", mend) from None


def _destination(
    name: str, *, url: str, headers: Mapping[str, str] | None = None, allow_private: bool = False
) -> Destination:
    return Destination(name, url, headers or {}, allow_private)


def _issuers(environment: Mapping[str, str]) -> dict[str, tuple[Issuer, KeySet]]:
    name = environment.get("AVOW_OIDC_ISSUER")
    if not name:
        return {}
    audience, keys_url = environment.get("AVOW_OIDC_AUDIENCE", ""), environment.get("AVOW_OIDC_JWKS_URL", "")
    if not audience or not keys_url:
        raise UsageError(
            "AVOW_OIDC_ISSUER is set without AVOW_OIDC_AUDIENCE and AVOW_OIDC_JWKS_URL",
            "Set all three: an audience is needed, or every token of the issuer would be believed.",
        )
    listed = environment.get("AVOW_OIDC_ALGORITHMS")
    try:
        issuer = Issuer(
            issuer=name,
            audience=audience,
            algorithms=frozenset(listed.replace(",", " ").split()) if listed else ALGORITHMS,
            roles_claim=environment.get("AVOW_OIDC_ROLES_CLAIM", "roles"),
            tenant_claim=environment.get("AVOW_OIDC_TENANT_CLAIM"),
            subject_prefix=environment.get("AVOW_OIDC_SUBJECT_PREFIX", ""),
        )
        return {name: (issuer, KeySet(keys_url, fetch))}
    except ValueError as error:
        raise UsageError(f"the settings of AVOW_OIDC_ISSUER don't fit: {error}", "Correct them.") from None
