"""A verification that was stopped, in a file: where it was, and what it had found."""

from __future__ import annotations

import json
from dataclasses import astuple
from pathlib import Path
from typing import Any, Final

from avow.engine.verify import Verification
from avow.errors import UsageError
from avow.evidence.finding import Finding
from avow.model.system import System
from avow.store.filelock import write_private

_COUNTS: Final = ("entries", "records", "rows", "tenants", "seconds", "found")


class KeptVerification:
    """One file. It belongs to one boundary and one tenant or all of them, and is gone when all is checked."""

    def __init__(self, path: Path, system: System, tenant: str | None) -> None:
        self._path = path
        self._of = [system.fingerprint.hex(), tenant]

    def read(self) -> Verification | None:
        """What was kept; None where there is no file. Raises UsageError for one that is of something else."""
        try:
            held: dict[str, Any] = json.loads(self._path.read_bytes())
            if held["of"] != self._of:
                raise UsageError(
                    f"{self._path} is of another declaration or tenant", "Name another file, or remove it."
                )
            return Verification(
                **{name: held[name] for name in _COUNTS},
                findings=[Finding(*finding) for finding in held["findings"]],
                position=held["position"] and tuple(held["position"]),
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            raise UsageError(
                f"{self._path} isn't what a verification left", "Remove it, to begin again."
            ) from None

    def keep(self, result: Verification) -> None:
        """Keep a verification that was stopped, or remove what was kept of one that is complete."""
        if result.complete:
            self._path.unlink(missing_ok=True)
            return
        held: dict[str, Any] = {name: getattr(result, name) for name in _COUNTS}
        held |= {
            "of": self._of,
            "position": result.position,
            "findings": [astuple(f) for f in result.findings],
        }
        write_private(self._path, json.dumps(held).encode())
