"""The door for people's hands: the command `avow`.

It must never decide anything itself: every verb asks the rooms below and shows what they say. Each
module named like a verb holds that verb; it is imported only when the verb is used.
"""

from __future__ import annotations

import sys
from typing import Any

from avow import __version__


def main() -> int:
    """Run `avow` with the arguments of this process; gives back the exit code."""
    if sys.argv[1:] == ["--version"]:
        # Asked by scripts, often: answered before anything else is loaded.
        print(f"avow {__version__}")
        return 0
    from avow.cli.group import run

    reconfigure: Any = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:  # what a terminal can't show is no reason to fail
        reconfigure(errors="backslashreplace")
    return run(sys.argv[1:])
