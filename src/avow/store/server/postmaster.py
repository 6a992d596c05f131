"""Make a data directory, start a PostgreSQL server on it, see how it is, and stop it.

Everything here is about one data directory and is told where it is. Who may start and who may stop is decided
by `cluster`, which holds the locks. This module must never delete a data directory that is complete.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from avow.errors import EnvironmentFault
from avow.store.server.account import Account, identity
from avow.store.server.binaries import Binaries, server_environment
from avow.store.server.filelock import POLL_S, FileLock, open_private

HOST = "127.0.0.1"
SUPERUSER = "postgres"
INITDB_TIMEOUT_S = 120.0
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 30.0
STOP_IMMEDIATE_TIMEOUT_S = 10.0
PROBE_TIMEOUT_S = 5.0
SPAWN_TIMEOUT_S = 30.0
LOG_TAIL_LINES = 15
LOG_TAIL_BYTES = 8 * 1024

# For a developer's machine. fsync and synchronous_commit stay on: what was acknowledged must be there.
SETTINGS: Mapping[str, str] = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "ssl": "off",
    "password_encryption": "scram-sha-256",
    "max_connections": "100",
    "shared_buffers": "128MB",
    # Containers that reserve huge pages for others kill a server that tries to take some.
    "huge_pages": "off",
    "wal_compression": "on",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
    "log_destination": "stderr",
    # Errors go to the client. In the file their details would be a copy of people's data.
    "log_min_messages": "log",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
}
PROCESSES = Path("/proc")
# What vis(3) makes of one byte, at most.
SPELLED_BYTES_MAX = 4
_HBA = (
    f"# Written by Avow: this machine only, always with the password.\nhost all all {HOST}/32 scram-sha-256\n"
)
_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}


@dataclass(frozen=True, slots=True)
class PidFile:
    """What a server writes into its data directory about itself."""

    pid: int
    port: int
    status: str


def read_pid_file(data_dir: Path) -> PidFile | None:
    """The server's own statement, which may be stale; None when there is none or it isn't complete yet."""
    try:
        lines = (data_dir / "postmaster.pid").read_text("utf-8", "replace").split("\n")
    except FileNotFoundError:
        return None
    try:
        return PidFile(int(lines[0]), int(lines[3]), lines[7].strip())
    except (IndexError, ValueError):
        return None


def runs_on(pid: int, data_dir: Path) -> bool:
    """True when the process exists and has the data directory as its working directory.

    A process id alone proves nothing: it is reused after a crash, and a dead child may still be listed.
    """
    if not _exists(pid):
        return False
    if (PROCESSES / "self" / "cwd").exists():
        try:
            return os.path.samefile(PROCESSES / str(pid) / "cwd", data_dir)
        except OSError:
            return False
    # macOS has none: the server was started with its directory on the command line.
    try:
        listed = subprocess.run(
            ["ps", "-ww", "-o", "command=", "-p", str(pid)],
            capture_output=True,
            timeout=PROBE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return True
    if listed.stdout.strip():
        return _as_listed(data_dir).search(listed.stdout) is not None
    # Without an answer the process counts as the server: an error that somebody sees, not a second server.
    # One that has ended since gives none either.
    return _exists(pid)


def _as_listed(path: Path) -> re.Pattern[bytes]:
    """A path as `ps` prints it: where the locale is C, macOS spells out what isn't ASCII (é: M-CM-))."""
    pieces = re.split(rb"([^ -~]+)", os.fsencode(path))
    patterns = [
        rb"[^\n]{%d,%d}" % (len(piece), SPELLED_BYTES_MAX * len(piece)) if number % 2 else re.escape(piece)
        for number, piece in enumerate(pieces)
    ]
    return re.compile(b"".join(patterns))


def _exists(pid: int) -> bool:
    if pid <= 1:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it is another account's
    return True


