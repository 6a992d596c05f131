"""`avow dev`: database, tables, server and reload in one process tree."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys

import click
from watchfiles import PythonFilter, awatch  # pyright: ignore[reportUnknownVariableType]

from avow.api.serving import listen, url_of
from avow.cli import output
from avow.cli.child import Child
from avow.cli.development import Surroundings, set_up
from avow.cli.home import home_folder
from avow.cli.target import load_target, source_folder
from avow.declare.check import check_entities
from avow.errors import EnvironmentFault
from avow.model.system import System

RESTARTS_MAX = 5
"""How often in a row a server that dies while it starts is started again."""
RESTART_PAUSE_S = 0.2
"""How long it waits after the first of them; longer after each."""

DATABASE_LOOK_S = 1.0
"""How often it looks whether its PostgreSQL is there."""

_UNSERVED = (
    "the declaration can't be served as it is now: see above. It is tried again when the source changes"
)


@click.command(name="dev")
@click.argument("target", default=".")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, help="Port to listen on; 0 takes a free one.")
@click.option(
    "--reload/--no-reload", default=True, show_default=True, help="Start again when a source file changes."
)
@output.json_option
def command(target: str, host: str, port: int, reload: bool, as_json: bool) -> None:
    """Run TARGET for development: its own PostgreSQL, tables, server, tokens, reload."""
    system = load_target(target)
    output.warn(check_entities(system.entities, set()))
    for number in _ending_signals():
        signal.signal(number, _end)
    surroundings = set_up(system, home_folder(os.environ), output.talk)
    try:
        listening = listen(host, port)
        asyncio.run(_Supervisor(target, system, surroundings, listening, as_json, reload).run())
    finally:
        if surroundings.lease is not None:
            surroundings.lease.release()


def _ending_signals() -> list[signal.Signals]:
    """What ends it, beside Ctrl-C. A terminal that is closed says SIGHUP, unless that is ignored (nohup)."""
    hung_up = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
    return [signal.SIGTERM, *([signal.SIGHUP] if hung_up else [])]


def _end(_number: int, _frame: object) -> None:
    """Told to end before the server runs: leave by way of every `finally`."""
    raise SystemExit(output.HOLDS)


class _Supervisor:
    """Keeps one server process running, and replaces it when the declaration changes."""

    def __init__(
        self, target: str, system: System, surroundings: Surroundings, listening: socket.socket,
        as_json: bool, reload: bool,
    ) -> None:  # fmt: skip
        self.target, self.system, self.surroundings = target, system, surroundings
        self.listening, self.as_json, self.reload = listening, as_json, reload
        self.ending = asyncio.Event()
        self.changed = asyncio.Event()
        self.server = Child(target, listening, surroundings.environment(), "development")
        self.runs = False

    async def run(self) -> None:
        """Serve until it is told to end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, *_ending_signals()):
            loop.add_signal_handler(number, self.ending.set)
        watching = [asyncio.create_task(self._watch_database())]
        if self.reload:
            watching.append(asyncio.create_task(self._watch()))
        try:
            await self._start()
            self._announce()
            while not self.ending.is_set():
                await self._until_something_happens()
        finally:
            for task in watching:
                task.cancel()
            await self.server.stop()

    async def _start(self) -> None:
        self.runs = False
        await self.server.start()
        self.runs = True

    async def _until_something_happens(self) -> None:
        died = asyncio.create_task(self._server_dies())
        ended = asyncio.create_task(self.ending.wait())
        moved = asyncio.create_task(self.changed.wait())
        await asyncio.wait({died, ended, moved}, return_when=asyncio.FIRST_COMPLETED)
        for task in (died, ended, moved):
            task.cancel()
        if self.ending.is_set():
            return
        if self.changed.is_set():
            self.changed.clear()
            await self._replace()
        else:
            output.talk(f"the server ended with {died.result()}; starting it again")
            await self._restart()

    async def _server_dies(self) -> int:
        """The exit code of a server that has ended by itself; where none runs, only a change helps."""
        if not self.runs:
            await asyncio.Event().wait()
        return await self.server.wait()

    async def _restart(self) -> None:
        """Start a server that has died, a few times; then leave it to the next change of the source."""
        for tried in range(RESTARTS_MAX):
            if self.ending.is_set():
                return
            try:
                await self._start()
            except EnvironmentFault:
                if tried + 1 == RESTARTS_MAX and not self.reload:
                    raise
                await asyncio.sleep(RESTART_PAUSE_S * (tried + 1))
            else:
                return
        output.talk(_UNSERVED)

    async def _replace(self) -> None:
        """Take over a changed declaration, unless it has mistakes or the tables can't follow it."""
        if not await self._check():
            return
        await self.server.stop()
        try:
            await self._start()
        except EnvironmentFault:
            # It was changed once more since it was checked, or fails only where it is served.
            output.talk(_UNSERVED)
        else:
            output.talk("reloaded")

    async def _check(self) -> bool:
        """Whether the tables follow the declaration as it is now. Given up where it changes once more, and
        where this ends: an import may never come to its own end.
        """
        checking = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "avow.cli", "migrate", self.target, stdout=sys.stderr,
            env=self.surroundings.environment() | {"AVOW_DATABASE_URL": self.surroundings.admin_url},
        )  # fmt: skip
        waits = [
            asyncio.create_task(what) for what in (checking.wait(), self.changed.wait(), self.ending.wait())
        ]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in waits:
            task.cancel()
        if checking.returncode is None:
            checking.kill()
            await checking.wait()
        elif checking.returncode != 0:
            output.talk("the changed declaration wasn't taken over; the server goes on with the one before")
        return checking.returncode == 0

    async def _watch_database(self) -> None:
        """Start the PostgreSQL of Avow's own again when it has died, as nobody else would."""
        lease = self.surroundings.lease
        while lease is not None:
            await asyncio.sleep(DATABASE_LOOK_S)
            try:
                revived = await asyncio.to_thread(lease.revive, output.talk)
            except EnvironmentFault as fault:
                output.failure(fault, as_json=False)
                continue
            if revived:
                output.talk("PostgreSQL had ended; it was started again")
                if not self.runs:
                    self.changed.set()

    async def _watch(self) -> None:
        async for _ in awatch(source_folder(self.target), watch_filter=PythonFilter()):
            self.changed.set()

    def _announce(self) -> None:
        url, tokens = url_of(self.listening), self.surroundings.tokens(self.system)
        shown = {"url": url, "tokens": tokens, "console": None, "database": self.surroundings.admin_url}
        secrets = self.surroundings.sender_secrets(self.system)
        if secrets:
            shown["senders"] = secrets
        if self.as_json:
            output.document(shown)
            return
        lines = [f"  {self.system.name} is served at {url}", "", "  Tokens for development:"]
        lines += [f"    {name:<12} {token}" for name, token in tokens.items()]
        if secrets:
            lines += ["", "  Senders of events, and the secrets that they sign with:"]
            lines += [
                f"    {name:<12} POST {url}/events/{name}  {secret}" for name, secret in secrets.items()
            ]
        lines += ["", f"  Database  {self.surroundings.admin_url}", "  Stop with Ctrl-C.", ""]
        output.data("\n".join(lines))
