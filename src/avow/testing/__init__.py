"""What users import in their tests: the outside services that their system calls, simulated."""

from __future__ import annotations

from avow.testing.client import ControlError, Provider
from avow.testing.provider.behaviour import Fault
from avow.testing.provider.ledger import Doubled, Entry, Ledger
from avow.testing.provider.webhooks import webhook_headers

__all__ = ["ControlError", "Doubled", "Entry", "Fault", "Ledger", "Provider", "webhook_headers"]
