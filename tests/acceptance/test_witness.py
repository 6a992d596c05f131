"""A log and a witness of somebody else's: what is witnessed, and what is found when the log is forked."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from avow.engine.explain import Operator
from avow.engine.log.proving import Logs
from avow.engine.log.receipts import Asked, issue
from avow.engine.log.witnessing import Questions, Witnessing
from avow.engine.outside import Outside
from avow.evidence.verifier import believing, parse_key, parse_policy, verify
from avow.evidence.witness import Witness
from avow.store.pool import connect
from examples.enrollment.system import app
from tests.acceptance.polling import PATIENCE_S, until
from tests.acting import acting
from tests.fix_database import MakeDatabase
from tests.store.sealed import Log, sealing
from tests.unit.evidence.receipts import LOG
from tests.unit.evidence.test_witness import submission

COURSE = {"title": "Greek", "seats": 3}


@dataclass
class Running:
    """`avow witness` as a process of its own."""

    folder: Path
    process: subprocess.Popen[str]
    url: str
    key: str

    @property
    def witness(self) -> Witness:
        return Witness(parse_key(self.key), self.url)


def started(folder: Path) -> Running:
    options = ["--name", "audit.example/w1", "--port", "0", "--json"]
    command = [sys.executable, "-m", "avow.cli", "witness", "log.pub", *options]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, env={**os.environ})
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    return Running(folder, process, told["url"], told["key"])


@pytest.fixture
def running() -> Iterator[list[Running]]:
    """Witnesses to be ended with the test."""
    held: list[Running] = []
    yield held
    for each in held:
        each.process.send_signal(signal.SIGTERM)
        each.process.wait(PATIENCE_S)
        if each.process.stdout is not None:
            each.process.stdout.close()


@asynccontextmanager
async def questions(log: Log) -> AsyncIterator[Questions]:
    """What the log's process asks, on a connection with the application's rights."""
    outside, connection = Outside(), await connect(log.made.application_url)
    try:
        yield Questions.on(connection, outside)
    finally:
        await outside.aclose()
        await connection.close()


async def receipt(log: Log, act: Any, course: Any) -> str:
    asked = Asked(app.entities["Course"], course, "seats = 3")

    @asynccontextmanager
    async def lend() -> AsyncIterator[Any]:
        yield log.admin

    issued = await issue(app, act.reads, Logs(lend), Operator("main"), asked)
    assert issued is not None
    return issued.text


async def test_a_witnessed_receipt_names_the_witness(
    database: MakeDatabase, tmp_path: Path, running: list[Running]
) -> None:
    made = database(app)
    async with acting(made) as act, sealing(made, tmp_path) as log, questions(log) as asking:
        course = await act.do("Course", "announce", None, COURSE, "rita", "registrar")
        await log.seal()
        unwitnessed = await receipt(log, act, course)
        running.append(await asyncio.to_thread(started, tmp_path))
        witness = running[0].witness
        assert await asking.lead()
        assert await asking.ask(witness)
        assert await asking.ask(witness)  # it has it already
        policy = parse_policy(f"log {log.signer.verifier.text}\nwitness w {witness.key.text}\nquorum w\n")
        witnessed = await receipt(log, act, course)
        assert "witnessed by: audit.example/w1 at 20" in verify(witnessed.encode(), policy).statement
        assert "witnessed by: nobody\n" in verify(unwitnessed.encode(), believing(policy.logs)).statement


async def test_a_witness_signs_for_no_other_history_of_a_log_also_after_a_restart(
    database: MakeDatabase, tmp_path: Path, running: list[Running], caplog: pytest.LogCaptureFixture
) -> None:
    """A second database with the same key: a backup that was restored, or somebody who rewrites it all."""
    first, second = database(app), database(app)
    (tmp_path / "b").mkdir()
    async with acting(first) as act, sealing(first, tmp_path) as log, questions(log) as asking:
        for _ in range(3):
            await act.do("Course", "announce", None, COURSE, "rita", "registrar")
        await log.seal()
        running.append(await asyncio.to_thread(started, tmp_path))
        assert await asking.ask(running[0].witness)
    running[0].process.kill()
    running[0].process.wait(PATIENCE_S)
    running.append(await asyncio.to_thread(started, tmp_path))
    assert running[1].key == running[0].key
    shutil.copy(tmp_path / "log.key", tmp_path / "b" / "log.key")
    async with acting(second) as act, sealing(second, tmp_path / "b") as log, questions(log) as asking:
        for said in ("it has signed for size 3", "it has signed for size 3", "answers 409", "answers 422"):
            await act.do("Course", "announce", None, COURSE, "rita", "registrar")
            await log.seal()
            caplog.clear()
            assert not await asking.ask(running[1].witness)
            assert said in caplog.text
        running[1].process.kill()
        running[1].process.wait(PATIENCE_S)
        assert not await asking.ask(running[1].witness)  # nobody is there
        assert await log.admin.fetchval("SELECT count(*) FROM avow.cosignature") == 0


async def test_witnesses_are_asked_by_themselves_beside_a_server(
    database: MakeDatabase, tmp_path: Path, running: list[Running]
) -> None:
    made = database(app)
    async with acting(made) as act, sealing(made, tmp_path) as log:
        await act.do("Course", "announce", None, COURSE, "rita", "registrar")
        await log.seal()
        running.append(await asyncio.to_thread(started, tmp_path))
        asking = Witnessing(made.application_url, [running[0].witness], interval_s=0.05)
        asking.start()
        try:

            async def kept() -> bool | None:
                return bool(await log.admin.fetchval("SELECT count(*) FROM avow.cosignature")) or None

            await until(kept, "the witness has signed")
        finally:
            await asyncio.to_thread(asking.stop)


def test_a_second_witness_with_one_state_is_refused_and_answers_name_what_is_there(
    tmp_path: Path, running: list[Running]
) -> None:
    (tmp_path / "log.pub").write_text(f"{LOG.verifier.text}\n")
    running.append(started(tmp_path))
    command = [sys.executable, "-m", "avow.cli", "witness", "log.pub", "--port", "0"]
    second = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert (second.returncode, second.stderr[:20]) == (3, "error[witness-twice]")
    with httpx2.Client(base_url=running[0].url, timeout=PATIENCE_S, trust_env=False) as client:
        assert client.get("/").text.strip() == running[0].key
        assert client.get("/else").status_code == 404
        signed = client.post("/add-checkpoint", content=submission(0, 7))
        assert (signed.status_code, signed.text[:19]) == (200, "— audit.example/w1 ")
        conflict = client.post("/add-checkpoint", content=submission(0, 13))
        assert (conflict.status_code, conflict.text) == (409, "7\n")
        assert conflict.headers["content-type"] == "text/x.tlog.size"
        assert client.post("/add-checkpoint", content=submission(7, 13, fork=b"f")).status_code == 422
        assert client.post("/add-checkpoint", content=b"x" * 70_000).status_code == 413
        assert client.post("/add-checkpoint", content=submission(7, 13)).status_code == 200


def refused(folder: Path, *options: str) -> str:
    command = [sys.executable, "-m", "avow.cli", "witness", "log.pub", "--port", "0", *options]
    told = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    assert told.returncode == 3
    return told.stderr


def test_a_witness_that_has_lost_what_it_signed_does_not_begin_anew(
    tmp_path: Path, running: list[Running]
) -> None:
    """It would sign another history of the same log: its key is there, so it may have signed one."""
    (tmp_path / "log.pub").write_text(f"{LOG.verifier.text}\n")
    running.append(started(tmp_path))
    with httpx2.Client(base_url=running[0].url, timeout=PATIENCE_S, trust_env=False) as client:
        assert client.post("/add-checkpoint", content=submission(0, 7)).status_code == 200
    (tmp_path / "alias").symlink_to("witness.state")
    assert "error[witness-twice]" in refused(tmp_path, "--state", "alias")
    running[0].process.kill()
    running[0].process.wait(PATIENCE_S)
    (tmp_path / "witness.state").unlink()
    assert "error[witness-state]" in refused(tmp_path)
    (tmp_path / "witness.state").write_text("{}")
    running.append(started(tmp_path))
    assert running[1].key == running[0].key
