"""base64url without padding (RFC 4648, section 5), one spelling per value.

A value with several spellings would have several cursors or tokens; it must never be accepted.
"""

from __future__ import annotations

import base64
import binascii


def encode(data: bytes) -> str:
    """Spell `data` in base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode(text: str) -> bytes:
    """Read the one canonical spelling; raises ValueError for padding, other characters, stray bits."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64url") from error
    if encode(data) != text:
        raise ValueError("not the canonical base64url spelling")
    return data
