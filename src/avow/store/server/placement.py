"""Decide where a local server's data stands and which binaries it runs, so that its account can reach both.

Normally both stay where they are: the data in the application's own folder, the binaries in their package.
Only for root can that fail, because the server runs under another account that may not pass a parent folder
(such as /root). Then the data, and a copy of the binaries, go into a folder of ours under /var.

This module must never change the permission or the owner of a folder that it did not make, and never delete
data except in `remove`.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from avow.errors import EnvironmentFault
from avow.store.server import account as accounts
from avow.store.server.account import Account
from avow.store.server.binaries import Binaries
from avow.store.server.filelock import FileLock, write_private

# PostgreSQL itself cuts paths at 1,024 bytes; below the data directory it needs some of them.
DATA_PATH_BYTES_MAX = 900
COPY_LOCK_TIMEOUT_S = 120.0

OUTSIDE_BASES = (Path("/var/lib"), Path("/var/db"), Path("/var/tmp"))
_NOT_COPIED = ("include", "pgxs", "pkgconfig", "doc", "man", "__pycache__")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the data directory stands (or will), and the account that the server runs under."""

    data_dir: Path
    account: Account | None


def existing(home: Path) -> Place | None:
    """The place of data that was made before; None when this home has none.

    Raises EnvironmentFault when the data is somebody else's or can't be reached.
    """
    data_dir = home / "pg"
    recorded = _recorded_folder(home)
    if recorded is not None:
        data_dir = recorded / "pg"
    try:
        owner_uid = os.lstat(data_dir).st_uid
    except FileNotFoundError:
        return None
    except PermissionError as fault:
        raise _foreign(data_dir) from fault
    try:
        os.stat(data_dir / "PG_VERSION")
    except PermissionError as fault:
        raise _foreign(data_dir) from fault
    except FileNotFoundError as fault:
        raise EnvironmentFault(
            "data-unknown",
            f"{data_dir} is not a PostgreSQL data directory.",
            "Move it away, then start again. Avow does not delete what it did not make.",
        ) from fault
    if not accounts.is_root() and owner_uid != os.geteuid():
        raise _foreign(data_dir)
    place = Place(data_dir, accounts.choose(owner_uid))
    if place.account is not None and not accounts.may_enter(data_dir, place.account):
        raise EnvironmentFault(
            "data-unreachable",
            f"The account {place.account.name}, which the data belongs to, can't enter {data_dir}.",
            "Let that account pass through the parent folders again (x), or move the project back.",
        )
    return place


def new(home: Path, say: Callable[[str], None]) -> Place:
    """A place for data that does not exist yet; records it in `home` when it is outside of it.

    Raises EnvironmentFault (`data-unplaceable`, `path-too-long`, `root-refused`,
    `account-nameless`).
    """
    accounts.require_name()
    chosen = accounts.choose(None)
    tried: list[str] = []
    recorded = _recorded_folder(home)
    for parent in (recorded, home) if recorded is not None else (home,):
        fault = _unfit(parent, chosen)
        if fault is None:
            return _checked(Place(parent / "pg", chosen))
        tried.append(fault)
    if chosen is not None:
        for base in OUTSIDE_BASES:
            folder, fault = _make_outside(base, home, chosen, say)
            if folder is not None:
                write_private(home / "pg.location", os.fsencode(folder) + b"\n")
                say(f"The account {chosen.name} can't reach {home}: the data goes to {folder}")
                return _checked(Place(folder / "pg", chosen))
            tried.append(fault)
    raise EnvironmentFault(
        "data-unplaceable",
        "No folder was found where PostgreSQL could keep its data:"
        + "".join(f"\n  {fault}" for fault in tried),
        "Run Avow as an ordinary user in a folder of a local file system, or set AVOW_DATABASE_URL to a "
        "PostgreSQL of your own.",
    )


