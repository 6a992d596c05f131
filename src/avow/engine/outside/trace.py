"""W3C trace context of an outgoing request: the same trace, a parent of its own."""

from __future__ import annotations

import re
import secrets

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 1


def traceparent_below(traceparent: str) -> str:
    """A traceparent with a fresh parent id, in the trace of the given one.

    One that breaks the specification begins a new trace, as it asks (section 3.2.2.3 and 4.3).
    """
    match = _TRACEPARENT.fullmatch(traceparent)
    trace_id, flags = (match[2], match[4]) if match and _is_valid(match) else (_fresh(16), "00")
    return f"00-{trace_id}-{_fresh(8)}-{int(flags, 16) & _SAMPLED:02x}"


def _is_valid(match: re.Match[str]) -> bool:
    version, trace_id, parent_id, rest = match[1], match[2], match[3], match[5]
    is_known = version != "ff" and (rest is None or version != "00")
    return is_known and int(trace_id, 16) != 0 and int(parent_id, 16) != 0


def _fresh(length: int) -> str:
    """Random and not zero, which would mean none."""
    while not int(value := secrets.token_hex(length), 16):
        continue
    return value
