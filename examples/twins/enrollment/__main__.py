"""`python -m examples.twins.enrollment --port 0`: serve, and print one JSON line when ready."""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys

import uvicorn

from .app import build

# Longer than any request can last (see the time-outs in tables.py): an older lock belongs to a dead process.
KEY_LOCK_S = 30.0


class Server(uvicorn.Server):
    """Says where it listens, once it does."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            host, port = sockets[0].getsockname()[:2]
            print(json.dumps({"url": f"http://{host}:{port}"}), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m examples.twins.enrollment", description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    port = parser.parse_args().port
    environment = os.environ
    missing = [name for name in ("TWIN_DATABASE_URL", "TWIN_SECRET") if not environment.get(name)]
    if missing:
        print(f"set {' and '.join(missing)}", file=sys.stderr)
        return 2
    key_lock_s = float(environment.get("TWIN_KEY_LOCK_S", KEY_LOCK_S))
    try:
        application = build(environment["TWIN_DATABASE_URL"], environment["TWIN_SECRET"], key_lock_s)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    listener = socket.create_server(("127.0.0.1", port))
    server = Server(uvicorn.Config(application, log_level="warning", server_header=False))
    server.run(sockets=[listener])
    return 0 if server.started else 3


if __name__ == "__main__":
    sys.exit(main())
