"""The replay of permit applications adds up, and its account notices when something doesn't."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Generator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from avow.model.system import System
from avow.store import cluster
from bench.replay_receipt.__main__ import DATA
from bench.replay_receipt.account import Account, settle
from bench.replay_receipt.drive import Drive
from bench.replay_receipt.expected import Expected, expect
from bench.replay_receipt.log import RECEIPT, Activity, Case
from bench.replay_receipt.outages import Outage
from bench.replay_receipt.run import FAULTS, TARGET, replay_cases
from examples.demo.declared import Declared

ROOT = Path(__file__).parents[2]
EVERY_40TH = 40
RUN_TIMEOUT_S = 240
BEGIN = datetime(2011, 1, 1, 9, tzinfo=UTC)


def day(number: float) -> datetime:
    return BEGIN + timedelta(days=number)


def case(name: str, deadline: float, ended: float | None, *activities: tuple[str, float]) -> Case:
    """A case whose deadline is that of its planned end."""
    return Case(
        name, "General", "Desk", "rose", day(deadline), day(deadline),
        None if ended is None else day(ended),
        tuple(Activity(activity, day(at), "rose") for activity, at in ((RECEIPT, 0.0), *activities)),
    )  # fmt: skip


OUTAGES = [Outage(day(10), day(20))]
CASES = [
    case("in-time", 5, 4, ("T02", 1), ("T04", 2), ("T05", 3)),
    case("late", 5, 30, ("T06", 1), ("T08", 2), ("T07-1", 3), ("T09-1", 4), ("T06", 5), ("T10", 6)),
    case("due-in-the-outage", 12, None),
    case("closed-in-the-outage", 12, 15),
    case("due-before-the-receipt", -30, None),
    case("closed-before-the-receipt", 5, -1, ("T02", 1)),
    case("out-of-order", 40, 30, ("T04", 1), ("T10", 2), ("T02", 3), ("T05", 31)),
]


def test_when_deadlines_come_follows_from_the_dates() -> None:
    """Once each, at the due time or, in an outage, at its end; not at all once the case is closed."""
    assert expect(CASES, OUTAGES).comes == {
        ("late", "note_overdue"): day(5),
        ("late", "escalate"): day(20),  # due on day 19
        ("due-in-the-outage", "note_overdue"): day(20),
        ("due-in-the-outage", "escalate"): day(26),
        ("due-before-the-receipt", "note_overdue"): day(0),
        ("due-before-the-receipt", "escalate"): day(0),
    }


def test_what_is_refused_follows_from_the_order() -> None:
    found = expect(CASES, OUTAGES)
    assert found.refused == {
        ("T02", "guard-failed"): 1,
        ("T04", "state-conflict"): 1,
        ("T10", "never-begun"): 1,
        ("T05", "state-conflict"): 1,
    }
    assert found.ends["out-of-order", "confirmation"] == "checked"
    assert found.ends["late", "stop"] == "decided"
    assert found.ends["closed-in-the-outage", "permit"] == "closed"


@pytest.mark.skipif(not DATA.is_file(), reason=f"{DATA} isn't there: set AVOW_DATA")
def test_every_deadline_of_real_applications_comes_once_and_never_early(tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    arguments = ("--every", str(EVERY_40TH), "--kills", "2", "--result", str(result))
    said = subprocess.run(
        [sys.executable, "-m", "bench.replay_receipt", *arguments],
        cwd=ROOT,
        env=os.environ | {"AVOW_DATA": str(DATA.parents[1])},
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
        check=False,
    )
    assert said.returncode == 0, said.stdout + said.stderr
    found = json.loads(result.read_text())
    assert {name: found[name] for name in FAULTS} == dict.fromkeys(FAULTS, 0)
    assert found["cases"] == 36
    assert found["deadlines"] > 0
    assert found["kills"] >= 4
    assert found["verify"] is True


@dataclass
class Replayed:
    """A finished replay whose database is still there."""

    admin_url: str
    system: System
    drive: Drive
    expected: Expected

    def account(self) -> Account:
        return asyncio.run(settle(self.admin_url, self.system, self.drive, self.expected))[0]

    def plant(self, statement: str) -> None:
        async def execute() -> None:
            connection = await asyncpg.connect(self.admin_url)
            await connection.execute("SET session_replication_role = replica")
            await connection.execute(statement)
            await connection.close()

        asyncio.run(execute())


@pytest.fixture
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Generator[Replayed]:
    home = tmp_path_factory.mktemp("replayed")
    declared = Declared.set_up(TARGET, home, lambda _: None)
    try:
        drive, _ = asyncio.run(replay_cases(declared, CASES, OUTAGES))
        yield Replayed(declared.admin_url, declared.system, drive, expect(CASES, OUTAGES))
    finally:
        declared.stop()
        cluster.destroy(home)


ESCALATION = """(
    SELECT entry FROM avow.audit
    WHERE convert_from(header, 'UTF8')::jsonb ->> 'transition' = 'escalate' ORDER BY entry DESC LIMIT 1
)"""
MOVED = """
UPDATE avow.audit SET header = convert_to(
    jsonb_set(convert_from(header, 'UTF8')::jsonb, '{{at}}', to_jsonb('{at}'::text))::text, 'UTF8')
WHERE entry = {entry}
"""


def test_the_account_finds_what_does_not_add_up(replayed: Replayed) -> None:
    """Planted one after the other: a deadline that came late, early, twice, and never."""
    account = replayed.account()
    assert account.adds_up, account.examples
    assert replayed.drive.kills == 3
    assert account.held_up == 2
    replayed.plant(MOVED.format(at=day(26.1).isoformat(), entry=ESCALATION))
    assert (replayed.account().late, replayed.account().early) == (1, 0)
    replayed.plant(MOVED.format(at=day(25.9).isoformat(), entry=ESCALATION))
    assert (replayed.account().late, replayed.account().early) == (1, 1)
    replayed.plant(f"""
        INSERT INTO avow.audit (tenant, kind, id, version, header, hash)
        SELECT tenant, kind, id, version + 1, header, hash FROM avow.audit WHERE entry = {ESCALATION}
    """)
    account = replayed.account()
    assert (account.came_twice, account.doubled) == (1, 1)
    replayed.plant(f"DELETE FROM avow.audit WHERE entry = {ESCALATION}")
    replayed.plant(f"DELETE FROM avow.audit WHERE entry = {ESCALATION}")
    account = replayed.account()
    assert (account.not_come, account.missing) == (1, 1)
