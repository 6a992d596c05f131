"""Fixtures for all tests; each plugin says at its head what it gives."""

from __future__ import annotations

import os

pytest_plugins = ["tests.fix_collector", "tests.fix_database"]

# Where root tests, PostgreSQL has another account, which goes through the folders that tests make.
os.umask(0o022)
