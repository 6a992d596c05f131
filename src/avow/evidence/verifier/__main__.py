"""`python -m avow.evidence.verifier RECEIPT --key FILE [--policy FILE]`: a verdict without the rest of Avow.

Exit codes: 0 VALID, 1 INVALID, 2 usage.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from avow.evidence.verifier.policy import policy_of
from avow.evidence.verifier.receipt import RECEIPT_BYTES_MAX, verify
from avow.evidence.verifier.text import Invalid


def main(arguments: list[str]) -> int:
    """Verify one receipt, and say what it shows."""
    parser = argparse.ArgumentParser(
        prog="python -m avow.evidence.verifier", description="Check a receipt (tlog-proof)."
    )
    parser.add_argument("receipt")
    parser.add_argument("--key", help="the log's public key, which you have from somewhere else")
    parser.add_argument("--policy", help="the logs and witnesses that you believe (c2sp.org/tlog-policy)")
    given = parser.parse_args(arguments)
    try:
        key, told = (None if file is None else _read(file).decode() for file in (given.key, given.policy))
        policy = policy_of(key, told)
        data = _read(given.receipt)
    except (OSError, UnicodeDecodeError, Invalid) as error:
        parser.error(str(error))
    reconfigure: Any = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:  # a verdict is said on any terminal, whatever it can't show
        reconfigure(errors="backslashreplace")
    try:
        sys.stdout.write(f"VALID\n{verify(data, policy).statement}")
    except Invalid as error:
        sys.stdout.write(f"INVALID: {error}\n")
        return 1
    return 0


def _read(place: str) -> bytes:
    with open(place, "rb") as file:
        return file.read(RECEIPT_BYTES_MAX + 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
