"""Where development keeps everything, and what follows from the service's secret.

Most commands need no more of the settings than this; it loads nothing of what a server needs.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from pathlib import Path

SECRET_CHARACTERS_MIN = 32
PRIVATE_KEYS = "private.keys"
"""The file of keys of keys that `avow dev` makes in its folder."""


def home_folder(environment: Mapping[str, str]) -> Path:
    """Where development keeps everything: AVOW_HOME, or `.avow` in the working directory."""
    return Path(environment.get("AVOW_HOME") or Path.cwd() / ".avow").absolute()


def pepper_of(secret: bytes) -> bytes:
    """The secret under which API keys are stored, derived from the service's own."""
    return hmac.digest(secret, b"avow api keys", "sha256")
