"""Fixtures for all tests; each plugin says at its head what it gives."""

from __future__ import annotations

pytest_plugins = ["tests.fix_collector", "tests.fix_database"]
