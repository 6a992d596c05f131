"""A server of a clinic, in which much is private, and the registry that it calls."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from avow.cli.group import run
from avow.engine.privacy import FileKeyring
from tests.contract.fix_server import ROOT, Server, StartServer, Tenancy

CLINIC = ROOT / "tests" / "contract" / "systems" / "clinic.py"


class Registry:
    """What the clinic tells of its patients; it answers with a number."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                registry.got.append(self.rfile.read(int(self.headers["content-length"])))
                body = json.dumps({"number": "R-1"}).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it is reached."""
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self) -> None:
        """End it."""
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


def operator(server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `avow` as an operator of the clinic, in this process, as starting one each costs most."""
    settings = {**server.environment, "AVOW_DATABASE_URL": server.database.admin_url, "NO_COLOR": "1"}
    out, err = StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        for name in ("AVOW_DATABASE_URL", "AVOW_SECRET", "AVOW_PRIVATE_KEY", "NO_COLOR"):
            patch.setenv(name, settings[name])
        code = run(arguments)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def registry() -> Iterator[Registry]:
    """The registry of persons."""
    made = Registry()
    yield made
    made.close()


@pytest.fixture(scope="session")
def _clinic(
    start_server: StartServer, registry: Registry, tmp_path_factory: pytest.TempPathFactory
) -> Server:
    folder: Path = tmp_path_factory.mktemp("clinic")
    destinations = folder / "destinations.json"
    destinations.write_text(json.dumps({"registry": {"url": registry.url, "allow_private": True}}))
    keys = FileKeyring.made(folder / "private.keys").file
    return start_server(CLINIC, AVOW_DESTINATIONS=str(destinations), AVOW_PRIVATE_KEY=str(keys))


@pytest.fixture
def clinic(_clinic: Server) -> Tenancy:
    """A clinic, in a tenant of this test's own."""
    return _clinic.tenancy()
