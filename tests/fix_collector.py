"""The garbage collector looks less often, and never at what was loaded before the first test.

There is much of that, and it stays: going through it again and again took a tenth of the time of all tests.
"""

from __future__ import annotations

import gc

GARBAGE_OBJECTS = 20_000
"""How many more objects than before there have to be for the collector to look."""


def pytest_collection_finish() -> None:
    look_less_often()


def look_less_often() -> None:
    """From here on, and at nothing of what there is by now."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS)
