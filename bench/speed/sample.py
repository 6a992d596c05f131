"""One round of one contender, as figures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Sample:
    """What came out of a few seconds.

    p50_ms, p99_ms: of the time that one command takes; pgbench tells their mean instead. python_us,
    postgres_us: CPU microseconds per command. wal_bytes: per command. None: not measured.
    """

    commands: int
    seconds: float
    p50_ms: float | None = None
    p99_ms: float | None = None
    mean_ms: float | None = None
    python_us: float | None = None
    postgres_us: float | None = None
    wal_bytes: float | None = None

    @property
    def rate(self) -> float:
        """Commands in a second."""
        return self.commands / self.seconds

    def described(self) -> dict[str, Any]:
        """As it is printed and kept."""
        rounded = {name: round(value, 2) for name, value in asdict(self).items() if value is not None}
        return {"rate": round(self.rate), **rounded}
