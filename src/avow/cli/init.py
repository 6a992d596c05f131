"""`avow init`: a working application in at most five files. It must never overwrite one."""

from __future__ import annotations

import os
import re
import shlex
from importlib.resources import files
from pathlib import Path
from typing import Final

import click

from avow.cli import output
from avow.cli.target import FILE_NAME
from avow.errors import UsageError

NAME_CHARACTERS_MAX: Final = 40
FILES: Final = {
    FILE_NAME: "system.py.txt",
    "test_system.py": "test_system.py.txt",
    "README.md": "README.md.txt",
    "pyproject.toml": "pyproject.toml.txt",
    ".gitignore": "gitignore.txt",
}


@click.command(name="init")
@click.argument("directory", default=".", metavar="[DIR]")
@output.json_option
def command(directory: str, as_json: bool) -> int:
    """Make a new application in DIR, by default the current folder; its name is the folder's.

    An application that is there already is refused. Other files that are there stay as they are.
    """
    folder = Path(directory)
    name = application_name(folder.resolve().name)
    made, kept = _write(folder, name)
    if as_json:
        output.document({"name": name, "directory": str(folder), "made": made, "kept": kept})
    else:
        output.data("\n".join(f"{folder / file}" for file in made))
    for file in kept:
        output.talk(f"{folder / file} was there; it stays as it is")
    where = "" if directory in ("", ".") else f" {shlex.quote(directory)}"
    output.talk(f"{name} is made. Next: avow check{where}")
    return output.HOLDS


def application_name(folder: str) -> str:
    """The name of an application, from its folder's: lower-case words joined by _, as a schema needs it."""
    words = re.sub(r"[^a-z0-9]+", "_", folder.lower(), flags=re.ASCII).strip("_")
    name = words[:NAME_CHARACTERS_MAX].strip("_")
    if not name:
        return "app"
    # A schema of PostgreSQL or of Avow, or a digit in front, can't be a name.
    taken = name in {"avow", "public", "information_schema"} or name.startswith("pg_")
    return f"app_{name}" if taken or name[0].isdigit() else name


def _write(folder: Path, name: str) -> tuple[list[str], list[str]]:
    """Write the files that aren't there; gives back which were made and which were kept."""
    made, kept = list[str](), list[str]()
    try:
        if os.path.lexists(folder / FILE_NAME):  # also a link that leads nowhere
            raise UsageError(
                f"{folder / FILE_NAME} is there already", "Name another folder: `avow init DIR`."
            )
        folder.mkdir(parents=True, exist_ok=True)
        for file, source in FILES.items():
            text = files("avow.cli").joinpath("scaffold", source).read_text(encoding="utf-8")
            text = text.replace("DISTRIBUTION", name.replace("_", "-")).replace("NAME", name)
            try:
                with (folder / file).open("x", encoding="utf-8", newline="\n") as written:
                    written.write(text)
            except FileExistsError:
                kept.append(file)
            else:
                made.append(file)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise UsageError(
            f"{folder} can't be written: {reason}", "Name a folder that you may write to."
        ) from None
    return made, kept
