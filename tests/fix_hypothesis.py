"""Hypothesis doesn't ask how busy this machine is, by how long an example takes or is made.

Imported by the `conftest.py` of folders whose tests use it, before them.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("avow", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("avow")
