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

    The revision's own files are read, also where the target had another name, and its declaration is run in a
    process of its own. Raises UsageError where the target lies in no repository, or nothing can be loaded of
    that revision.
    """
    found = find_target(target)
    if found.file is None:
        raise UsageError("--changed-since needs a folder or a file", "Name the application by its path.")
    mend = "Name a target that lies in a Git repository, or leave --changed-since out."
    top = Path(_git(found.file.parent, mend, "rev-parse", "--show-toplevel").decode().strip())
    mend = "Name a revision, such as main or HEAD~1."
    commit = (
        _git(top, mend, "rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}")
        .decode()
        .strip()
    )
    with tempfile.TemporaryDirectory() as folder:
        packed = _git(top, mend, "archive", "--format=zip", commit)
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            archive.extractall(folder)  # it leads nothing out of the folder, and makes no links
        then = Path(folder) / _name_at(top, commit, found.file.relative_to(top))
        before = _description(f"{then}:{found.name}" if found.name else str(then), revision)
    return frozenset(_moved(before, json.loads(system.description)))


def _name_at(top: Path, commit: str, file: Path) -> Path:
    """What a file was called then, where Git sees that it was renamed since."""
    told = _git(top, "", "diff", "-z", "--name-status", "--find-renames", "--diff-filter=R", commit, "--")
    words = told.decode(errors="surrogateescape").split("\0")
    renamed = dict(zip(words[2::3], words[1::3], strict=False))
    return Path(renamed.get(str(file), str(file)))


def _git(folder: Path, mend: str, *words: str) -> bytes:
    try:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, timeout=SECONDS_MAX)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(
            f"git can't be asked: {error}", "Install Git, or leave --changed-since out."
        ) from None
    if done.returncode:
        said = (done.stderr.decode(errors="replace").splitlines() or [""])[-1]
        raise UsageError(f"git refuses: {said}", mend)
    return done.stdout


def _description(target: str, revision: str) -> Mapping[str, Any]:
    mend = "Name a revision at which the application can be loaded."
    asked = [sys.executable, "-c", _TELL, target]
    try:
        told = subprocess.run(asked, capture_output=True, timeout=SECONDS_MAX, check=False)
    except subprocess.TimeoutExpired:
        raise UsageError(f"what {revision} declares isn't loaded in {SECONDS_MAX} s", mend) from None
    if told.returncode:
        said = (told.stderr.decode(errors="replace").splitlines() or ["it ends"])[-1]
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
