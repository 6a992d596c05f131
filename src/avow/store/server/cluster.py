"""Run a PostgreSQL server for one application: start or share it, count its users, stop it with the last one.

Everything is kept in the application's `.avow` folder, called `home` here:

    pg             the data directory
    pg.location    where that is instead, when the server's account can't reach this folder
    pg.password    of the superuser; 0600
    pg.json        the port and the version of the last start
    pg.log         what the server says (and pg.log.1, the part before it)
    pg.start.lock  held while a server is started or stopped
    pg.users.lock  held, shared, by each Lease
    pg.alive.lock  held by the server's processes themselves

This module must never stop a server that another process has a Lease on, and never delete data, except in
`stop` and `destroy`, which say so.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, cast
from urllib.parse import quote

from avow.errors import EnvironmentFault
from avow.store.server import binaries, placement, postmaster
from avow.store.server.filelock import FileLock, open_private, write_private
from avow.store.server.placement import Place

START_LOCK_TIMEOUT_S = 300.0
ORPHAN_TIMEOUT_S = 15.0
LAUNCHES_MAX = 5
LOG_BYTES_MAX = 8 * 1024 * 1024
PASSWORD_BYTES = 24

START_LOCK = "pg.start.lock"
USERS_LOCK = "pg.users.lock"
ALIVE_LOCK = "pg.alive.lock"

StopMode = Literal["fast", "smart", "immediate"]


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running server.

    version:      as the server says it, such as "18.6".
    started_here: true when this call started it, false when it was running already.
    """

    host: str
    port: int
    superuser: str
    password: str = field(repr=False)
    data_dir: Path
    version: str
    started_here: bool

    def url(self, database: str = "postgres") -> str:
        """A `postgresql://` address with the superuser's password in it; keep it out of logs."""
        user, password = quote(self.superuser, safe=""), quote(self.password, safe="")
        return f"postgresql://{user}:{password}@{self.host}:{self.port}/{quote(database, safe='')}"


class Lease:
    """The right to use a running server; it stays up at least until the last Lease is released.

    A process that is killed loses its Lease by that, without stopping the server; the next start finds it.
    """

    def __init__(self, cluster: Cluster, home: Path, users: FileLock) -> None:
        self.cluster = cluster
        self._home = home
        self._users: FileLock | None = users
        self._process_id = os.getpid()

    def release(self) -> None:
        """Give the right back, and stop the server when nobody else has it. May be called twice.

        Raises EnvironmentFault when the server doesn't stop.
        """
        users, self._users = self._users, None
        if users is None:
            return
        try:
            # A forked child holds a copy of the Lease: only the process that took it gives it back.
            if os.getpid() != self._process_id:
                return
            if not _is_open_at(users, self._home / USERS_LOCK):
                # Somebody removed the home meanwhile, and another server may run in its place by now.
                if not self.cluster.data_dir.is_relative_to(self._home) and users.try_exclusive():
                    postmaster.ask_to_stop(self.cluster.data_dir, "fast")
                return
            with _surroundings(self._home), _starting(self._home, _silent), _alive(self._home) as alive:
                if users.try_exclusive():
                    postmaster.stop(self.cluster.data_dir, alive, "fast")
        finally:
            users.close()

    def revive(self, progress: Callable[[str], None] | None = None) -> bool:
        """Start the server again if it has died, at the same address; whether it had.

        Raises EnvironmentFault where it doesn't start, or where somebody has taken its port meanwhile.
        """
        with _alive(self._home) as alive:
            if not alive.is_free():
                return False
        with start(self._home, progress=progress) as again:
            if again.cluster.port != self.cluster.port:
                raise EnvironmentFault(
                    "database-moved",
                    f"The server has another port than before: {again.cluster.port}.",
                    "Start once more.",
                )
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def start(
    home: Path,
    *,
    progress: Callable[[str], None] | None = None,
    settings: Mapping[str, str] | None = None,
) -> Lease:
    """Start the application's server, or share the one that runs, and return when it accepts connections.

    home:     the application's `.avow` folder; made when it is missing.
    progress: is told, in one sentence each, what takes time.
    settings: PostgreSQL settings for a server that is started now; one that runs keeps its own.

    Raises EnvironmentFault, which says what is wrong and what to do. Data is never deleted.
    """
    say = progress or _silent
    home = _prepared(home)
    with _surroundings(home), _starting(home, say) as guard, _alive(home) as alive:
        users = FileLock(home / USERS_LOCK)
        try:
            # Nobody takes it alone but a release, and that holds the lock of starting.
            users.try_shared()
            cluster = _shared(home, alive) or _started(home, guard, alive, say, settings or {})
        except KeyboardInterrupt:
            place = placement.existing(home)
            if place is not None and users.try_exclusive():
                postmaster.ask_to_stop(place.data_dir, "fast")
            users.close()
            raise
        except BaseException:
            users.close()
            raise
        return Lease(cluster, home, users)


