"""`avow` in a process of its own that needn't load again what all of them load.

A process that has loaded the rooms below the command line, and nothing else, waits for wishes and forks for
each. What a command brings of `avow.cli` is loaded in its own process, as ever. How long it takes to start
from nothing is looked at in test_cli_budget, which starts it from nothing.
"""

from __future__ import annotations

import atexit
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from avow.cli import main

ROOT = Path(__file__).parents[2]
PIECE_BYTES = 65_536
END = b"\n"


def run(
    arguments: tuple[str, ...], cwd: Path, environment: Mapping[str, str], timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """Run `avow` to its end; its output goes to files, so it isn't a terminal."""
    door = _door()
    door.settimeout(timeout_s)
    wish = {"arguments": arguments, "cwd": str(cwd), "environment": dict(environment)}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        data = json.dumps(wish).encode() + END
        sent = socket.send_fds(door, [data], [out.fileno(), err.fileno()])
        door.sendall(data[sent:])
        code = int(_line(door))
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(arguments, code, out.read().decode(), err.read().decode())


@cache
def _door() -> socket.socket:
    """To the process that forks; it ends with this one."""
    ours, theirs = socket.socketpair()
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, str(theirs.fileno())], pass_fds=[theirs.fileno()]
    )
    theirs.close()

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def _line(door: socket.socket, begun: bytes = b"") -> bytes:
    while not begun.endswith(END):
        piece = door.recv(PIECE_BYTES)
        if not piece:
            raise EOFError("the other side is gone")
        begun += piece
    return begun


def _serve(door: socket.socket) -> int:
    """Fork for each wish, and tell how that process ended, until nobody can wish any more."""
    while True:
        begun, files, _, _ = socket.recv_fds(door, PIECE_BYTES, 2)
        if not begun:
            return 0
        wish = json.loads(_line(door, begun))
        child = os.fork()
        if child == 0:
            door.close()
            return _become(wish["arguments"], wish["cwd"], wish["environment"], files)
        for file in files:
            os.close(file)
        _, status = os.waitpid(child, 0)
        door.sendall(str(os.waitstatus_to_exitcode(status)).encode() + END)


def _become(arguments: list[str], cwd: str, environment: dict[str, str], files: list[int]) -> int:
    """Be `python -m avow.cli` with these arguments."""
    for number, file in zip((1, 2), files, strict=True):
        os.dup2(file, number)
        os.close(file)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:1] = [cwd, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv = ["avow", *arguments]
    return main()


if __name__ == "__main__":
    import avow.api.app
    import avow.testing.databases  # noqa: F401  the rooms below

    sys.exit(_serve(socket.socket(fileno=int(sys.argv[1]))))
