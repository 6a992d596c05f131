"""What users import in their tests: the application under test, and the outside that it calls, simulated.

Each name is brought when it is first asked for: the plugin of pytest is loaded with every run, and must wait
for nothing. What type checkers read is `__init__.pyi`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "Due": "avow.testing.attack",
    "Broken": "avow.testing.attack",
    "End": "avow.testing.attack",
    "Order": "avow.testing.attack",
    "As": "avow.testing.backend",
    "Backend": "avow.testing.backend",
    "Client": "avow.testing.backend",
    "Clock": "avow.testing.backend",
    "Crash": "avow.testing.backend",
    "Race": "avow.testing.backend",
    "Replay": "avow.testing.backend",
    "ControlError": "avow.testing.client",
    "Provider": "avow.testing.client",
    "Database": "avow.testing.databases",
    "Fault": "avow.testing.provider.behaviour",
    "Doubled": "avow.testing.provider.ledger",
    "Entry": "avow.testing.provider.ledger",
    "Ledger": "avow.testing.provider.ledger",
    "webhook_headers": "avow.testing.provider.webhooks",
    "Crashed": "avow.testing.staging",
    "Found": "avow.testing.staging",
    "Person": "avow.testing.staging",
    "Refused": "avow.testing.staging",
    "Stage": "avow.testing.staging",
    "stage": "avow.testing.staging",
}
"""Where each name lives."""
_OF_THE_PLUGIN = {
    "Portal": "avow.testing.portal",
    "System": "avow.model.system",
    "backend_on": "avow.testing.backend",
    "own_databases": "avow.testing.databases",
    "replay": "avow.testing.backend",
}
"""The same of what the plugin of pytest alone takes from here."""

__all__ = sorted(_HOMES)  # noqa: PLE0605  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name) or _OF_THE_PLUGIN.get(name)
    if home is None:
        raise AttributeError(f"module 'avow.testing' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(home), name)
    return found
