"""A folder of one run's own below `.avow`, with its database; nothing of it is left afterwards.

What a killed run left behind is removed by the next one. It must never touch a run that is alive.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from avow.errors import EnvironmentFault
from avow.store.server import cluster

LOCK = "run.lock"


@contextmanager
def own_home(state: Path, prefix: str) -> Generator[Path]:
    """A new folder `state`/`prefix`-..., removed in the end with the database that was started in it.

    Raises EnvironmentFault where it can't be made.
    """
    try:
        state.mkdir(exist_ok=True)
        _sweep(state, prefix)
        home = Path(tempfile.mkdtemp(prefix=f"{prefix}-", dir=state))
        home.chmod(0o711)  # as root, the database's server runs under another account
        lock = _lock(home)
    except OSError as error:
        raise EnvironmentFault(
            "home-unwritable",
            f"{state} can't be written: {error.strerror}.",
            "Make this folder writable for you, or clone it to one of your own.",
        ) from error
    try:
        yield home
    finally:
        _remove(home)
        if lock is not None:
            os.close(lock)


def _sweep(state: Path, prefix: str) -> None:
    """Remove what runs that were killed have left."""
    for home in state.glob(f"{prefix}-*"):
        lock = _lock(home)
        if lock is not None:
            _remove(home)
            os.close(lock)


def _lock(home: Path) -> int | None:
    """The lock of a living run, if nobody holds it; it goes with the process."""
    try:
        descriptor = os.open(home / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return None  # removed meanwhile, or another account's
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _remove(home: Path) -> None:
    cluster.destroy(home)
    shutil.rmtree(home, ignore_errors=True)