def initialise(
    binaries: Binaries,
    data_dir: Path,
    account: Account | None,
    password: str,
    guard: FileLock,
    *,
    durable: bool,
) -> None:
    """Make the data directory, whole or not at all.

    It is made beside its place and renamed. `guard` is the lock of starting: initdb inherits it, so that an
    initdb which outlives its killed parent is waited for. Left-overs of earlier attempts are removed.
    durable: false leaves out waiting for the disk, for tests.
    Raises EnvironmentFault (`initdb-failed`).
    """
    staged = data_dir.with_name(f"{data_dir.name}.new")
    secret = data_dir.with_name(f"{data_dir.name}.initpw")
    if staged.exists():
        shutil.rmtree(staged)
    secret.unlink(missing_ok=True)
    staged.mkdir(mode=0o700)
    descriptor = open_private(secret, os.O_WRONLY)
    try:
        os.write(descriptor, password.encode("ascii") + b"\n")
        if account is not None:
            os.fchown(descriptor, account.uid, account.gid)
            os.chown(staged, account.uid, account.gid)
    finally:
        os.close(descriptor)
    try:
        _run_initdb(binaries, staged, secret, account, guard, durable)
    except EnvironmentFault:
        shutil.rmtree(staged, ignore_errors=True)
        raise
    finally:
        secret.unlink(missing_ok=True)
    descriptor = open_private(staged / "pg_hba.conf", os.O_WRONLY | os.O_TRUNC)
    try:
        os.write(descriptor, _HBA.encode("ascii"))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    staged.rename(data_dir)
    _sync_folder(data_dir.parent)


def launch(
    binaries: Binaries,
    data_dir: Path,
    account: Account | None,
    *,
    port: int,
    log: int,
    alive: int,
    settings: Mapping[str, str],
) -> None:
    """Start a server in a session of its own, as a child of nobody, and return at once.

    log:   descriptor that it writes its messages to.
    alive: descriptor with an exclusive lock, which the server and all its processes keep until they are gone.
    """
    options = [f"{name}={value}" for name, value in {**SETTINGS, **settings, "port": str(port)}.items()]
    server = [os.fspath(binaries.program("postgres")), "-D", os.fspath(data_dir)]
    for option in options:
        server += ["-c", option]
    # The shell ends at once and leaves the server to init: no zombie stays in whoever started it, and the
    # terminal's Ctrl-C doesn't reach it.
    subprocess.run(
        ["/bin/sh", "-c", '"$@" </dev/null &', "avow", *server],
        cwd="/",
        env=server_environment(),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        pass_fds=(alive,),
        start_new_session=True,
        umask=0o077,
        timeout=SPAWN_TIMEOUT_S,
        check=True,
        **identity(account),
    )


def wait_ready(data_dir: Path, alive: FileLock) -> PidFile | None:
    """Wait until the server accepts connections; None when it (or the rest of an earlier one) has gone.

    Raises EnvironmentFault (`database-slow`) after START_TIMEOUT_S; the server is left to go on.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        seen = read_pid_file(data_dir)
        if seen is not None and seen.status == "ready" and runs_on(seen.pid, data_dir) and accepts(seen.port):
            return seen
        if alive.is_free():
            return None
        if time.monotonic() >= deadline:
            raise EnvironmentFault(
                "database-slow",
                f"PostgreSQL has not become ready within {START_TIMEOUT_S:g} s ({data_dir}, "
                f"{f'process {seen.pid} says {seen.status!r}' if seen else 'no server process known'}).",
                "It may still be recovering after a crash: look at pg.log, then start again. If no server "
                "process is known, a process of an earlier server still runs on this folder: end it.",
            )
        time.sleep(POLL_S)


def stop(data_dir: Path, alive: FileLock, mode: str) -> None:
    """Stop the server and wait until all its processes are gone; nothing to do when none runs.

    mode: "fast" ends the sessions, "smart" waits for them, "immediate" is a crash that recovers at the next
    start. What has not ended after STOP_TIMEOUT_S is stopped with "immediate", which loses nothing.
    Raises EnvironmentFault (`database-stuck`) when it still runs after that.
    """
    for sent, timeout_s in ((mode, STOP_TIMEOUT_S), ("immediate", STOP_IMMEDIATE_TIMEOUT_S)):
        if alive.is_free():
            return
        ask_to_stop(data_dir, sent)
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if alive.is_free():
                return
            time.sleep(POLL_S)
    raise EnvironmentFault(
        "database-stuck",
        f"PostgreSQL on {data_dir} does not stop.",
        "End its processes (their working directory is that folder), then try again; no data is lost by it.",
    )


def ask_to_stop(data_dir: Path, mode: str) -> None:
    """Send the server the signal for a mode of stopping, when it runs; waits for nothing."""
    seen = read_pid_file(data_dir)
    if seen is not None and runs_on(seen.pid, data_dir):
        try:
            os.kill(seen.pid, _SIGNALS[mode])
        except ProcessLookupError:
            return


def discard_stale_pid_file(data_dir: Path) -> None:
    """Remove what a killed server left, so that a reused process id can't stop the next start.

    Call it only when nobody holds the lock of being alive. Raises EnvironmentFault (`data-in-use`) when a
    server that Avow didn't start runs on the folder.
    """
    path = data_dir / "postmaster.pid"
    try:
        pid = abs(int(path.read_text("utf-8", "replace").split("\n", 1)[0]))
    except FileNotFoundError:
        return
    except ValueError:
        pid = 0
    if runs_on(pid, data_dir):
        raise EnvironmentFault(
            "data-in-use",
            f"Process {pid}, which Avow did not start, runs on {data_dir}.",
            "Stop it (pg_ctl stop), or set AVOW_DATABASE_URL to it.",
        )
    path.unlink()


def accepts(port: int) -> bool:
    """True when something listens on the port of this machine."""
    try:
        socket.create_connection((HOST, port), PROBE_TIMEOUT_S).close()
    except OSError:
        return False
    return True


def require_loopback() -> None:
    """Raise EnvironmentFault (`loopback-down`) when this machine can't reach itself (sandboxes)."""
    try:
        with socket.create_server((HOST, 0)) as probe:
            socket.create_connection(probe.getsockname(), PROBE_TIMEOUT_S).close()
    except OSError as fault:
        raise EnvironmentFault(
            "loopback-down",
            f"This process can't connect to {HOST}: {fault.strerror or fault}.",
            "Bring the loopback interface up (ip link set lo up) and let this process open sockets.",
        ) from fault


