"""Properties are tried on the same examples in each run, and Hypothesis doesn't ask how busy the machine is.

So that a change fails by what it changes, never by what was drawn. Who looks for more draws anew with
`./test unit --hypothesis-profile chance`, and keeps what is found as an example.

Imported by the `conftest.py` of folders whose tests use it, before them.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

BUSY = [HealthCheck.too_slow]

settings.register_profile("avow", deadline=None, suppress_health_check=BUSY, derandomize=True)
settings.register_profile("chance", deadline=None, suppress_health_check=BUSY, derandomize=False)
settings.load_profile("avow")
