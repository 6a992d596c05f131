"""Where in the owner's source something was declared, and misuse that Python itself can't report."""

from __future__ import annotations

import sys
from types import FrameType

from avow.errors import Mistake
from avow.model.entity import Place

_misuses: list[Mistake] = []


def declaring_frame() -> FrameType:
    """The innermost frame outside this room: the owner's line that is being executed."""
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("avow.declare"):
        frame = frame.f_back
    return frame


def here() -> Place:
    """The place of the declaration that is being executed."""
    frame = declaring_frame()
    return Place(frame.f_code.co_filename, frame.f_lineno)


def misuse(code: str, detail: str, mend: str) -> None:
    """Remember a misuse inside a class body, so that it is reported with all other mistakes."""
    place = here()
    _misuses.append(Mistake(place.file, place.line, code, detail, mend))


def take_misuses(files: set[str]) -> list[Mistake]:
    """Hand over, once, what was remembered for these files."""
    found = [mistake for mistake in _misuses if mistake.file in files]
    _misuses[:] = [mistake for mistake in _misuses if mistake.file not in files]
    return found
