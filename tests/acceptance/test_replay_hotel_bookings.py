"""The replay of hotel bookings adds up, and its account notices when something doesn't."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from avow.model.system import System
from avow.store import cluster
from bench.replay.sending import Tally
from bench.replay_hotel_bookings.__main__ import DATA
from bench.replay_hotel_bookings.account import Account, settle
from bench.replay_hotel_bookings.bookings import read_bookings
from bench.replay_hotel_bookings.expected import Expected, expect
from bench.replay_hotel_bookings.lanes import lanes_of
from bench.replay_hotel_bookings.run import FAULTS, TARGET, replay_rows
from examples.demo.declared import Declared

ROOT = Path(__file__).parents[2]
EVERY_200TH = 200
RUN_TIMEOUT_S = 240

# Days before the arrival, day and month of it, nights, people, status and its date; all want the one room.
ROWS = [
    (30, 31, "May", 3, 2, "Check-Out", "6/3/2016"),
    (
        30,
        31,
        "May",
        3,
        2,
        "Check-Out",
        "6/3/2016",
    ),  # looks the same, is another one, and finds the room taken
    (22, 1, "June", 2, 2, "Canceled", "5/12/2016"),  # asks while the first holds it
    (39, 10, "June", 2, 2, "Canceled", "5/5/2016"),  # gives back on 5 May
    (36, 10, "June", 2, 2, "Check-Out", "6/12/2016"),  # and who asks on 5 May gets it
    (45, 20, "June", 1, 2, "Canceled", "5/6/2016"),  # asks and cancels on 6 May
    (45, 20, "June", 1, 2, "Check-Out", "6/21/2016"),  # asks on the same day, behind it, in vain
    (44, 20, "June", 3, 2, "No-Show", "6/20/2016"),  # doesn't come
    (0, 21, "June", 1, 2, "Check-Out", "6/22/2016"),  # who comes by the next day gets its other nights
    (9, 10, "July", 1, 0, "Check-Out", "7/11/2016"),  # nobody
    (9, 10, "July", 1, 6, "Check-Out", "7/11/2016"),  # more than there are beds
    (25, 3, "June", 0, 1, "Check-Out", "6/3/2016"),  # for the afternoon of the day the first leaves on
]
ENDS = {
    0: "departed",
    3: "cancelled",
    4: "departed",
    5: "cancelled",
    7: "missed",
    8: "departed",
    11: "departed",
}
REFUSED = {"exclusion-violated": 3, "input-invalid": 1, "guard-failed": 1}
HEAD = (
    *("hotel", "reserved_room_type", "lead_time", "arrival_date_day_of_month", "arrival_date_month"),
    *("arrival_date_year", "stays_in_weekend_nights", "stays_in_week_nights", "adults", "children", "babies"),
    *("reservation_status", "reservation_status_date"),
)


@pytest.fixture(scope="module")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve rows that want one room, with every case of the reading of dates."""
    text = io.StringIO(newline="")
    written = csv.writer(text)
    written.writerow(HEAD)
    for lead, day, month, nights, people, status, ended in ROWS:
        written.writerow(
            ["City Hotel", "A", lead, day, month, 2016, 0, nights, people, "NA", 0, status, ended]
        )
    path = tmp_path_factory.mktemp("rows") / "hotel_bookings.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("hotel_bookings.csv", text.getvalue())
    return path


def test_who_gets_the_room_follows_from_the_dates(small_file: Path) -> None:
    """Three of these rows at most want it on one day, which makes one room."""
    found = expect(small_file, 1)
    assert {number: state for number, (_, state) in found.ends.items()} == ENDS
    assert {room for room, _ in found.ends.values()} == {"City Hotel A 0"}
    assert found.refused == REFUSED


def test_what_is_sent_ends_as_the_calendars_say(small_file: Path) -> None:
    """Found in two ways: by spans of days in the order of events, and by calendars row by row."""
    last = {"check_out": "departed", "cancel": "cancelled", "note_absence": "missed"}
    lanes = lanes_of(read_bookings(small_file, 1))
    sent = {
        booking.number: (room.name, last[command])
        for room in lanes
        for command, booking in room.steps
        if command in last
    }
    assert sent == expect(small_file, 1).ends
    assert sum(command == "hold" for room in lanes for command, _ in room.steps) == len(ROWS)


@pytest.mark.skipif(not DATA.is_file(), reason=f"{DATA} isn't there: set AVOW_DATA")
def test_six_hundred_real_bookings_survive_copies_and_crashes(tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    arguments = ("--every", str(EVERY_200TH), "--kills", "2", "--result", str(result))
    said = subprocess.run(
        [sys.executable, "-m", "bench.replay_hotel_bookings", *arguments],
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
    assert found["cases"] == found["done"] + found["compensated"] + sum(found["refused"].values())
    assert found["cases"] == 597
    assert found["killed"] == {"server": 2, "worker": 2}
    assert found["refused_by_command"]["exclusion-violated"]["hold"] > 0, "some found no room"
    assert found["verify"] is True


@dataclass
class Replayed:
    """A finished replay whose database is still there."""

    admin_url: str
    system: System
    tally: Tally
    expected: Expected

    def account(self) -> Account:
        return asyncio.run(settle(self.admin_url, self.system, self.tally, self.expected))[0]

    def plant(self, statement: str) -> None:
        async def execute() -> None:
            connection = await asyncpg.connect(self.admin_url)
            await connection.execute("SET session_replication_role = replica")
            await connection.execute(statement)
            await connection.close()

        asyncio.run(execute())


@pytest.fixture
def replayed(small_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[Replayed]:
    home = tmp_path_factory.mktemp("replayed")
    declared = Declared.set_up(TARGET, home, lambda _: None)
    try:
        _, tally, _, _ = asyncio.run(replay_rows(declared, small_file, 1, kills=1))
        yield Replayed(declared.admin_url, declared.system, tally, expect(small_file, 1))
    finally:
        declared.stop()
        cluster.destroy(home)


ABSENCE = "(SELECT * FROM avow.audit WHERE position('\"note_absence\"' IN convert_from(header, 'UTF8')) > 0)"


def test_the_account_finds_what_does_not_add_up(replayed: Replayed) -> None:
    """Planted one after the other: a stay moved onto another one's, a deadline, an end, a state."""
    account = replayed.account()
    assert account.adds_up, account.examples
    replayed.plant("""
        UPDATE booking.bookings booking SET arrives = first.arrives, leaves = first.leaves
        FROM booking.bookings first WHERE booking.guest = 'guest-4' AND first.guest = 'guest-0'
    """)
    assert replayed.account().let_twice == 1
    replayed.plant(f"""
        INSERT INTO avow.audit (tenant, kind, id, version, header, hash)
        SELECT tenant, kind, id, version + 1,
            convert_to(replace(convert_from(header, 'UTF8'), '"note_absence"', '"miss"'), 'UTF8'), hash
        FROM {ABSENCE} AS absence
    """)
    account = replayed.account()
    assert (account.early, account.doubled) == (1, 1)
    replayed.plant("UPDATE booking.bookings SET state = 'missed' WHERE guest = 'guest-8'")
    assert replayed.account().wrong_ends == 1
    replayed.plant("""
        ALTER TABLE booking.rooms DROP CONSTRAINT rooms__state;
        UPDATE booking.rooms SET state = 'elsewhere'
    """)
    assert replayed.account().undeclared == 1
