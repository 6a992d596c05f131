"""The application as the command line serves it: with its settings, and with the worker inside."""

from __future__ import annotations

from collections.abc import Mapping

from avow.api.app import Application
from avow.cli.senders import sender_secrets
from avow.cli.settings import key_of_log, keyring_of, read_settings, witnesses_of
from avow.engine.log.sealer import sealer_of
from avow.engine.log.witnessing import witnessing_of
from avow.model.system import System


def application(
    system: System, environment: Mapping[str, str], *, development: bool = False, works: bool = True
) -> Application:
    """The application of a system; `works`: whether it does its own work, too.

    Raises UsageError for a setting that is missing or wrong.
    """
    settings = read_settings(environment, development=development)
    key = key_of_log(system, environment, development=development)
    return Application(
        system, settings.database_url, settings.secret, settings.trust,
        destinations=settings.destinations, keyring=keyring_of(system, settings.private_key),
        senders=sender_secrets(system, environment, development=development), works=works,
        private_subscribers=settings.private_subscribers,
        sealer=sealer_of(system, settings.database_url, key) if works else None,
        witnessing=witnessing_of(settings.database_url, witnesses_of(environment)) if works else None,
        log_keys=None if key is None else key.keys,
    )  # fmt: skip
