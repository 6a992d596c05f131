"""A verification that was stopped is read again as it was, and says what the log must go on from."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from avow.cli.kept_verification import KeptVerification
from avow.engine.verify import LogsSeen, PrivateSeen, Verification
from avow.errors import UsageError
from avow.evidence.finding import Finding
from examples.enrollment.system import app

STOPPED = Verification(
    entries=7, records=3, tenants=1, rows_of=Counter({"Course": 2, "Enrollment": 1}), found=1,
    findings=[Finding("main", "Course", "id", 2, "seats", "value-edited", "edited")],
    private=PrivateSeen(4, 3, Counter({57: 2})), position=("main", "Course", "id"), seconds=1.5,
    logs=LogsSeen(newest="enrollment.avow/1", covered=9, root="ab" * 32),
)  # fmt: skip


def test_what_was_kept_is_what_is_gone_on_with(tmp_path: Path) -> None:
    kept = KeptVerification(tmp_path / "part", app, None)
    assert kept.read() is None
    kept.keep(STOPPED)
    again = KeptVerification(tmp_path / "part", app, None)
    assert again.read() == STOPPED
    assert len(again.stops) == 1
    saved = again.saved(STOPPED)
    assert saved is not None
    assert (saved.checkpoint.size, saved.checkpoint.root) == (9, bytes.fromhex("ab" * 32))
    with pytest.raises(UsageError, match="another declaration or tenant"):
        KeptVerification(tmp_path / "part", app, "main").read()
    again.keep(Verification(complete=True))
    assert kept.read() is None
