"""One server process of `avow dev`: serves on a socket that its parent has opened, and ends with it.

Arguments: the target, and the number of the inherited socket. Prints `ready` when it accepts requests.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading

from avow.api.app import Application
from avow.api.serving import serve
from avow.cli.settings import read_settings
from avow.cli.target import load_target
from avow.errors import AvowError


def main(arguments: list[str]) -> int:
    """Serve until told to end; the exit code tells the parent why."""
    target, number = arguments
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    _end_with_parent()
    try:
        system = load_target(target)
        settings = read_settings(os.environ, development=True)
        app = Application(system, settings.database_url, settings.secret, settings.trust)
        serve(app, socket.socket(fileno=int(number)), _say_ready)
    except AvowError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def _say_ready() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def _end_with_parent() -> None:
    """End when the parent is gone, however it went: our standard input, which it holds open, then closes."""

    def watch() -> None:
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
