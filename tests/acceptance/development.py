"""`avow dev` as a user runs it: a process of its own, driven by its one line of JSON."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avow.store.server import cluster

ROOT = Path(__file__).resolve().parents[2]
READY_S_MAX = 60
PAUSE_S = 0.05


@dataclass
class Development:
    """One running `avow dev`."""

    process: subprocess.Popen[str]
    home: Path
    log: Path
    url: str
    tokens: dict[str, str]
    database: str

    def request(
        self, method: str, path: str, role: str | None = None, body: Any = None, key: str | None = None
    ) -> tuple[int, Any]:
        """One request; gives back status and decoded body."""
        headers = {"Idempotency-Key": key} if key else {}
        if role is not None:
            headers["Authorization"] = f"Bearer {self.tokens[role]}"
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            headers["Content-Type"] = "application/json"
        sent = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(sent, timeout=READY_S_MAX) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read() or b"null")

    def ready(self) -> bool:
        """Whether it answers and its database does."""
        try:
            return self.request("GET", "/readyz")[0] == 200
        except (OSError, ValueError):
            return False

    def server_pid(self) -> int:
        """The process that serves; a child of the one that was started."""
        return servers_of(self.process.pid)[0]

    def said(self) -> str:
        """What it has said on stderr."""
        return self.log.read_text()


def servers_of(parent_pid: int) -> list[int]:
    """The server processes among the children of a process."""
    return [
        pid for pid, (parent, words) in _processes().items()
        if parent == parent_pid and "avow.cli.server_process" in words
    ]  # fmt: skip


@contextmanager
def running(target: Path, folder: Path, *arguments: str) -> Iterator[Development]:
    """Run `avow dev` for a target with `folder` as its working directory; end it afterwards."""
    folder.mkdir(exist_ok=True)
    log = folder / f"log-{time.monotonic_ns()}"
    with log.open("w") as talk:
        process = subprocess.Popen(
            [sys.executable, "-m", "avow.cli", "dev", str(target), "--port", "0", "--json", *arguments],
            cwd=folder, stdout=subprocess.PIPE, stderr=talk, text=True, env=_environment(),
        )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith('{"url"'), f"{line}{log.read_text()}"
        shown = json.loads(line)
        yield Development(process, folder / ".avow", log, shown["url"], shown["tokens"], shown["database"])
    finally:
        end(process)


def end(process: subprocess.Popen[str]) -> int:
    """End it as a terminal does, and wait."""
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(timeout=READY_S_MAX)
    finally:
        process.kill()
        if process.stdout is not None:
            process.stdout.close()


def until(condition: Callable[[], Any], what: str, timeout_s: float = READY_S_MAX) -> Any:
    """Wait for a real condition; raises TimeoutError that says what was waited for."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if answer := condition():
            return answer
        _pause()
    raise TimeoutError(f"waited {timeout_s} s in vain until {what}")


def destroy(folder: Path) -> None:
    """Remove the database of a working directory."""
    cluster.destroy(folder / ".avow")


def alive(pid: int) -> bool:
    """Whether a process exists and isn't a zombie, which has no words left."""
    return bool(_processes().get(pid, (0, ""))[1])


def _processes() -> dict[int, tuple[int, str]]:
    """Parent and command line of every process; a bare Debian has no `ps`, and macOS no /proc."""
    folder = Path("/proc")
    if not (folder / "self" / "stat").exists():
        listed = subprocess.run(
            ["ps", "-axo", "pid=,ppid=,stat=,command="], capture_output=True, text=True, check=True
        )
        rows = [line.split(None, 3) for line in listed.stdout.splitlines()]
        return {
            int(row[0]): (int(row[1]), "" if row[2].startswith("Z") else row[3])
            for row in rows
            if len(row) == 4
        }
    found = dict[int, tuple[int, str]]()
    for process in folder.iterdir():
        if process.name.isdigit():
            try:
                parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
                words = os.fsdecode((process / "cmdline").read_bytes()).replace("\0", " ")
                found[int(process.name)] = (parent, words)
            except OSError:
                continue  # it has ended in this moment
    return found


def _pause() -> None:
    threading.Event().wait(PAUSE_S)


def _environment() -> dict[str, str]:
    left_out = ("AVOW_DATABASE_URL", "AVOW_HOME", "AVOW_SECRET")
    return {name: value for name, value in os.environ.items() if name not in left_out}
