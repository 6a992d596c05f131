"""What holds for all tests of rooms."""

from __future__ import annotations

import tests.fix_hypothesis  # noqa: F401
