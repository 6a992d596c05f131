"""One server process of `avow dev` or `avow serve --workers`, on a socket that its parent has opened.

It ends with its parent. Arguments: the target, the number of the inherited socket, `development` or
`production` (development where nothing is said): in production no development token is believed; and `idle`
where the application's work is left to others. Prints `ready` when it accepts requests.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading

from avow.api.serving import serve
from avow.cli.application import application
from avow.cli.target import load_target
from avow.errors import AvowError

_LOGGING = {
    "development": (logging.WARNING, "%(levelname)s %(name)s: %(message)s"),
    "production": (logging.INFO, "%(asctime)s %(process)d %(levelname)s %(name)s %(message)s"),
}


def main(arguments: list[str]) -> int:
    """Serve until told to end; the exit code tells the parent why."""
    target, number, *rest = arguments
    mode = rest[0] if rest else "development"
    level, layout = _LOGGING[mode]
    logging.basicConfig(level=level, format=layout)
    _end_with_parent()
    try:
        system = load_target(target)
        app = application(system, os.environ, development=mode == "development", works="idle" not in rest)
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
