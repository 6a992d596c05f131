"""The audit entry that a careful service writes: who did what to which version, chained by SHA-256."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from uuid import UUID, uuid4


def entry(
    record: UUID, version: int, prev: bytes, subject: str, amount: int, captured: int
) -> tuple[bytes, bytes]:
    """The header of one capture and its hash, with what Avow's own says."""
    header = {
        "actor": {"credential": "token", "roles": ["clerk"], "subject": subject},
        "app": "payment",
        "at": datetime.now(UTC).isoformat(),
        "boundary": "0" * 64,
        "cause": None,
        "changes": {"captured": captured},
        "command": str(uuid4()),
        "from": "open",
        "id": str(record),
        "input": {"amount": amount},
        "kind": "Payment",
        "prev": prev.hex(),
        "reads": [["Payment", str(record), version - 1]],
        "request": str(uuid4()),
        "tenant": "main",
        "to": "open",
        "transition": "capture",
        "v": 1,
        "ver": version,
    }
    data = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    return data, hashlib.sha256(b"\x00" + data).digest()


def fingerprint(record: UUID, amount: int) -> bytes:
    """What makes a request the same again."""
    return hashlib.sha256(f"{record} {amount}".encode()).digest()
