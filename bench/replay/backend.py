"""The backend of one replay, on a database of its own."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from bench.replay.report import say
from bench.replay.root import ROOT
from examples.demo.declared import Declared
from examples.demo.home import own_home


@contextmanager
def backend(target: Path, name: str) -> Generator[Declared]:
    """Set up, not yet started; everything is made below `.avow` and removed afterwards.

    name: of the replay. Raises EnvironmentFault where no database can be started.
    """
    with own_home(ROOT / ".avow", name) as home:
        declared = Declared.set_up(target, home, say)
        try:
            yield declared
        finally:
            declared.stop()
