"""A scope over a plain dictionary of values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from avow.model.actor import Actor, anonymous
from avow.model.expression import Path

NOBODY = anonymous("t")


@dataclass
class PlainRow:
    """What expressions are evaluated against in these tests."""

    values: dict[Path, Any]
    actor: Actor = NOBODY
    now: datetime = datetime(2026, 11, 21, tzinfo=UTC)
    internal: bool = False

    def value(self, path: Path) -> Any:
        return self.values.get(path)

    def state(self, path: Path) -> str | None:
        return None

    def performers(self, transition: str) -> tuple[str, ...] | None:
        return None

    def argument(self, name: str) -> Any:
        return None

    def handle(self) -> Any:
        return None
