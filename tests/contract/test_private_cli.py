"""What operators do about private values, at the command line, beside a running server."""

from __future__ import annotations

import json
import shutil
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from avow.engine.privacy import FileKeyring
from tests.contract.fix_clinic import CLINIC, operator
from tests.contract.fix_server import Caller, Record, Tenancy
from tests.contract.systems.clinic import app

BODY = {"person": "pat", "passport": "Canary-Passport", "born": "1980-02-03"}
ENROLL = app.entities["Patient"].effects["enroll"].doc
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(clinic: Tenancy) -> Run:
    """`avow` as an operator of the clinic runs it, in the test's tenant."""

    def started(*arguments: str) -> subprocess.CompletedProcess[str]:
        named = () if arguments[0] == "keys" else ("--tenant", clinic.tenant)
        target = (str(CLINIC),) if arguments[0] == "verify" else ("--target", str(CLINIC))
        return operator(clinic.server, *arguments, *target, *named)

    return started


@pytest.fixture
def desk(clinic: Tenancy) -> Caller:
    return clinic.actor("dora", "desk")


def seen(desk: Caller, patient: Record) -> Any:
    """What is revealed of a patient."""
    return desk.do(f"{patient.path}/see_passport", {"purpose": "to look"}).json()["revealed"]


def test_a_person_is_erased_by_two_calls_of_two_people(run: Run, desk: Caller) -> None:
    patient = desk.create("/patients", BODY)
    request = ("erase", "pat", "--reason", "asked for it", "--role", "officer")
    asked = run(*request, "--as", "olga", "--json")
    assert asked.returncode == 1
    assert json.loads(asked.stdout)["values"] == 2
    alone = run(*request, "--as", "olga")
    assert (alone.returncode, "four-eyes" in alone.stderr) == (1, True)
    assert seen(desk, patient)["passport"] == BODY["passport"]
    done = run(*request, "--as", "otto")
    assert (done.returncode, done.stdout.split(" (")[0]) == (0, "2 private values about pat erased")
    assert {*seen(desk, patient)["passport"]} == {"erased_at"}
    told = run("verify")
    assert told.returncode == 0
    assert "0 private values kept, 2 erased at entry" in told.stdout


def test_what_is_held_is_not_erased_until_it_is_released(run: Run, desk: Caller) -> None:
    desk.create("/patients", BODY)
    by = ("--as", "lea", "--reason", "case 7/26")
    assert run("subject", "hold", "pat", *by).stdout == "pat is held\n"
    assert run("subject", "hold", "pat", *by).stdout == "pat was held already\n"
    request = ("erase", "pat", "--reason", "asked for it", "--role", "officer")
    run(*request, "--as", "olga")
    refused = run(*request, "--as", "otto")
    assert (refused.returncode, "A legal hold" in refused.stderr) == (1, True)
    assert "case 7/26" in run("subject", "show", "pat").stdout
    assert run("subject", "release", "pat", *by).stdout == "pat is released\n"
    assert run(*request, "--as", "otto").returncode == 0
    assert "nothing private" in run("subject", "show", "pat").stderr


def test_a_person_is_given_all_that_is_held_about_them_with_why(
    run: Run, clinic: Tenancy, desk: Caller
) -> None:
    patient = desk.create("/patients", BODY)
    own = clinic.actor("pat", "desk")
    own.do(f"{patient.path}/see_passport", {"purpose": "mine"})
    own.do(f"{patient.path}/register")
    clinic.server.database.wait_until(
        "SELECT state = 'registered' FROM clinic.patients WHERE id = $1", uuid.UUID(patient.id),
        what="the call has been made",
    )  # fmt: skip
    own.do(f"{patient.path}/leave")
    own.post(f"{patient.path}/leave")
    told = run("subject", "export", "pat", "--as", "lea", "--reason", "pat asked for it")
    assert told.returncode == 0, told.stderr
    document = json.loads(told.stdout)
    private = {item["field"]: item for item in document["private"]}
    assert {name: item["value"] for name, item in private.items()} == {
        "passport": BODY["passport"], "born": BODY["born"],
    }  # fmt: skip
    assert (private["born"]["why"]["by"], private["born"]["why"]["transition"]) == ("dora", "admit")
    record = document["records"][0]
    assert (record["id"], len(record["history"])) == (patient.id, 5)
    assert record["is"]["passport"] == {"private": private["passport"]["digest"]}
    assert [(told["fields"], told["calls"]) for told in record["told_to"]] == [
        (["passport"], [{"call": "enroll", "destination": "registry", "purpose": ENROLL.strip()}])
    ]
    assert [act["transition"] for act in document["did"]] == ["see_passport_in_known", "register", "leave"]
    assert [refusal["command"] for refusal in document["was_refused"]] == ["leave"]
    noted = clinic.fetch(
        "SELECT subject, reason FROM avow.intervention WHERE tenant = $1 AND action = 'export'"
    )
    assert [tuple(row) for row in noted] == [("lea", "pat asked for it")]


def test_keys_are_put_under_a_new_key_while_the_server_goes_on(
    run: Run, clinic: Tenancy, desk: Caller, tmp_path: Path
) -> None:
    patient = desk.create("/patients", BODY)
    ring = FileKeyring(Path(clinic.server.environment["AVOW_PRIVATE_KEY"]))
    old = ring.current
    copy = shutil.copy(ring.file, tmp_path / "old.keys")
    rotated = run("keys", "rotate-private", "--json")
    assert rotated.returncode == 0, rotated.stderr
    assert json.loads(rotated.stdout)["current"] == ring.current != old
    assert json.loads(rotated.stdout)["rewrapped"] >= 2
    assert {row["kek"] for row in clinic.fetch("SELECT kek FROM avow.subject_key WHERE tenant = $1")} == {
        ring.current
    }
    assert run("keys", "retire-private", ring.current).returncode == 2
    assert run("keys", "retire-private", old).returncode == 0
    assert seen(desk, patient)["passport"] == BODY["passport"]
    other = desk.create("/patients", {**BODY, "person": "pia", "passport": "Canary-2"})
    assert seen(desk, other)["passport"] == "Canary-2"
    assert FileKeyring(Path(copy)).names == (old,)  # what a thief of the old file has opens nothing any more
