"""Percent-encoding (RFC 3986, section 2.1), undone once; malformed text and what isn't UTF-8 is nothing."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

_MALFORMED: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def percent_decoded(raw: bytes) -> str | None:
    """What is encoded; None where it is malformed or not UTF-8."""
    if _MALFORMED.search(raw):
        return None
    try:
        return unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        return None
