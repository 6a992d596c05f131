"""What users import in their tests: the outside services that their system calls, simulated."""

from __future__ import annotations

from avow.testing.client import ControlError, Provider
from avow.testing.provider.behaviour import Fault
from avow.testing.provider.ledger import Doubled, Entry, Ledger
from avow.testing.provider.webhooks import webhook_headers
from avow.testing.stage import Found, Person, Refused, Stage, stage

__all__ = [
    "ControlError", "Doubled", "Entry", "Fault", "Found", "Ledger", "Person", "Provider", "Refused", "Stage",
    "stage", "webhook_headers",
]  # fmt: skip
