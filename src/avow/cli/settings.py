"""Settings of a server, from the environment; every one is listed in docs/reference/settings.md."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from avow.api.authentication import Trust
from avow.api.bearer import ALGORITHMS, Issuer
from avow.api.jwks import KeySet
from avow.api.jwks_fetch import fetch
from avow.cli.home import PRIVATE_KEYS, SECRET_CHARACTERS_MIN, home_folder, pepper_of
from avow.engine.log.key import LogKey, log_key
from avow.engine.log.witnessing import place_of
from avow.engine.outside import Destination
from avow.engine.privacy import FileKeyring, Keyring
from avow.errors import UsageError
from avow.evidence.verifier import Invalid
from avow.evidence.witness import Witness, parse_witnesses
from avow.model.system import System, keeps_private


@dataclass(frozen=True, slots=True)
class Settings:
    """What a server needs to know.

    database_url: a login of the application role. secret: shared by all processes of one service.
    destinations: where calls to the outside go, by name.
    private_subscribers: whether those who are told of events may be in a private network.
    private_key: where the keys of keys of private values are: a file, or `module:object`.
    """

    database_url: str
    secret: bytes
    trust: Trust
    destinations: Mapping[str, Destination]
    private_subscribers: bool
    private_key: str


def key_of_log(system: System, environment: Mapping[str, str], *, development: bool = False) -> LogKey | None:
    """The key that the audit log is sealed with. None: none is set, and only development makes one by
    itself."""
    setting = environment.get("AVOW_LOG_KEY")
    return log_key(setting, home_folder(environment), system.name) if setting or development else None


def witnesses_of(environment: Mapping[str, str]) -> tuple[Witness, ...]:
    """Who is asked to stand for the log's checkpoints: the witnesses with a URL in a c2sp.org/tlog-policy."""
    place = environment.get("AVOW_WITNESSES")
    if not place:
        return ()
    try:
        _, witnesses = parse_witnesses(Path(place).read_text("utf-8"))
        for witness in witnesses:
            place_of(witness)  # can it be called at all?
        return witnesses
    except OSError as error:
        raise UsageError(f"AVOW_WITNESSES can't be read: {error.strerror}", "Name a file.") from None
    except (Invalid, ValueError) as error:
        raise UsageError(f"AVOW_WITNESSES: {error}", "Write `witness NAME KEY URL`, and a quorum.") from None


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
    private = development or environment.get("AVOW_PRIVATE_SUBSCRIBERS") == "1"
    return Settings(
        url, secret.encode(), trust, _destinations(environment), private,
        environment.get("AVOW_PRIVATE_KEY", ""),
    )  # fmt: skip


def keyring_of(system: System, place: str) -> Keyring | None:
    """The keys of keys that a setting names; None for a system in which nothing is private.

    Raises UsageError where there is no setting, or it leads nowhere.
    """
    if not keeps_private(system):
        return None
    if not place:
        raise UsageError(
            "AVOW_PRIVATE_KEY isn't set, and something is private",
            "Set it to a file of private keys (`avow keys new-private FILE`), or to module:object.",
        )
    module, colon, name = place.partition(":")
    if not colon or "/" in place:
        return FileKeyring(Path(place))
    try:
        found: Any = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"AVOW_PRIVATE_KEY: {error}", "Name an object that can be imported.") from None
    if not all(callable(getattr(found, word, None)) for word in ("wrap", "unwrap")):
        raise UsageError(f"AVOW_PRIVATE_KEY: {place} is no keyring", "It needs `wrap` and `unwrap`.")
    return found


def private_keyring(system: System) -> Keyring | None:
    """As `keyring_of`, for operators: what is set, or else the file of `avow dev` in this folder."""
    place = os.environ.get("AVOW_PRIVATE_KEY", "")
    return keyring_of(system, place or str(home_folder(os.environ) / PRIVATE_KEYS))


def keyring_at_hand(system: System) -> FileKeyring | None:
    """The file of the keys of keys, where this machine has one; a service for keys isn't asked.

    Raises EnvironmentFault for a file that is set and can't be used.
    """
    place = os.environ.get("AVOW_PRIVATE_KEY", "")
    if not keeps_private(system) or (":" in place and "/" not in place):
        return None
    file = Path(place) if place else home_folder(os.environ) / PRIVATE_KEYS
    return FileKeyring(file) if place or file.exists() else None


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
