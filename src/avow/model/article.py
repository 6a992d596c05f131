"""A name with its article, for messages: an owner's words begin as they like."""

from __future__ import annotations

import re
from typing import Final

_AN: Final = re.compile(r"[ai]|e(?!u)|o(?!n(ce|e)\b)|u(?!u|ni|r[aeil]|s[aeu]|t[ei])", re.IGNORECASE)


def with_article(name: str) -> str:
    """`an Order`, `a Payment`, `a User`: by how English says its beginning, as well as letters show that."""
    return f"{'an' if _AN.match(name) else 'a'} {name}"
