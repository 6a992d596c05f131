"""Can somebody at a terminal say who is told of what, and tell them again, as far as HTTP lets them?"""

from __future__ import annotations

import asyncio
import json
import subprocess
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from avow.cli.group import run
from avow.engine.workers.publishing import subscription_secret, telling_of
from tests.acting import acting
from tests.contract.systems.invoices import app
from tests.fix_database import Database, MakeDatabase

TARGET = Path(__file__).resolve().parents[1] / "contract" / "systems" / "invoices.py"
SECRET = "a secret for tests, longer than 32 characters"
SEND, PAY = "invoices.Invoice.send", "invoices.Invoice.pay"
URL = "https://hooks.example/in"
LONG_AGO = "2000-01-01T00:00:00Z"


@dataclass(frozen=True)
class Terminal:
    """A database with nothing in it, and somebody at a terminal."""

    made: Database

    def run(self, *arguments: str, role: str = "integrator") -> subprocess.CompletedProcess[str]:
        """Run one command, in this process: to start one each costs most."""
        settings = {"AVOW_DATABASE_URL": self.made.admin_url, "AVOW_SECRET": SECRET, "NO_COLOR": "1"}
        person = ("--as", "partner", "--role", role, "--target", str(TARGET))
        out, err = StringIO(), StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            for name, value in settings.items():
                patch.setenv(name, value)
            code = run(["subscriptions", *arguments, *person])
        return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())

    def asked(self, *arguments: str) -> Any:
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr + done.stdout
        return json.loads(done.stdout)


@pytest.fixture
def terminal(database: MakeDatabase) -> Terminal:
    return Terminal(database(app))


async def send_invoice(made: Database) -> None:
    async with acting(made) as act:
        invoice = await act.do("Invoice", "write", None, {"cents": 5}, "alice")
        await act.do("Invoice", "send", invoice, {}, "alice")


def test_a_subscription_is_made_paused_told_again_and_ended(terminal: Terminal) -> None:
    made = terminal.asked("add", URL, SEND, PAY)
    root = telling_of(SECRET.encode(), private=False).root
    assert made.pop("secret") == subscription_secret(root, UUID(made["id"]), 1), "as the server signs"
    assert terminal.asked("list") == {"items": [made]}
    asyncio.run(send_invoice(terminal.made))
    assert terminal.asked("pause", made["id"])["state"] == "paused"
    replayed = terminal.asked("replay", made["id"], "--since", LONG_AGO)
    assert replayed == {**made, "state": "paused", "replaying_since": "2000-01-01T00:00:00.000000Z"}
    assert terminal.run("resume", made["id"]).stdout == f"{made['id']}  active  {URL}  {SEND}, {PAY}\n"
    rotated = terminal.run("rotate", made["id"])
    assert rotated.stdout == f"{subscription_secret(root, UUID(made['id']), 2)}\n"
    terminal.asked("delete", made["id"])
    assert terminal.run("list").stderr == "nobody is told of anything\n"


def test_what_nobody_could_do_over_http_is_refused_here(terminal: Terminal) -> None:
    made = terminal.asked("add", URL, PAY)
    for arguments, code in (
        (("add", "http://hooks.example/in", PAY), "input-invalid"),
        (("add", URL, "invoices.Invoice.write"), "input-invalid"),
        (("pause", "01a1fd20-9a72-77b9-a97f-4218a2bfedea"), "not-found"),
    ):
        done = terminal.run(*arguments)
        assert (done.returncode, done.stdout, code in done.stderr) == (1, "", True), done.stderr
    stranger = terminal.run("list", role="clerk")
    assert (stranger.returncode, stranger.stdout, "forbidden" in stranger.stderr) == (1, "", True)
    for arguments in (("pause", "x"), ("replay", made["id"], "--since", "soon")):
        assert terminal.run(*arguments).returncode == 2