def reachable_binaries(found: Binaries, account: Account | None, say: Callable[[str], None]) -> Binaries:
    """The binaries themselves when the account can run them, else a copy of them in a folder of ours.

    A copy is made once per version and package. Raises EnvironmentFault (`binaries-unreachable`).
    """
    if account is None or _runs(found, account):
        return found
    tried = [f"{found.folder}: the account {account.name} can't run them"]
    source = found.package
    if source is None and (found.folder.parent / "share" / "postgres.bki").is_file():
        source = found.folder.parent
    for base in OUTSIDE_BASES if source is not None else ():
        root, fault = _our_folder(base / "avow")
        if root is None or source is None:
            tried.append(fault)
            continue
        copied = _copy(found, source, root, say)
        if _runs(copied, account):
            return copied
        tried.append(f"{copied.folder}: the account {account.name} can't run the copy")
    raise EnvironmentFault(
        "binaries-unreachable",
        "PostgreSQL's programs can't be run:" + "".join(f"\n  {fault}" for fault in tried),
        f"Install them where every account can run them, or set AVOW_PG_BIN to such a folder. "
        f"(Avow runs as root here; PostgreSQL refuses that and is run as {account.name}.)",
    )


def remove(home: Path, place: Place) -> None:
    """Delete a data directory whose server is stopped, and the folder outside that was made for it."""
    # Renamed first: killed in the middle, this leaves no data directory that is half there.
    gone = place.data_dir.with_name(f"{place.data_dir.name}.gone")
    if gone.exists():
        shutil.rmtree(gone)
    place.data_dir.rename(gone)
    (home / "pg.location").unlink(missing_ok=True)
    shutil.rmtree(gone if gone.parent == home else gone.parent)


def _recorded_folder(home: Path) -> Path | None:
    """The outside folder that this home's data is in, if it is; checked to be this home's."""
    try:
        content = (home / "pg.location").read_bytes()
    except FileNotFoundError:
        return None
    folder = Path(os.fsdecode(content.rstrip(b"\n")))
    try:
        status = os.lstat(folder)
        owner = Path(os.fsdecode((folder / "home").read_bytes().rstrip(b"\n")))
    except FileNotFoundError as fault:
        raise EnvironmentFault(
            "data-missing",
            f"{home / 'pg.location'} says that the data is in {folder}, and it is not there.",
            f"Bring that folder back; or, to begin without the data, remove {home / 'pg.location'}.",
        ) from fault
    except PermissionError as fault:
        raise _foreign(folder) from fault
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise _foreign(folder)
    if owner != home:
        if (owner / "pg.location").is_file() and (owner / "pg.location").read_bytes() == content:
            raise EnvironmentFault(
                "data-in-use",
                f"{home} is a copy of {owner}: both name the same data, {folder}.",
                f"Remove {home / 'pg.location'} to begin with an empty database here.",
            )
        # The project was moved; its data goes with it.
        write_private(folder / "home", os.fsencode(home) + b"\n")
    return folder


def _foreign(place: Path) -> EnvironmentFault:
    return EnvironmentFault(
        "data-foreign",
        f"{place} belongs to another account.",
        "Run Avow under the account that made it, or use another project folder.",
    )


def _checked(place: Place) -> Place:
    path = os.fsencode(place.data_dir)
    if len(path) > DATA_PATH_BYTES_MAX or b"\n" in path or b"\r" in path:
        raise EnvironmentFault(
            "path-too-long",
            f"PostgreSQL can't keep data under this path ({len(path)} bytes): {place.data_dir}",
            f"Move the project to a path of at most {DATA_PATH_BYTES_MAX} bytes without line breaks.",
        )
    return place


def _unfit(parent: Path, account: Account | None) -> str | None:
    """Why a data directory can't stand in this folder; None when it can. Tries it with an empty folder."""
    if account is not None and not accounts.may_enter(parent, account):
        return f"{parent}: the account {account.name} can't pass through it"
    probe = parent / f"pg.probe-{secrets.token_hex(4)}"
    try:
        probe.mkdir(mode=0o700)
        try:
            if account is not None:
                os.chown(probe, account.uid, account.gid)
            status = probe.stat()
        finally:
            probe.rmdir()
    except OSError as fault:
        return f"{parent}: {fault.strerror}"
    owner_uid = os.geteuid() if account is None else account.uid
    if status.st_uid != owner_uid or stat.S_IMODE(status.st_mode) & 0o077:
        return f"{parent}: this file system does not keep owners and modes"
    return None


