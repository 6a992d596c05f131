"""`avow`, or a server of it, in a process of its own that needn't load again what all of them load.

A process that has loaded the rooms below the command line, and nothing else, waits for wishes and forks for
each; another has loaded what servers of somebody else's framework need. What a command brings of `avow.cli`
is loaded in its own process, as ever. How long it takes to start from nothing is looked at in
test_cli_budget, which starts it from nothing.
"""

from __future__ import annotations

import atexit
import fcntl
import json
import os
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

PIECE_BYTES, NUMBER_BYTES = 65_536, 8
END = b"\n"
STREAMS, FILES_MAX = 3, 8
"""Standard input, output and errors come with a wish, and what else is to be open."""
BELOW = ("avow.api.app", "avow.testing.databases")
"""The rooms below the command line."""

PROGRAM = """\
# `avow`, as tests of what is shown run it: what goes on until it is ended starts from nothing.
import json, os, socket, sys

arguments = sys.argv[1:]
if arguments[:1] in (["dev"], ["serve"], ["work"], ["witness"]):
    os.execv({avow!r}, [{avow!r}, *arguments])
wish = {{"module": "avow.cli", "arguments": arguments, "cwd": os.getcwd(), "passed": []}}
wish["environment"] = dict(os.environ)
with socket.socket(socket.AF_UNIX) as door:
    door.connect({door!r})
    data = json.dumps(wish).encode() + b"\\n"
    door.sendall(data[socket.send_fds(door, [data], [0, 1, 2]):])
    door.recv({size}, socket.MSG_WAITALL)
    sys.exit(int.from_bytes(door.recv({size}, socket.MSG_WAITALL), "big", signed=True))
"""


def run(
    arguments: tuple[str, ...], cwd: Path, environment: Mapping[str, str], timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """Run `avow` to its end; its output goes to files, so it isn't a terminal."""
    with open(os.devnull) as nothing, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        streams = [nothing.fileno(), out.fileno(), err.fileno()]
        code = Forked("avow.cli", arguments, cwd, environment, streams).wait(timeout_s)
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(arguments, code, out.read().decode(), err.read().decode())


class Forked:
    """A process that runs the `main` of a module. pid: its number.

    streams: its standard input, output and errors. passed: what else it has open, under the numbers that it
    has here; with that it is in a session of its own. loaded: the modules that it needn't load; they may
    start no thread.
    """

    def __init__(
        self, module: str, arguments: Sequence[str], cwd: Path, environment: Mapping[str, str],
        streams: Sequence[int], passed: Sequence[int] = (), loaded: tuple[str, ...] = BELOW,
    ) -> None:  # fmt: skip
        wish = {
            "module": module, "arguments": list(arguments), "cwd": str(cwd), "environment": dict(environment),
            "passed": list(passed),
        }  # fmt: skip
        self._code: int | None = None
        self._door = socket.socket(socket.AF_UNIX)
        self._door.connect(_door(loaded))
        data = json.dumps(wish).encode() + END
        self._door.sendall(data[socket.send_fds(self._door, [data], [*streams, *passed]) :])
        self.pid = _number(self._door)

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        if self._code is None and select.select([self._door], [], [], 0)[0]:
            self.wait()
        return self._code

    def wait(self, timeout_s: float | None = None) -> int:
        """Its exit code, once it has ended. Raises TimeoutError."""
        if self._code is None:
            self._door.settimeout(timeout_s)
            self._code = _number(self._door)
            self._door.close()
        return self._code

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


def program(folder: Path) -> None:
    """Make an `avow` in a folder that does the same for whoever calls it by its path."""
    text, made = folder / "avow.py", folder / "avow"
    avow = str(Path(sys.executable).with_name("avow"))
    text.write_text(PROGRAM.format(avow=avow, door=_door(BELOW), size=NUMBER_BYTES))
    made.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-IS", str(text)])} "$@"\n')
    made.chmod(0o755)


@cache
def _door(loaded: tuple[str, ...]) -> str:
    """Where the process that forks is asked; it ends with this one."""
    folder = tempfile.mkdtemp(prefix="avow-door-")
    path = f"{folder}/door"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        command = [sys.executable, "-m", __name__, str(listening.fileno()), *loaded]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[listening.fileno()])

    def end() -> None:
        process.communicate()
        shutil.rmtree(folder)

    atexit.register(end)
    return path


def _number(door: socket.socket) -> int:
    """The next number that the other side tells: that of a process, and how it ended."""
    said = door.recv(NUMBER_BYTES, socket.MSG_WAITALL)
    if len(said) < NUMBER_BYTES:
        raise EOFError("the other side is gone")
    return int.from_bytes(said, "big", signed=True)


def _tell(door: socket.socket, number: int) -> None:
    door.sendall(number.to_bytes(NUMBER_BYTES, "big", signed=True))


def _wished(door: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """What is wished, and the files that came with it."""
    begun, files, _, _ = socket.recv_fds(door, PIECE_BYTES, FILES_MAX)
    while not begun.endswith(END):
        piece = door.recv(PIECE_BYTES)
        if not piece:
            raise EOFError("the other side is gone")
        begun += piece
    return json.loads(begun), files


def _serve(listening: socket.socket) -> int:
    """Fork for each wish, until nobody can wish any more; the exit code of who this process is then."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while listening in select.select([listening, 0], [], [])[0]:
        door, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return _fulfil(door)
        door.close()
    return 0


def _fulfil(door: socket.socket) -> int:
    """Become what is wished in another process, and tell how that ended."""
    wish, files = _wished(door)
    child = os.fork()
    if child == 0:
        door.close()
        return _become(files, **wish)
    for file in files:
        os.close(file)
    _tell(door, child)
    _, status = os.waitpid(child, 0)
    _tell(door, os.waitstatus_to_exitcode(status))
    os._exit(0)


def _become(
    files: list[int], module: str, arguments: list[str], cwd: str, environment: dict[str, str],
    passed: list[int],
) -> int:  # fmt: skip
    """Be `python -m` of this module with these arguments."""
    beyond = max([STREAMS, *passed]) + 1  # no file lies where another one is to be put
    aside = [fcntl.fcntl(file, fcntl.F_DUPFD, beyond) for file in files]
    for file in files:
        os.close(file)
    for number, file in zip([*range(STREAMS), *passed], aside, strict=True):
        os.dup2(file, number)
        os.close(file)
    if passed:
        os.setsid()
    # What they are is looked at when they are opened: a file, a pipe or a terminal.
    sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:1] = [cwd, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv = ["avow", *arguments]
    main = import_module(module).main
    return main() if module == "avow.cli" else main(arguments)


if __name__ == "__main__":
    for name in sys.argv[2:]:
        import_module(name)
    sys.exit(_serve(socket.socket(fileno=int(sys.argv[1]))))
