"""The secrets of those who send events, from the environment."""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Mapping

from avow.errors import UsageError
from avow.model.actor import DEFAULT_TENANT
from avow.model.signature import check_secret
from avow.model.system import System


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
