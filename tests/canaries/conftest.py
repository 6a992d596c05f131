"""Canaries on the real engine begin with a rig."""

from __future__ import annotations

from tests.canaries.fix_rig import on, own

__all__ = ["on", "own"]
