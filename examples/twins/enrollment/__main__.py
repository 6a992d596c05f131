"""`python -m examples.twins.enrollment --port 0`: serve, and print one JSON line when ready."""

from __future__ import annotations

import sys

from examples.twins.service.serving import serve

from .app import build


def main() -> int:
    return serve("enrollment", __doc__, build)


if __name__ == "__main__":
    sys.exit(main())
