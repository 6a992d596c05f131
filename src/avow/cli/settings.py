"""Settings of a server, from the environment; every one is listed in docs/reference/settings.md."""

from __future__ import annotations

import hmac
import json
import os
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from avow.api.authentication import DEFAULT_TENANT, Trust
from avow.api.bearer import ALGORITHMS, Issuer
from avow.api.jwks import KeySet
from avow.api.jwks_fetch import fetch
from avow.engine.log_key import LogKey, log_key
from avow.engine.outside import Destination
from avow.engine.privacy import FileKeyring, Keyring
from avow.errors import UsageError
from avow.evidence.verifier import Invalid
from avow.evidence.witness import Witness, parse_witnesses
from avow.model.signature import check_secret
from avow.model.system import System, keeps_private

SECRET_CHARACTERS_MIN = 32
PRIVATE_KEYS = "private.keys"
"""The file of keys of keys that `avow dev` makes in its folder."""


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


def home_folder(environment: Mapping[str, str]) -> Path:
    """Where development keeps everything: AVOW_HOME, or `.avow` in the working directory."""
    return Path(environment.get("AVOW_HOME") or Path.cwd() / ".avow").absolute()


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
        return parse_witnesses(Path(place).read_text("utf-8"))[1]
    except OSError as error:
        raise UsageError(f"AVOW_WITNESSES can't be read: {error.strerror}", "Name a file.") from None
    except (Invalid, UnicodeDecodeError) as error:
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
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"AVOW_PRIVATE_KEY: {error}", "Name an object that can be imported.") from None


def private_keyring(system: System) -> Keyring | None:
    """As `keyring_of`, for operators: what is set, or else the file of `avow dev` in this folder."""
    place = os.environ.get("AVOW_PRIVATE_KEY", "")
    return keyring_of(system, place or str(home_folder(os.environ) / PRIVATE_KEYS))


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


def sender_secrets(
    system: System, environment: Mapping[str, str], *, development: bool = False
) -> dict[str, dict[str, list[str]]]:
    """The secrets of those who send events, by sender and tenant; under `avow dev` each has one by itself.

    Raises UsageError for a secret that can't be one, for one of two tenants, and for a sender without any.
    """
    found: dict[str, dict[str, list[str]]] = {name: {} for name in system.senders}
    for entry in environment.get("AVOW_SENDER_SECRETS", "").split():
        whose, _, secret = entry.partition("=")
        name, _, tenant = whose.partition("@")
        _demand_secret(system, name, secret)
        if any(
            secret in secrets for other, secrets in found[name].items() if other != (tenant or DEFAULT_TENANT)
        ):
            detail = f"AVOW_SENDER_SECRETS gives two tenants of {name} one secret"
            raise UsageError(detail, "Ask for a secret for each tenant: it says whose a message is.")
        found[name].setdefault(tenant or DEFAULT_TENANT, []).append(secret)
    for name, secrets in found.items():
        if not secrets and not development:
            raise UsageError(
                f"AVOW_SENDER_SECRETS has no secret of {name}",
                f"Set AVOW_SENDER_SECRETS={name}=SECRET, with the secret that the sender signs with.",
            )
        if not secrets:
            root = bytes.fromhex(environment.get("AVOW_DEVELOPMENT_SECRET", ""))
            secrets[DEFAULT_TENANT] = [development_sender_secret(root, name)]
    return found


def development_sender_secret(root: bytes, name: str) -> str:
    """The secret that a sender has under `avow dev`."""
    return f"whsec_{b64encode(hmac.digest(root, f'avow sender {name}'.encode(), 'sha256')).decode()}"


def _demand_secret(system: System, name: str, secret: str) -> None:
    sender = system.senders.get(name)
    if sender is None:
        listed = ", ".join(system.senders) or "none"
        raise UsageError("AVOW_SENDER_SECRETS names a sender that isn't declared", f"There are: {listed}.")
    try:
        check_secret(sender.scheme, secret)
    except ValueError as error:
        raise UsageError(f"AVOW_SENDER_SECRETS: {name}: {error}", "Correct it.") from None


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
