"""Kept findings: files by which a schedule can be seen again, and a ready test beside each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from avow import canonical
from avow.errors import UsageError
from avow.model.system import System
from avow.model.types import Misfit
from avow.prove.finding import Finding
from avow.prove.report.document import finding_json
from avow.prove.schedule import Schedule, schedule_from

FOLDER: Final = Path(".avow") / "prove"
FORMAT: Final = 1
NAME_CHARACTERS: Final = 12
SYSTEM: Final = "system.py"
"""The file that is meant by a folder."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a file says: which phase does which schedule again, and what it was found with."""

    phase: str
    schedule: Schedule
    promise: str
    fingerprint: str
    postgresql: str


def keep(folder: Path, target: str, system: System, finding: Finding, postgresql: str) -> Path:
    """Write a finding, and a test of it; the file is named by its content."""
    told = {
        "format": FORMAT,
        "system": system.name,
        "fingerprint": system.fingerprint.hex(),
        "postgresql": postgresql,
        **finding_json(system, finding),
    }
    schedule = canonical.encode_trusted([told["phase"], told["promise"], json.dumps(told["schedule"])])
    name = hashlib.sha256(schedule).hexdigest()[:NAME_CHARACTERS]
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.json"
    file.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", "utf-8")
    (folder / f"test_{name}.py").write_text(_test(target, file, finding), "utf-8")
    return file


def _test(target: str, file: Path, finding: Finding) -> str:
    told = (f"    {n}. {line.who}: {line.what}" for n, line in enumerate(finding.story, start=1))
    story = "\n".join(map(_within_quotes, told))
    return f'''"""{_within_quotes(finding.sentence)}"""

from pathlib import Path

from avow.testing import Replay

TARGET = {_found_again(target)!r}
SCHEDULE = Path(__file__).with_name({file.name!r})


def test_{_word(finding.promise)}(replay: Replay) -> None:
    """{finding.promise} holds, also after this:

{story}
    """
    replay(SCHEDULE, TARGET)
'''


def _within_quotes(text: str) -> str:
    """A text as it is written within three quotes, whatever stands in it."""
    return text.replace("\\", r"\\").replace('"', r"\"")


def _found_again(target: str) -> str:
    """The target as it is found from wherever the test is moved to in its project: from this folder."""
    head, colon, name = target.rpartition(":")
    path, tail = (Path(target), "") if Path(target).exists() else (Path(head), f"{colon}{name}")
    if not path.exists() or not (head or not tail):
        return target
    file = (path / SYSTEM if path.is_dir() else path).resolve()
    return f"{file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file}{tail}"


def _word(text: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in text.lower()).strip("_")


def read_kept(file: Path, system: System) -> Kept:
    """What a file says. Raises UsageError where it isn't one, or says what this system doesn't know."""
    try:
        told: Mapping[str, Any] = json.loads(file.read_text("utf-8"))
        if told["format"] != FORMAT:
            raise ValueError(f"its format is {told['format']}, and this is for {FORMAT}")
        return Kept(
            str(told["phase"]),
            schedule_from(system, told["schedule"]),
            str(told["promise"]),
            str(told["fingerprint"]),
            str(told["postgresql"]),
        )
    except OSError as error:
        mend = "Name a file that `avow prove` has written to .avow/prove."
        raise UsageError(f"{file} can't be read: {error.strerror}", mend) from None
    except (ValueError, KeyError, TypeError, AttributeError, Misfit) as error:
        mend = "The declaration may have changed since: run `avow prove` again."
        raise UsageError(f"{file} isn't a schedule of {system.name}: {error}", mend) from None