def free_port(remembered: int | None) -> int:
    """The remembered port when nobody has it, else one that the system picks; it may be taken any moment."""
    for wanted in (remembered, 0):
        if wanted is None:
            continue
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            # As the server does it: a port is free although old connections to it still fade away.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, wanted))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise EnvironmentFault(
        "port-missing",
        f"No port of {HOST} is free.",
        "End programs that hold many connections, then start again.",
    )


def log_tail(path: Path) -> str:
    """The last lines of a log file, indented for a message."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - LOG_TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return "\n  (no log)"
    return "".join(f"\n  {line}" for line in lines[-LOG_TAIL_LINES:]) or "\n  (the log is empty)"


def _run_initdb(
    binaries: Binaries, staged: Path, secret: Path, account: Account | None, guard: FileLock, durable: bool
) -> None:
    last = ""
    for locale in _locales(binaries.major):
        command = [os.fspath(binaries.program("initdb")), "-D", os.fspath(staged), "-U", SUPERUSER]
        command += [
            "--encoding=UTF8",
            *locale,
            "--data-checksums",
            "--auth=scram-sha-256",
            "--no-instructions",
        ]
        command += [f"--pwfile={secret}", *([] if durable else ["--no-sync"])]
        try:
            ended = subprocess.run(
                command,
                cwd="/",
                env=server_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                pass_fds=(guard.descriptor,),
                start_new_session=True,
                umask=0o077,
                timeout=INITDB_TIMEOUT_S,
                check=False,
                **identity(account),
            )
        except (OSError, subprocess.SubprocessError) as fault:
            last = str(fault)
            break
        if ended.returncode == 0:
            return
        last = "".join(f"\n  {line}" for line in ended.stdout.splitlines()[-LOG_TAIL_LINES:])
    raise EnvironmentFault(
        "initdb-failed",
        f"PostgreSQL {binaries.version} could not make its data directory in {staged.parent}: {last}",
        "Correct what initdb names (often: no space left, or a file system without owners and modes), then "
        "start again. Nothing half done stays behind.",
    )


def _locales(major: int) -> tuple[tuple[str, ...], ...]:
    """Locale arguments to try: the same order of text on every machine, whatever its own locale is."""
    if major >= 17:
        return (("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),)
    # Not every machine has C.UTF-8; without it only letters outside ASCII keep their case.
    return (("--locale=C", "--lc-ctype=C.UTF-8"), ("--locale=C",))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
