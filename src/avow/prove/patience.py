"""Patience with the owner's code: what doesn't come to its end is ended, and whoever interrupts isn't kept.

A body, a condition, a promise or a function of a call that runs on without waiting for anything would hold
up the whole run, past its budget and for ever. So the clock asks where the interpreter stands. Where that is
the same run of the same piece of the owner's code for too long, it raises there, as if the code had done so.
"""

from __future__ import annotations

import signal
import sysconfig
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import current_thread, main_thread
from types import CodeType, FrameType
from typing import Final

LOOK_S: Final = 0.5
PATIENCE_S: Final = 5.0
"""How long a piece of the owner's code may run without a break."""
AGAIN_S: Final = 1.0
"""How long one may that has run for too long before."""

_OURS: Final = f"{Path(__file__).resolve().parents[1]}/"
_INSTALLED: Final = tuple(f"{sysconfig.get_path(name)}/" for name in ("stdlib", "purelib", "platlib"))


class NeverEnds(Exception):
    """A piece of the owner's code has run for longer than anybody waits for it."""


class _Watch:
    """Looks, each time it is asked, whether the same run of the same code is still there."""

    def __init__(self) -> None:
        self._seen: FrameType | None = None
        self._looks = 0
        self._known = set[CodeType]()

    def look(self, _number: int, at: FrameType | None) -> None:
        """Raise NeverEnds in what has run for too long."""
        theirs = _owners(at)
        if theirs is None or theirs is not self._seen:
            self._seen, self._looks = theirs, 0
            return
        self._looks += 1
        patience_s = AGAIN_S if theirs.f_code in self._known else PATIENCE_S
        if self._looks * LOOK_S >= patience_s:
            self._known.add(theirs.f_code)
            self._seen, self._looks = None, 0
            raise NeverEnds("it doesn't come to its end")


def _owners(at: FrameType | None) -> FrameType | None:
    """The outermost piece of the owner's code that runs here, called by Avow; None where there is none."""
    found, inner = None, None
    while at is not None:
        file = at.f_code.co_filename
        if file.startswith(_OURS):
            found = inner or found
        elif not file.startswith(("<", *_INSTALLED)):
            inner = at
        at = at.f_back
    return found


@contextmanager
def patient() -> Generator[None]:
    """Within, the owner's code that doesn't come to its end is ended. Only the main thread can be."""
    if current_thread() is not main_thread():
        yield
        return
    known = signal.signal(signal.SIGALRM, _Watch().look)
    signal.setitimer(signal.ITIMER_REAL, LOOK_S, LOOK_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, known)


@contextmanager
def interrupted_at_once() -> Generator[None]:
    """Within, an interrupt ends what is computed where it stands; else a loop waits until that is done.

    For what awaits nothing, and leaves nothing behind.
    """
    known = signal.getsignal(signal.SIGINT)
    if current_thread() is not main_thread() or not callable(known):
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, known)
