"""`python -m examples.twins.checkout --port 0`: serve and work, and print one JSON line when ready."""

from __future__ import annotations

import sys

from examples.twins.service.serving import serve

from .app import build


def main() -> int:
    return serve("checkout", __doc__, build, "TWIN_PROVIDER_URL", "TWIN_WEBHOOK_SECRET")


if __name__ == "__main__":
    sys.exit(main())
