"""A verification that was stopped, in a file: where it was, what it had found, and what the log was then.

What was checked before isn't checked again: it held as of the checkpoints that are named here. The log must
go on from the newest of them, so that a past that was rewritten as a whole doesn't pass; an edit of what was
checked already is found by the next whole verification.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from avow.engine.verify import LogsSeen, PrivateSeen, Verification
from avow.errors import UsageError
from avow.evidence.finding import Finding
from avow.evidence.log_check import Saved
from avow.evidence.verifier import Checkpoint
from avow.model.system import System
from avow.store.server.filelock import write_private

_COUNTS: Final = ("entries", "records", "tenants", "seconds", "found")


class KeptVerification:
    """One file. It belongs to one boundary and one tenant or all of them, and is gone when all is checked."""

    def __init__(self, path: Path, system: System, tenant: str | None) -> None:
        self._path = path
        self._of = [system.fingerprint.hex(), tenant]
        self._stops = list[str]()

    @property
    def stops(self) -> Sequence[str]:
        """When it was stopped, each time, in words; what was checked until then is told as it was then."""
        return self._stops

    def read(self) -> Verification | None:
        """What was kept; None where there is no file. Raises UsageError for one that is of something else."""
        try:
            held: dict[str, Any] = json.loads(self._path.read_bytes())
            if held["of"] != self._of:
                raise UsageError(
                    f"{self._path} is of another declaration or tenant", "Name another file, or remove it."
                )
            self._stops = [str(stop) for stop in held["stops"]]
            return Verification(
                **{name: held[name] for name in _COUNTS},
                rows_of=Counter(held["rows"]),
                private=PrivateSeen(
                    held["private"],
                    held["opened"],
                    Counter({int(entry): n for entry, n in held["erased"].items()}),
                ),
                logs=LogsSeen(newest=held["origin"], covered=held["size"], root=held["root"]),
                findings=[Finding(*finding) for finding in held["findings"]],
                position=held["position"] and tuple(held["position"]),
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            raise UsageError(
                f"{self._path} isn't what a verification left", "Remove it, to begin again."
            ) from None

    def saved(self, earlier: Verification) -> Saved | None:
        """What the log was when it was stopped: it must go on from there. None: it had no checkpoint."""
        logs = earlier.logs
        if not logs.root:
            return None
        return Saved(Checkpoint(logs.newest, logs.covered, bytes.fromhex(logs.root)), str(self._path))

    def keep(self, result: Verification) -> None:
        """Keep a verification that was stopped, or remove what was kept of one that is complete."""
        if result.complete:
            self._path.unlink(missing_ok=True)
            return
        held: dict[str, Any] = {name: getattr(result, name) for name in _COUNTS}
        held |= {
            "of": self._of,
            "position": result.position,
            "rows": result.rows_of,
            "private": result.private.kept,
            "opened": result.private.opened,
            "erased": result.private.erased,
            "origin": result.logs.newest,
            "size": result.logs.covered,
            "root": result.logs.root,
            "stops": [*self._stops, f"{datetime.now(UTC):%Y-%m-%d %H:%M:%SZ}"],
            "findings": [astuple(f) for f in result.findings],
        }
        write_private(self._path, json.dumps(held).encode())
