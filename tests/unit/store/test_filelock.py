"""A file that is replaced as a whole has the old content or the new; the new one where that has to last."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from avow.store.server.filelock import flush, write_private

OLD, NEW = b"old", b"new content" * 1_000


def test_a_write_that_takes_a_part_at_a_time_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is about to be full takes what fits, and says so by no error."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, bytes(data)[:100]))
    write_private(tmp_path / "state", NEW)
    assert (tmp_path / "state").read_bytes() == NEW


def test_a_disk_that_is_full_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_private(tmp_path / "state", OLD)
    write, left = os.write, [150, 0]

    def full(file: int, data: bytes) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, bytes(data)[: left.pop(0)])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        write_private(tmp_path / "state", NEW)
    assert (tmp_path / "state").read_bytes() == OLD


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EROFS, errno.EIO])
def test_only_a_disk_that_fails_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Some file systems have no flushing of folders."""

    def refusing(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refusing)
    if number == errno.EIO:
        with pytest.raises(OSError, match=os.strerror(number)):
            flush(tmp_path)
    else:
        flush(tmp_path)


@pytest.mark.parametrize("lasting", [False, True])
def test_what_has_to_last_has_its_name_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lasting: bool
) -> None:
    flushed, flush = list[int](), os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (flushed.append(os.fstat(file).st_ino), flush(file))[1])
    write_private(tmp_path / "state", NEW, lasting=lasting)
    folder = [tmp_path.stat().st_ino] if lasting else []
    assert flushed == [(tmp_path / "state").stat().st_ino, *folder]
