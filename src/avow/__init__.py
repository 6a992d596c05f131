"""Avow: declare what must stay true.

These are the words of a declaration; see docs/reference/declaration.md for each. Each is brought when it
is first asked for, so that what needs none of them, such as `avow --version`, doesn't wait for all of them.
What type checkers read is `__init__.pyi`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0.dev0"

_HOMES = {
    "system": "avow.declare.build",
    "calendar": "avow.declare.delay",
    "days": "avow.declare.delay",
    "hours": "avow.declare.delay",
    "minutes": "avow.declare.delay",
    "seconds": "avow.declare.delay",
    "weeks": "avow.declare.delay",
    "Call": "avow.declare.effect",
    "backoff": "avow.declare.effect",
    "effect": "avow.declare.effect",
    "forever": "avow.declare.effect",
    "Policy": "avow.declare.expression",
    "actor": "avow.declare.expression",
    "authenticated": "avow.declare.expression",
    "everybody": "avow.declare.expression",
    "given": "avow.declare.expression",
    "internal": "avow.declare.expression",
    "missing": "avow.declare.expression",
    "not_": "avow.declare.expression",
    "now": "avow.declare.expression",
    "one_of": "avow.declare.expression",
    "opaque": "avow.declare.expression",
    "role": "avow.declare.expression",
    "value": "avow.declare.expression",
    "task": "avow.declare.people",
    "World": "avow.declare.promise",
    "always": "avow.declare.promise",
    "sometimes": "avow.declare.promise",
    "private": "avow.declare.private",
    "reveal": "avow.declare.private",
    "exclude": "avow.declare.rule",
    "invariant": "avow.declare.rule",
    "quota": "avow.declare.rule",
    "unique": "avow.declare.rule",
    "nothing": "avow.declare.saga",
    "parallel": "avow.declare.saga",
    "saga": "avow.declare.saga",
    "step": "avow.declare.saga",
    "hmac_signature": "avow.declare.sender",
    "sender": "avow.declare.sender",
    "standard_webhooks": "avow.declare.sender",
    "stripe_signature": "avow.declare.sender",
    "Entity": "avow.declare.surface",
    "State": "avow.declare.surface",
    "create": "avow.declare.surface",
    "field": "avow.declare.surface",
    "in_state": "avow.declare.surface",
    "limits": "avow.declare.surface",
    "performed": "avow.declare.surface",
    "publish": "avow.declare.surface",
    "read": "avow.declare.surface",
    "ref": "avow.declare.surface",
    "refuse": "avow.declare.surface",
    "transition": "avow.declare.surface",
    "votes": "avow.declare.surface",
    "Actor": "avow.model.actor",
    "Declined": "avow.model.outcome",
    "NotDone": "avow.model.outcome",
    "Unclear": "avow.model.outcome",
    "System": "avow.model.system",
    "Money": "avow.model.values",
    "Subject": "avow.model.values",
}
"""Where each name lives."""

__all__ = sorted(_HOMES)  # noqa: PLE0605  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'avow' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return found
