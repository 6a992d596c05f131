"""What `avow doctor` says of what can't be brought about in a test."""

from __future__ import annotations

from avow.cli.doctor import IDS_USED_MAX, transaction_ids


def test_transaction_ids_that_may_run_out_are_told_before_postgresql_refuses_to_write() -> None:
    assert transaction_ids(IDS_USED_MAX).ok
    line = transaction_ids(IDS_USED_MAX + 1)
    assert not line.ok
    assert "VACUUM FREEZE" in line.mend
    assert IDS_USED_MAX < 2**31 // 2
