"""`python -m avow.cli` is `avow`."""

from __future__ import annotations

import sys

from avow.cli import main

if __name__ == "__main__":
    sys.exit(main())
