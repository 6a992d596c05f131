"""`avow keys`: make, list, rotate and revoke API keys. A key is shown once, when it is made."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import click

from avow.api import api_keys
from avow.cli import output, private_keys
from avow.cli.connection import ask_database
from avow.cli.development import service_secret
from avow.cli.home import pepper_of
from avow.cli.options import target_option, tenant_option
from avow.cli.target import load_target
from avow.cli.word import SUBJECT, TENANT
from avow.errors import UsageError
from avow.model.actor import ANONYMOUS
from avow.model.system import System
from avow.store.api_keys import ApiKeys, ListedKey

VALID_DAYS_DEFAULT: Final = 90
VALID_DAYS_MAX: Final = 3_650
OVERLAP_HOURS_DEFAULT: Final = 24
OVERLAP_HOURS_MAX: Final = 24 * 90

Answer = TypeVar("Answer")

_days: Final = click.option(
    "--days", default=VALID_DAYS_DEFAULT, show_default=True, type=click.IntRange(1, VALID_DAYS_MAX),
    help="How long the key is valid.",
)  # fmt: skip
_environment: Final = click.option(
    "--environment", default="live", show_default=True, help="A word in the key that says what it is for."
)


@click.group(name="keys")
def command() -> None:
    """Make, list, rotate and revoke API keys, as the owner of the database.

    Avow keeps only a keyed hash of each secret; the key of that hash is derived from AVOW_SECRET, so use
    the same AVOW_SECRET as the server. Without it, the one that `avow dev` keeps in its folder is used.
    """


@command.command(name="create")
@click.argument("subject", type=SUBJECT)
@click.option("--role", "roles", multiple=True, help="A role that the key has. May be repeated.")
@tenant_option("Where the key acts.")
@_days
@_environment
@target_option
@output.json_option
def create(
    subject: str, roles: tuple[str, ...], tenant: str, days: int, environment: str, target: str, as_json: bool
) -> int:
    """Make a key for SUBJECT and show it, once."""
    if subject == ANONYMOUS:
        raise UsageError("whoever has no credential is called that", "Name a person or program.")
    system = load_target(target)
    unknown = sorted(set(roles) - set(system.roles))
    if unknown:
        known = ", ".join(system.roles) or "none"
        raise UsageError(f"no policy asks for the role {unknown[0][:60]}", f"Roles: {known}.")
    made = _issue(environment)
    expires_at = _work(
        system, lambda keys: keys.add(made.public_id, made.digest, tenant, subject, sorted(set(roles)), days)
    )
    shown = {"id": made.public_id, "key": made.text, "subject": subject, "tenant": tenant,
             "roles": sorted(set(roles)), "expires_at": expires_at.isoformat()}  # fmt: skip
    if as_json:
        output.document(shown)
    else:
        output.data(made.text)
        output.talk(f"id {made.public_id}, valid until {expires_at:%Y-%m-%d}; it is not shown again")
    return output.HOLDS


@command.command(name="list")
@click.option("--tenant", metavar="NAME", type=TENANT, help="Only the keys of this tenant.")
@target_option
@output.json_option
def list_keys(tenant: str | None, target: str, as_json: bool) -> int:
    """List the keys: whose they are, what they may, and whether they are live. Never a secret."""
    listed = _work(load_target(target), lambda keys: keys.all(tenant))
    if as_json:
        output.document({"items": [_document(key) for key in listed]})
        return output.HOLDS
    for key in listed:
        roles = ", ".join(key.roles) or "no roles"
        until = f"{key.state} until {key.expires_at:%Y-%m-%d %H:%M}Z" if key.state in _LIVE else key.state
        output.data(output.plain(f"{key.id}  {key.subject} ({roles}), tenant {key.tenant}, {until}"))
    if not listed:
        output.talk("there are no keys")
    return output.HOLDS


_LIVE: Final = ("live", "ending")


@command.command(name="rotate")
@click.argument("key_id", metavar="ID", type=SUBJECT)
@click.option(
    "--overlap-hours", default=OVERLAP_HOURS_DEFAULT, show_default=True,
    type=click.IntRange(0, OVERLAP_HOURS_MAX), help="How long the old key goes on.",
)  # fmt: skip
@_days
@_environment
@target_option
@output.json_option
def rotate(key_id: str, overlap_hours: int, days: int, environment: str, target: str, as_json: bool) -> int:
    """Put a new key in the place of the one with this ID; both are live during the overlap."""
    made = _issue(environment)
    system = load_target(target)
    replaced = _work(
        system, lambda keys: keys.replace(key_id, made.public_id, made.digest, days, overlap_hours)
    )
    if replaced is None:
        raise UsageError(
            "there is no live key with that id that wasn't replaced yet", "See `avow keys list`."
        )
    shown = {"id": made.public_id, "key": made.text, "subject": replaced.subject, "tenant": replaced.tenant,
             "roles": list(replaced.roles), "expires_at": replaced.expires_at.isoformat(),
             "replaces": key_id, "old_expires_at": replaced.old_expires_at.isoformat()}  # fmt: skip
    if as_json:
        output.document(shown)
    else:
        output.data(made.text)
        output.talk(f"id {made.public_id}, valid until {replaced.expires_at:%Y-%m-%d}; it is not shown again")
        output.talk(f"{key_id} ends at {replaced.old_expires_at:%Y-%m-%d %H:%M}Z")
    return output.HOLDS


@command.command(name="revoke")
@click.argument("key_id", metavar="ID", type=SUBJECT)
@target_option
@output.json_option
def revoke(key_id: str, target: str, as_json: bool) -> int:
    """End the key with this ID now. Requests that are being executed are finished."""
    subject = _work(load_target(target), lambda keys: keys.revoke(key_id))
    if subject is None:
        raise UsageError("there is no key with that id", "See `avow keys list`.")
    if as_json:
        output.document({"id": key_id, "subject": subject, "revoked": True})
    else:
        output.data(f"{key_id} of {subject} is revoked")
    return output.HOLDS


command.add_command(private_keys.new)
command.add_command(private_keys.rotate)
command.add_command(private_keys.retire)


def _issue(environment: str) -> api_keys.IssuedApiKey:
    try:
        return api_keys.new(
            environment, secrets.token_bytes(api_keys.RANDOM_BYTES), pepper_of(service_secret())
        )
    except ValueError as error:
        raise UsageError(str(error), "Write --environment as one short word, such as live or test.") from None


def _work(system: System, ask: Callable[[ApiKeys], Awaitable[Answer]]) -> Answer:
    return ask_database(system, lambda connection: ask(ApiKeys(connection)))


def _document(key: ListedKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "tenant": key.tenant,
        "subject": key.subject,
        "roles": list(key.roles),
        "state": key.state,
        "created_at": key.created_at.isoformat(),
        "expires_at": key.expires_at.isoformat(),
        "replaced_by": key.replaced_by,
    }