def running(home: Path) -> Cluster | None:
    """The application's server when it is up and ready; never starts one, and takes no Lease.

    Raises EnvironmentFault when there is one that this account may not use.
    """
    home = Path(os.path.realpath(home))
    with _surroundings(home):
        place = placement.existing(home)
        if place is None:
            return None
        seen = postmaster.read_pid_file(place.data_dir)
        if seen is None or seen.status != "ready" or not postmaster.runs_on(seen.pid, place.data_dir):
            return None
        return _cluster(home, place, seen.port, started_here=False) if postmaster.accepts(seen.port) else None


def is_left(home: Path) -> bool:
    """Whether there is a server's data that no living process has a Lease on: whoever had one was killed."""
    if not (home / USERS_LOCK).is_file():
        return False
    users = FileLock(home / USERS_LOCK)
    try:
        return users.try_exclusive()
    finally:
        users.close()


def stop(home: Path, mode: StopMode = "fast") -> None:
    """Stop the application's server, whoever uses it; nothing to do when none runs.

    mode: "fast" ends the sessions, "smart" waits for them, "immediate" is a crash that recovers at the next
    start.
    Raises EnvironmentFault when it doesn't stop.
    """
    home = Path(os.path.realpath(home))
    with _surroundings(home):
        place = placement.existing(home)
        if place is None:
            return
        with _starting(home, _silent), _alive(home) as alive:
            postmaster.stop(place.data_dir, alive, mode)


def destroy(home: Path) -> None:
    """Stop the application's server, whoever uses it, and delete its data for good; for trials and tests.

    The lock files stay. Raises EnvironmentFault when the server doesn't stop.
    """
    home = Path(os.path.realpath(home))
    with _surroundings(home):
        place = placement.existing(home)
        if place is None:
            return
        with _starting(home, _silent), _alive(home) as alive:
            postmaster.stop(place.data_dir, alive, "immediate")
            placement.remove(home, place)
            for name in ("pg.password", "pg.json", "pg.log", "pg.log.1"):
                (home / name).unlink(missing_ok=True)


def _silent(_: str) -> None:
    pass


def _prepared(home: Path) -> Path:
    """The home folder, made when it is missing, without symbolic links in its path."""
    home = Path(os.path.realpath(home))
    try:
        # Root's server runs under another account, which has to pass through; the secrets inside are 0600.
        home.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        os.close(open_private(home / START_LOCK, os.O_RDWR))
    except OSError as fault:
        raise EnvironmentFault(
            "home-unwritable",
            f"{home} can't be written: {fault.strerror}.",
            "Make the project folder writable for this account, or set AVOW_DATABASE_URL to a PostgreSQL of "
            "your own.",
        ) from fault
    return home


@contextmanager
def _surroundings(home: Path) -> Generator[None]:
    """Turn what the system refuses us (no space, no permission) into a fault that says what to do."""
    try:
        yield
    except PermissionError as fault:
        raise EnvironmentFault(
            "data-foreign",
            f"{fault.filename or home} may not be used by this account.",
            "Run Avow under the account that made it, or use another project folder.",
        ) from fault
    except OSError as fault:
        raise EnvironmentFault(
            "home-unusable",
            f"{fault.filename or home}: {fault.strerror}.",
            "Correct this, then start again. The data was not touched.",
        ) from fault


def _is_open_at(lock: FileLock, path: Path) -> bool:
    """True when the path still leads to the file that was opened."""
    try:
        return os.path.samestat(os.fstat(lock.descriptor), os.stat(path))
    except OSError:
        return False


@contextmanager
def _starting(home: Path, say: Callable[[str], None]) -> Generator[FileLock]:
    """Hold the lock that lets one process at a time start or stop the server."""
    lock = FileLock(home / START_LOCK)
    try:
        if not lock.try_exclusive():
            say("Waiting for another start of the same database")
            if not lock.exclusive_within(START_LOCK_TIMEOUT_S):
                raise EnvironmentFault(
                    "database-busy",
                    f"Another process has been starting or stopping this database for over "
                    f"{START_LOCK_TIMEOUT_S:g} s.",
                    f"Look for a hanging process that holds {home / START_LOCK}, end it and start again.",
                )
        yield lock
    finally:
        lock.close()


@contextmanager
def _alive(home: Path) -> Generator[FileLock]:
    """The lock file that a running server holds, opened to look at it."""
    lock = FileLock(home / ALIVE_LOCK)
    try:
        yield lock
    finally:
        lock.close()


def _shared(home: Path, alive: FileLock) -> Cluster | None:
    """The server that runs already, waited for when it is still starting; None when there is none."""
    place = placement.existing(home)
    if place is None or alive.is_free():
        return None
    seen = postmaster.read_pid_file(place.data_dir)
    if seen is not None and not postmaster.runs_on(seen.pid, place.data_dir):
        # The server was killed, and its processes are just noticing it.
        if alive.exclusive_within(ORPHAN_TIMEOUT_S):
            alive.unlock()
            return None
        raise EnvironmentFault(
            "database-stuck",
            f"The server on {place.data_dir} was killed, and some of its processes still run.",
            "End them (their working directory is that folder), then start again; no data is lost by it.",
        )
    seen = postmaster.wait_ready(place.data_dir, alive)
    if seen is None:
        return None
    _bound_log(home)
    return _cluster(home, place, seen.port, started_here=False)


