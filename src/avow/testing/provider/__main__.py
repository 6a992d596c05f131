"""`python -m avow.testing.provider`: one process that is all of the outside. It listens on loopback only."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys

import uvloop

from avow.testing.provider.control import Control
from avow.testing.provider.listening import Listening

CANNOT_RUN = 3


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM or SIGINT. The exit code is 3 when a port is taken."""
    parser = argparse.ArgumentParser("python -m avow.testing.provider", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="of the services; 0: any that is free")
    parser.add_argument("--control-port", type=int, default=0, help="of the control interface; 0: any")
    parser.add_argument("--seed", type=int, default=0, help="of what misbehaves by chance")
    parser.add_argument("--until-eof", action="store_true", help="end when the standard input closes")
    chosen = parser.parse_args(arguments)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(chosen.port, chosen.control_port, chosen.seed, chosen.until_eof))
    except OSError as error:
        sys.stderr.write(f"error: {error.strerror}\n    mend: Use a port that is free, or 0.\n")
        return CANNOT_RUN
    return 0


async def serve(port: int, control_port: int, seed: int, until_eof: bool) -> None:
    """Serve until told to end, and say on stdout where."""
    ruler = Control(seed, port)
    control = Listening(ruler.handle, control_port)
    await ruler.services.open()
    await control.open()
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    if until_eof:
        await loop.connect_read_pipe(lambda: _UntilEnd(ended), sys.stdin)
    sys.stdout.write(json.dumps({"url": ruler.services.url, "control": control.url}) + "\n")
    sys.stdout.flush()
    await ended.wait()
    await ruler.services.close()
    await control.close()


class _UntilEnd(asyncio.Protocol):
    """Our standard input, which the parent holds open: it closes however the parent goes."""

    def __init__(self, ended: asyncio.Event) -> None:
        self._ended = ended

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended.set()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
