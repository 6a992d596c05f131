"""The replay of real registrations adds up, and its account notices when something doesn't."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from avow.model.system import System
from avow.store import cluster
from bench.replay.clients import Clients
from bench.replay.sending import CLIENTS, Tally
from bench.replay_enrollment.__main__ import DATA
from bench.replay_enrollment.account import settle
from bench.replay_enrollment.expected import end_states
from bench.replay_enrollment.registrations import read_registrations
from bench.replay_enrollment.replay import Replay
from bench.replay_enrollment.run import FAULTS, TARGET, replay_rows
from examples.demo.declared import Declared

ROOT = Path(__file__).parents[2]
EVERY_16TH = 16
RUN_TIMEOUT_S = 240

HEAD = '"code_module","code_presentation","id_student","date_registration","date_unregistration"'
CROWD = [f'"AAA","2013J","{100 + number}","-{50 - number}",""' for number in range(16)]
EDGES = [
    '"AAA","2013J","1","-90","0"',  # left on the first day, after the approvals of that day
    '"AAA","2013J","2","-80","-1"',  # withdrawn before the start: takes no place
    '"AAA","2013J","3","-10","5"',  # gets the last but one place, and gives it back on day 5
    '"AAA","2013J","4","0",""',  # the last place
    '"AAA","2013J","5","5",""',  # comes on day 5, before the place is given back on that day
    '"AAA","2013J","6","6",""',  # comes on day 6, and gets the one of day 0 or 5
    '"AAA","2013J","7","",""',
    '"AAA","2013J","8","","12"',
]


@pytest.fixture
def small_file(tmp_path: Path) -> Path:
    """Twenty-four rows of one presentation, with every case of the reading of dates."""
    path = tmp_path / "studentRegistration.csv.gz"
    with gzip.open(path, "wt") as file:
        file.write("\n".join([HEAD, *EDGES, *CROWD]) + "\n")
    return path


def test_the_end_of_each_registration_follows_from_the_dates(small_file: Path) -> None:
    """24 rows make 22 places; 21 registrations would take one."""
    ends = {student: state for (_, student), state in end_states(small_file, 1).items()}
    assert [ends[str(student)] for student in range(1, 9)] == [
        *("left", "withdrawn", "left", "approved", "approved", "approved", "draft", "withdrawn"),
    ]
    assert {ends[str(100 + number)] for number in range(16)} == {"approved"}


def test_a_full_course_refuses_until_a_place_is_given_back(tmp_path: Path) -> None:
    """20 rows make 19 places: who is approved last finds none; who comes after a departure does."""
    rows = [f'"B","J","{number}","-{40 - number}","{"3" if number == 0 else ""}"' for number in range(19)]
    rows.append('"B","J","50","0","9"')
    path = tmp_path / "rows.csv.gz"
    with gzip.open(path, "wt") as file:
        file.write("\n".join([HEAD, *rows]))
    assert end_states(path, 1)["B-J", "50"] == "withdrawn", "was refused, wants to leave, withdraws"
    with gzip.open(path, "wt") as file:
        file.write("\n".join([HEAD, *rows]).replace('"50","0","9"', '"50","4",""'))
    assert end_states(path, 1)["B-J", "50"] == "approved"


@pytest.mark.skipif(not DATA.is_file(), reason=f"{DATA} isn't there: set AVOW_DATA")
def test_two_thousand_real_registrations_survive_copies_and_crashes(tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    said = subprocess.run(
        [
            sys.executable,
            "-m",
            "bench.replay_enrollment",
            "--every",
            str(EVERY_16TH),
            "--result",
            str(result),
        ],
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
    assert found["rows"] > 2_000
    assert found["sent"] > 2 * found["keys"]
    assert found["kills"] == 3
    assert found["answers_lost"] > 0, "the server was killed while it was working"
    assert found["refused_by_command"]["invariant-violated"]["approve"] > 0, "a course was full"
    assert found["verify"] is True


class Forgetful:
    """A server that keeps no keys: every copy is executed, and answered with a version of its own."""

    def __init__(self) -> None:
        self.version = 0
        self.conversations: list[asyncio.Task[None]] = []

    def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.conversations.append(asyncio.create_task(self.converse(reader, writer)))

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(re.findall(rb"Content-Length: (\d+)", head)[0]))
                self.version += 1
                body = json.dumps({"id": str(UUID(int=1)), "version": self.version}).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


async def test_copies_that_are_executed_again_are_found(small_file: Path) -> None:
    """Against a server without idempotency every key is reported, sent twice or three times at once."""
    forgetful = Forgetful()
    server = await asyncio.start_server(forgetful.meet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    clients = Clients(f"http://127.0.0.1:{port}", CLIENTS)
    replay = Replay(clients, lambda *_: "token", lambda: None)
    await replay.run(read_registrations(small_file, 1))
    await clients.close()
    await asyncio.gather(*forgetful.conversations)
    server.close()
    assert replay.tally.keys > 24
    assert len(set(replay.tally.executed_twice)) == replay.tally.keys
    assert len({text.partition(":")[0] for text in replay.tally.disagreements}) == replay.tally.keys


@dataclass
class Replayed:
    """A finished replay whose database is still there."""

    admin_url: str
    system: System
    tally: Tally
    ends: dict[tuple[str, str], str]

    async def execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self.admin_url)
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(statement)
        await connection.close()


@pytest.fixture
def replayed(small_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[Replayed]:
    home = tmp_path_factory.mktemp("replayed")
    declared = Declared.set_up(TARGET, home, lambda _: None)
    try:
        declared.start()
        _, tally, _, _ = asyncio.run(replay_rows(declared, small_file, 1, kills=1))
        yield Replayed(declared.admin_url, declared.system, tally, end_states(small_file, 1))
    finally:
        declared.stop()
        cluster.destroy(home)


LAST_APPROVAL = """(
    SELECT entry FROM avow.audit WHERE convert_from(header, 'UTF8')::jsonb ->> 'transition' = 'approve'
    ORDER BY entry DESC LIMIT 1
)"""
FORGED = f"""
INSERT INTO avow.audit (tenant, kind, id, version, header, hash)
SELECT tenant, kind, id, version + 1, header, hash FROM avow.audit WHERE entry = {LAST_APPROVAL}
"""


def test_the_account_finds_what_does_not_add_up(replayed: Replayed) -> None:
    """Planted one after the other: a forged entry, a removed one, a moved record, a place too many."""
    account, _ = asyncio.run(settle(replayed.admin_url, replayed.system, replayed.tally, replayed.ends))
    assert account.adds_up, account.examples

    async def plant() -> None:
        await replayed.execute(FORGED)
        account, _ = await settle(replayed.admin_url, replayed.system, replayed.tally, replayed.ends)
        assert (account.doubled, account.lost) == (1, 0)
        await replayed.execute(f"DELETE FROM avow.audit WHERE entry = {LAST_APPROVAL}")
        await replayed.execute(f"DELETE FROM avow.audit WHERE entry = {LAST_APPROVAL}")
        account, _ = await settle(replayed.admin_url, replayed.system, replayed.tally, replayed.ends)
        assert (account.missing, account.lost) == (1, 1)
        await replayed.execute("UPDATE enrollment.enrollments SET state = 'approved' WHERE state = 'draft'")
        account, _ = await settle(replayed.admin_url, replayed.system, replayed.tally, replayed.ends)
        assert (account.wrong_ends, account.oversold) == (1, 1)

    asyncio.run(plant())