def _started(
    home: Path, guard: FileLock, alive: FileLock, say: Callable[[str], None], settings: Mapping[str, str]
) -> Cluster:
    """Start a server, making its data first when there is none."""
    place = placement.existing(home)
    if place is None:
        used = binaries.find()
        place = placement.new(home, say)
        used = placement.reachable_binaries(used, place.account, say)
        say(f"Creating a PostgreSQL {used.version} database in {place.data_dir}")
        durable = settings.get("fsync") != "off"
        password = _new_password(home)
        postmaster.initialise(used, place.data_dir, place.account, password, guard, durable=durable)
    else:
        made_by = (place.data_dir / "PG_VERSION").read_text("ascii").strip()
        used = placement.reachable_binaries(binaries.find(binaries.major_of(made_by)), place.account, say)
    postmaster.require_loopback()
    postmaster.discard_stale_pid_file(place.data_dir)
    remembered = _remembered(home).get("port")
    port = remembered if isinstance(remembered, int) else None
    for _ in range(LAUNCHES_MAX):
        port = postmaster.free_port(port)
        write_private(home / "pg.json", json.dumps({"port": port, "version": used.version}).encode())
        _launch(home, place, used, port, settings)
        if postmaster.wait_ready(place.data_dir, alive) is not None:
            return _cluster(home, place, port, started_here=True)
        if postmaster.free_port(port) == port:
            break
        # Somebody took the port between our look and the server's: try another.
    log = home / "pg.log"
    raise EnvironmentFault(
        "database-start-failed",
        f"PostgreSQL {used.version} did not start. The end of {log}:{postmaster.log_tail(log)}",
        "Correct what the log names, then start again. The data was not touched.",
    )


def _launch(
    home: Path, place: Place, used: binaries.Binaries, port: int, settings: Mapping[str, str]
) -> None:
    _bound_log(home)
    log = open_private(home / "pg.log", os.O_WRONLY | os.O_APPEND)
    held = FileLock(home / ALIVE_LOCK)
    try:
        # Somebody who just looks holds it for an instant.
        if not held.exclusive_within(ORPHAN_TIMEOUT_S):
            raise EnvironmentFault(
                "database-stuck",
                f"Processes of an earlier server on {place.data_dir} still run.",
                "End them (their working directory is that folder), then start again; no data is lost by it.",
            )
        postmaster.launch(
            used, place.data_dir, place.account, port=port, log=log, alive=held.descriptor, settings=settings
        )
    except (OSError, subprocess.SubprocessError) as fault:
        raise EnvironmentFault(
            "database-start-failed",
            f"PostgreSQL could not be started: {fault}",
            "Correct this, then start again.",
        ) from fault
    finally:
        held.close()
        os.close(log)


def _cluster(home: Path, place: Place, port: int, *, started_here: bool) -> Cluster:
    version = _remembered(home).get("version")
    return Cluster(
        host=postmaster.HOST,
        port=port,
        superuser=postmaster.SUPERUSER,
        password=_password(home),
        data_dir=place.data_dir,
        version=version if isinstance(version, str) else "",
        started_here=started_here,
    )


def _remembered(home: Path) -> dict[str, object]:
    """What the last start wrote down; only the port and the version, both of which can be done without."""
    try:
        content: Any = json.loads((home / "pg.json").read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return cast("dict[str, object]", content) if isinstance(content, dict) else {}


def _new_password(home: Path) -> str:
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    write_private(home / "pg.password", password.encode("ascii") + b"\n")
    return password


def _password(home: Path) -> str:
    path = home / "pg.password"
    try:
        return path.read_text("ascii").strip()
    except FileNotFoundError as fault:
        raise EnvironmentFault(
            "password-missing",
            f"{path} is missing, and the database can't be opened without it.",
            "Bring the file back; or stop the server, set a password in single-user mode (postgres --single) "
            "and write it there.",
        ) from fault


def _bound_log(home: Path) -> None:
    """Begin an empty log when it has become large, keeping one earlier part; the server may be writing."""
    path = home / "pg.log"
    try:
        if path.stat().st_size <= LOG_BYTES_MAX:
            return
        # Cut in place, not renamed: a running server holds the file open, for appending.
        earlier = open_private(home / "pg.log.1", os.O_WRONLY | os.O_TRUNC)
        try:
            os.write(earlier, path.read_bytes()[-LOG_BYTES_MAX:])
        finally:
            os.close(earlier)
        os.truncate(path, 0)
    except FileNotFoundError:
        return
