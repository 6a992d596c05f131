"""CONCEALS what is private, and shows it to whom the declaration lets see it: the one place with keys."""

from __future__ import annotations

from avow.engine.privacy.concealing import (
    Concealing,
    Given,
    PrivateArgument,
    conceal,
    concealing_of,
    private_arguments,
)
from avow.engine.privacy.hiding import hidden, holds_any
from avow.engine.privacy.keyring import FileKeyring, Keyring, MemoryKeyring
from avow.engine.privacy.reader import Reader
from avow.engine.privacy.rotation import rewrap_all
from avow.engine.privacy.vault import OF_TENANT, KeyMissing, Opened, Vault

__all__ = [
    "OF_TENANT",
    "Concealing",
    "FileKeyring",
    "Given",
    "KeyMissing",
    "Keyring",
    "MemoryKeyring",
    "Opened",
    "PrivateArgument",
    "Reader",
    "Vault",
    "conceal",
    "concealing_of",
    "hidden",
    "holds_any",
    "private_arguments",
    "rewrap_all",
]
