"""`python -m avow.evidence.verifier RECEIPT --key FILE [--policy FILE]`: a verdict without the rest of Avow.

Exit codes: 0 VALID, 1 INVALID, 2 usage.
"""

from __future__ import annotations

import argparse
import sys

from avow.evidence.verifier.policy import Policy, believing, parse_keys, parse_policy
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
        policy = _policy(given.key, given.policy)
        data = _read(given.receipt)
    except (OSError, UnicodeDecodeError, Invalid) as error:
        parser.error(str(error))
    try:
        sys.stdout.write(f"VALID\n{verify(data, policy).statement}")
    except Invalid as error:
        sys.stdout.write(f"INVALID: {error}\n")
        return 1
    return 0


def _policy(key: str | None, policy: str | None) -> Policy:
    logs = () if key is None else parse_keys(_read(key).decode())
    told = believing(()) if policy is None else parse_policy(_read(policy).decode())
    if not (logs or told.logs):
        raise Invalid("whom do you believe? give --key, or a --policy with a log")
    return told._replace(logs=(*told.logs, *(key for key in logs if key not in told.logs)))


def _read(place: str) -> bytes:
    with open(place, "rb") as file:
        return file.read(RECEIPT_BYTES_MAX + 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