def _our_folder(folder: Path) -> tuple[Path | None, str]:
    """Make (or check) a folder of root's that others can pass and not write; or None and why not."""
    try:
        parent = os.lstat(folder.parent)
        if not stat.S_ISDIR(parent.st_mode) or parent.st_uid != 0:
            return None, f"{folder.parent}: not a folder of root's"
        if parent.st_mode & 0o022 and not parent.st_mode & stat.S_ISVTX:
            return None, f"{folder.parent}: others may replace what is in it"
        try:
            folder.mkdir(mode=0o755)
            folder.chmod(0o755)
        except FileExistsError:
            pass
        status = os.lstat(folder)
    except OSError as fault:
        return None, f"{folder}: {fault.strerror}"
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != 0 or status.st_mode & 0o022:
        return None, f"{folder}: exists and is not a folder that only root writes to"
    return folder, ""


def _make_outside(
    base: Path, home: Path, account: Account, say: Callable[[str], None]
) -> tuple[Path | None, str]:
    """Make the folder for one home's data; its name is new each time: no earlier data is taken over."""
    root, fault = _our_folder(base / "avow")
    if root is None:
        return None, fault
    name = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    for earlier in sorted(root.glob(f"{name}-*")):
        say(f"Data of an earlier {home} is still in {earlier}: remove it when nobody needs it")
    folder, fault = _our_folder(root / f"{name}-{secrets.token_hex(4)}")
    if folder is None:
        return None, fault
    unfit = _unfit(folder, account)
    if unfit is not None:
        folder.rmdir()
        return None, unfit
    write_private(folder / "home", os.fsencode(home) + b"\n")
    return folder, ""


def _runs(binaries: Binaries, account: Account) -> bool:
    programs = ("postgres", "initdb")
    return all(
        accounts.may_run([os.fspath(binaries.program(name)), "--version"], account) for name in programs
    )


def _copy(found: Binaries, source: Path, root: Path, say: Callable[[str], None]) -> Binaries:
    """Copy a package's programs and libraries, keeping their positions to each other."""
    program = os.stat(found.program("postgres"))
    origin = f"{source}\0{program.st_size}\0{program.st_mtime_ns}".encode("utf-8", "surrogateescape")
    target = root / f"binaries-{found.version}-{hashlib.sha256(origin).hexdigest()[:12]}"
    copied = Binaries(target / source.name / found.folder.relative_to(source), found.version)
    lock = FileLock(root / "binaries.lock")
    try:
        if not lock.exclusive_within(COPY_LOCK_TIMEOUT_S):
            raise EnvironmentFault(
                "binaries-unreachable",
                f"Another process has been copying PostgreSQL's programs to {root} for over "
                f"{COPY_LOCK_TIMEOUT_S:g} s.",
                "Try again when it has ended.",
            )
        if not target.is_dir():
            say(f"Copying PostgreSQL {found.version} to {target}")
            staged = root / "binaries.new"
            if staged.exists():
                shutil.rmtree(staged)
            for part in (source, source.with_name(f"{source.name}.libs")):
                if part.is_dir():
                    shutil.copytree(
                        part, staged / part.name, ignore=shutil.ignore_patterns(*_NOT_COPIED, "*.py", "*.a")
                    )
            _open_to_all(staged)
            staged.rename(target)
    finally:
        lock.close()
    return copied


def _open_to_all(folder: Path) -> None:
    """Let every account read and run the copy, whatever modes the source had."""
    for parent, _, files in os.walk(folder):
        os.chmod(parent, 0o755)
        for name in files:
            path = Path(parent) / name
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
