"""Where something is declared."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something is declared."""

    file: str = "?"
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"
