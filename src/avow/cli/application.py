"""The application as the command line serves it: with its settings, and with the worker inside."""

from __future__ import annotations

import time
from collections.abc import Mapping

from avow.api.app import Application
from avow.cli.settings import read_settings, sender_secrets
from avow.engine.outside import Http, Outside
from avow.model.effect import Effect
from avow.model.system import System
from avow.store.queue import Work


def application(system: System, environment: Mapping[str, str], *, development: bool = False) -> Application:
    """The application of a system. Raises UsageError for a setting that is missing or wrong."""
    settings = read_settings(environment, development=development)
    secrets = sender_secrets(system, environment, development=development)
    outside = Outside()

    def http(effect: Effect, work: Work, key: str) -> Http:
        return outside.http(key=key, deadline=time.monotonic() + effect.timeout_s)

    private = development or environment.get("AVOW_PRIVATE_SUBSCRIBERS") == "1"
    return Application(system, settings.database_url, settings.secret, settings.trust, http, secrets, private)
