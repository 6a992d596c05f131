"""A hand-written server, as its README starts it, ending when whoever started it is gone.

The first argument names its folder in `examples/twins`; the rest are the server's own. The other end of our
standard input is held by the demo: it closes however that one ends.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading


def watch() -> None:
    """Wait for the end of standard input, then leave at once: there is nobody to answer any more."""
    while os.read(0, 1024):
        pass
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
    sys.exit(importlib.import_module(f"examples.twins.{sys.argv.pop(1)}.__main__").main())
