"""Does somebody at a terminal see what they are asked to do, and get it done?"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import forked
from tests.acceptance.command_line import SECONDS_MAX
from tests.acting import acting
from tests.contract.systems.office import app
from tests.fix_database import Database, MakeDatabase

TARGET = Path(__file__).resolve().parents[1] / "contract" / "systems" / "office.py"
ROOT = TARGET.parents[3]


@dataclass(frozen=True)
class Desk:
    """A database with one expense that waits for an approval."""

    made: Database

    def inbox(
        self, *arguments: str, who: str = "bob", role: str = "boss"
    ) -> subprocess.CompletedProcess[str]:
        settings = {"AVOW_DATABASE_URL": self.made.admin_url, "NO_COLOR": "1", "PYTHONPATH": str(ROOT)}
        person = ("--as", who, "--role", role, "--target", str(TARGET))
        wanted = ("inbox", *arguments, *person)
        return forked.run(wanted, Path.cwd(), {**os.environ, **settings}, SECONDS_MAX)

    def asked(self, *arguments: str, **who: str) -> Any:
        done = self.inbox(*arguments, "--json", **who)
        assert done.returncode == 0, done.stderr + done.stdout
        return json.loads(done.stdout)

    def task(self) -> str:
        (item,) = self.asked("list")["items"]
        return item["id"]


@pytest.fixture
async def desk(database: MakeDatabase) -> Desk:
    made = database(app)
    async with acting(made) as act:
        record = await act.do("Expense", "start", None, {"amount": 50}, "ann", "boss")
        await act.do("Expense", "submit", record, {}, "ann", "boss")
        await act.do("Expense", "check", record, {}, "carl", "clerk")
    return Desk(made)


async def test_a_task_is_listed_claimed_and_done(desk: Desk) -> None:
    listed = desk.inbox("list")
    assert listed.returncode == 0, listed.stderr
    assert "approve" in listed.stdout
    assert "amount 50" in listed.stdout
    task = desk.task()
    claimed = desk.inbox("claim", task, "--reason", "on it")
    assert (claimed.returncode, "held by bob until" in claimed.stdout) == (0, True)
    refused = desk.inbox("complete", task, who="bea")
    assert (refused.returncode, "task-claimed" in refused.stderr) == (1, True)
    assert desk.asked("complete", task)["state"] == "approved"
    done = desk.inbox("list")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "there is nothing to do\n")


async def test_what_is_delegated_is_the_delegates(desk: Desk) -> None:
    task = desk.task()
    assert desk.asked("delegate", task, "bea", "--reason", "away")["holder"] == "bea"
    assert [item["holder"] for item in desk.asked("list", "--mine", who="bea")["items"]] == ["bea"]
    assert desk.inbox("release", task).returncode == 1
    assert desk.asked("release", task, who="bea")["holder"] is None
    assert desk.asked("follow-up", task, "2030-01-01T00:00:00Z")["follow_up"] == "2030-01-01T00:00:00.000000Z"


async def test_what_makes_no_sense_ends_with_two(desk: Desk) -> None:
    for wrong in (("claim", "x"), ("follow-up", desk.task(), "soon"), ("list", "--entity", "Nothing")):
        done = desk.inbox(*wrong)
        assert (done.returncode, done.stdout) == (2, "")


async def test_the_tasks_of_others_are_not_there(desk: Desk) -> None:
    assert desk.asked("list", who="carl", role="clerk") == {"items": []}
    done = desk.inbox("claim", desk.task(), who="carl", role="clerk")
    assert (done.returncode, "not-found" in done.stderr) == (1, True)
