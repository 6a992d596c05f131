"""CHECKS that what is stored still agrees with itself, and with what was signed. It must never write."""

from __future__ import annotations

from avow.engine.verify.logs import LogsSeen, Outside
from avow.engine.verify.private import PrivateSeen
from avow.engine.verify.verification import Beside, Verification, verify

__all__ = ["Beside", "LogsSeen", "Outside", "PrivateSeen", "Verification", "verify"]
