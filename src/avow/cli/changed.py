"""What a change has moved: the boundaries of a target now, beside those at a revision of its repository."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from avow.cli.target import find_target
from avow.errors import UsageError
from avow.model.system import System

SECONDS_MAX: Final = 60
_TELL: Final = """
import sys
from avow.cli.target import load_target
sys.stdout.buffer.write(load_target(sys.argv[1]).description)
"""


def moved_since(system: System, target: str, revision: str) -> frozenset[str]:
    """The names of what isn't as it was: `Entity`, `Entity.transition`, or a promise.

    The revision's own files are read, and its declaration is run in a process of its own. Raises UsageError
    where the target lies in no repository, or the revision declares nothing.
    """
    file = find_target(target).file
    if file is None:
        raise UsageError("--changed-since needs a folder or a file", "Name the application by its path.")
    top = Path(_git(file.parent, "rev-parse", "--show-toplevel").decode().strip())
    with tempfile.TemporaryDirectory() as folder:
        packed = _git(top, "archive", "--format=zip", revision)
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            archive.extractall(folder)  # it leads nothing out of the folder, and makes no links
        before = _description(Path(folder) / file.relative_to(top), revision)
    return frozenset(_moved(before, json.loads(system.description)))


def _git(folder: Path, *words: str) -> bytes:
    try:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, timeout=SECONDS_MAX)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(
            f"git can't be asked: {error}", "Install Git, or leave --changed-since out."
        ) from None
    if done.returncode:
        said = (done.stderr.decode(errors="replace").splitlines() or [""])[-1]
        raise UsageError(f"git refuses: {said}", "Name a revision, such as main or HEAD~1.")
    return done.stdout


def _description(file: Path, revision: str) -> Mapping[str, Any]:
    told = subprocess.run(
        [sys.executable, "-c", _TELL, str(file)], capture_output=True, timeout=SECONDS_MAX, check=False
    )
    if told.returncode:
        said = (told.stderr.decode(errors="replace").splitlines() or ["it ends"])[-1]
        mend = "Name a revision at which the application can be loaded."
        raise UsageError(f"what {revision} declares can't be read: {said}", mend)
    return json.loads(told.stdout)


def _moved(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for name, entity in after["entities"].items():
        was: Mapping[str, Any] = before["entities"].get(name, {})
        transitions, known = entity["transitions"], was.get("transitions", {})
        yield from (f"{name}.{t}" for t, told in transitions.items() if told != known.get(t))
        others = (told != was.get(part) for part, told in entity.items() if part != "transitions")
        if any(others) or known.keys() - transitions.keys():
            yield name
    told, promised = before.get("promises", {}), after.get("promises", {})
    yield from (name for name, source in promised.items() if source != told.get(name))
