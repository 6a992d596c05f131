"""Whole-file locks between processes, which the system itself drops when their last holder dies.

A lock belongs to the open file: a child that inherits the descriptor holds it too. That is how a starting
PostgreSQL shows that it is alive, without process ids that may be reused. This module must never delete a
lock file: another process may hold a lock on it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path

POLL_S = 0.01
NOT_FLUSHED = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EROFS})
"""How file systems say that they don't flush this."""


def open_private(path: Path | str, flags: int) -> int:
    """Open a file of ours, made with mode 0600 when it is missing; never through a symbolic link.

    Made by root in somebody else's folder, the file belongs to the folder's owner. Raises OSError.
    """
    descriptor = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    if os.geteuid() == 0:
        owner = os.stat(os.path.dirname(path) or ".")
        if os.fstat(descriptor).st_uid != owner.st_uid:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
    return descriptor


def write_private(path: Path, content: bytes, *, lasting: bool = False) -> None:
    """Replace a file of ours as a whole: after a crash it holds the old content or the new.

    lasting: the new one, also where the machine lost its power. Raises OSError; the old content stays then.
    """
    staged = f"{path}.new"
    descriptor = open_private(staged, os.O_WRONLY | os.O_TRUNC)
    try:
        rest = memoryview(content)
        while rest:  # a disk that becomes full takes a part first
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(staged, path)
    if lasting:
        settle(path)


def settle(path: Path) -> None:
    """Have the name of a file on the disk, after its content: a rename alone may be undone by a crash."""
    flush(path.parent)


def flush(path: Path | str) -> None:
    """Have what a file holds on the disk, or the names in a folder. Raises OSError.

    Where the file system is read-only, or offers no such thing for folders, there is nothing to be done.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as fault:
        if fault.errno not in NOT_FLUSHED:
            raise
    finally:
        os.close(descriptor)


class FileLock:
    """One open lock file. Closing it drops the lock, unless a child process inherited it."""

    def __init__(self, path: Path) -> None:
        self.descriptor = open_private(path, os.O_RDWR)

    def try_exclusive(self) -> bool:
        """Take the lock alone, now; False when anybody else holds it (a shared lock of ours is then lost)."""
        return self._try(fcntl.LOCK_EX)

    def try_shared(self) -> bool:
        """Take the lock together with others, now; False when somebody holds it alone."""
        return self._try(fcntl.LOCK_SH)

    def exclusive_within(self, timeout_s: float) -> bool:
        """Take the lock alone, waiting for others at most `timeout_s` seconds."""
        deadline = time.monotonic() + timeout_s
        while not self.try_exclusive():
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_S)
        return True

    def is_free(self) -> bool:
        """True when nobody holds the lock at this moment; this object must not hold it."""
        if not self.try_shared():
            return False
        self.unlock()
        return True

    def unlock(self) -> None:
        """Give the lock back; the file stays open."""
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file. May be called twice."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def _try(self, kind: int) -> bool:
        try:
            fcntl.flock(self.descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
