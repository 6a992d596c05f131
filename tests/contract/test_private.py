"""Private fields over HTTP: kept as digests, masked for everybody, revealed to some, and forgotten."""

from __future__ import annotations

import json
import uuid

from tests.contract.fix_clinic import Registry
from tests.contract.fix_server import Caller, Record, Tenancy, code_of

PASSPORT = "X-CANARY-12345"
BORN = "1980-02-03"


def admitted(desk: Caller, person: str = "pat", passport: str = PASSPORT, key: str = "") -> Record:
    """A patient."""
    return desk.create("/patients", {"person": person, "passport": passport, "born": BORN}, key)


def erased(clinic: Tenancy, person: str) -> str:
    """Have a person forgotten, by two officers; the path of the erasure."""
    asked = clinic.actor("olga", "officer").create("/erasures", {"person": person, "reason": "asked for it"})
    clinic.actor("otto", "officer").do(f"{asked.path}/approve")
    return asked.path


def test_a_private_value_is_shown_by_nothing_but_a_command_that_reveals_it(clinic: Tenancy) -> None:
    desk = clinic.actor("dora", "desk")
    patient = admitted(desk)
    assert set(patient.body["passport"]) == {"private"}
    for path in (patient.path, f"{patient.path}/history", f"{patient.path}/why", "/patients"):
        answer = desk.get(path)
        assert answer.status_code == 200
        assert PASSPORT not in answer.text
        assert BORN not in answer.text
    shown = desk.do(f"{patient.path}/see_passport", {"purpose": "at the counter"}).json()
    assert shown["revealed"] == {"passport": PASSPORT, "born": BORN}


def test_who_looked_and_what_for_stands_in_the_history(clinic: Tenancy) -> None:
    desk = clinic.actor("dora", "desk")
    patient = admitted(desk)
    desk.do(f"{patient.path}/see_passport", {"purpose": "at the counter"})
    last = desk.get(f"{patient.path}/history").json()["items"][-1]
    assert (last["transition"], last["actor"]["subject"]) == ("see_passport_in_known", "dora")
    assert last["from"] == last["to"] == "known"
    because = desk.get(f"{patient.path}/why").json()["because"]
    assert because["input"]["purpose"] == "at the counter"


def test_only_whom_the_declaration_names_is_shown_a_private_value(clinic: Tenancy) -> None:
    patient = admitted(clinic.actor("dora", "desk"))
    for caller in (clinic.actor("dan", "doctor"), clinic.actor("eve")):
        answer = caller.post(f"{patient.path}/see_passport", {"purpose": "curious"})
        assert code_of(answer) in ("forbidden", "not-found")
        assert PASSPORT not in answer.text
    own = clinic.actor("pat").do(f"{patient.path}/see_passport", {"purpose": "mine"})
    assert own.json()["revealed"]["passport"] == PASSPORT


def test_a_purpose_has_to_be_stated(clinic: Tenancy) -> None:
    desk = clinic.actor("dora", "desk")
    patient = admitted(desk)
    assert code_of(desk.post(f"{patient.path}/see_passport", {})) == "input-invalid"
    assert code_of(desk.post(f"{patient.path}/see_passport", {"purpose": ""})) == "input-invalid"


def test_a_reveal_is_replayed_in_clear_as_long_as_its_caller_may_see_it(clinic: Tenancy) -> None:
    desk, key = clinic.actor("dora", "desk"), str(uuid.uuid4())
    patient = admitted(desk)
    first = desk.do(f"{patient.path}/see_passport", {"purpose": "at the counter"}, key)
    again = desk.do(f"{patient.path}/see_passport", {"purpose": "at the counter"}, key)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == first.json()
    demoted = clinic.actor("dora", "doctor").post(
        f"{patient.path}/see_passport", {"purpose": "at the counter"}, key
    )
    assert PASSPORT not in demoted.text


def test_a_dry_run_of_a_reveal_reveals_nothing(clinic: Tenancy) -> None:
    desk = clinic.actor("dora", "desk")
    patient, before = admitted(desk), clinic.entries()
    answer = desk.do(f"{patient.path}/see_passport?dry_run=true", {"purpose": "to try it"})
    assert set(answer.json()["revealed"]["passport"]) == {"private"}
    assert PASSPORT not in answer.text
    assert clinic.entries() == before


def test_a_key_is_bound_to_the_private_value_that_it_came_with(clinic: Tenancy) -> None:
    desk, key = clinic.actor("dora", "desk"), str(uuid.uuid4())
    admitted(desk, key=key)
    body = {"person": "pat", "passport": PASSPORT, "born": BORN}
    again = desk.post("/patients", body, key)
    assert again.status_code == 201
    assert again.headers["idempotency-replayed"] == "true"
    assert (
        code_of(desk.post("/patients", {**body, "passport": "Y-CANARY-1"}, key)) == "idempotency-key-reused"
    )


def test_a_refused_value_is_never_repeated(clinic: Tenancy) -> None:
    desk, doctor = clinic.actor("dora", "desk"), clinic.actor("dan", "doctor")
    short = desk.post("/patients", {"person": "pat", "passport": "X-C"})
    assert code_of(short) == "input-invalid"
    assert "X-C" not in short.text
    admitted(desk)
    twice = desk.post("/patients", {"person": "pia", "passport": PASSPORT})
    assert code_of(twice) == "unique-violated"
    assert PASSPORT not in twice.text
    ageless = desk.create("/patients", {"person": "pia", "passport": "Y-CANARY-1"})
    refused = doctor.post(f"{ageless.path}/note", {"notes": "CANARY-NOTE"})
    assert code_of(refused) == "refused"
    assert refused.json()["detail"] == "Nobody knows how old they are: [private]"


def test_two_private_values_that_are_equal_are_found_where_they_may_be(clinic: Tenancy) -> None:
    desk = clinic.actor("dora", "desk")
    patient = admitted(desk)
    other = admitted(desk, "pia", "Y-CANARY-2")
    answer = desk.post(f"{other.path}/correct", {"passport": PASSPORT})
    assert code_of(answer) == "unique-violated"
    desk.do(f"{patient.path}/correct", {"passport": "Z-CANARY-3"})
    desk.do(f"{other.path}/correct", {"passport": PASSPORT})
    assert admitted(clinic.server.tenancy().actor("dora", "desk")).body["passport"]


def test_a_call_is_told_in_clear_what_its_state_reveals(clinic: Tenancy, registry: Registry) -> None:
    desk = clinic.actor("dora", "desk")
    passport = f"X-{uuid.uuid4()}"[:30]
    patient = admitted(desk, passport=passport)
    desk.do(f"{patient.path}/register")
    clinic.server.database.wait_until(
        "SELECT state = 'registered' FROM clinic.patients WHERE id = $1", uuid.UUID(patient.id),
        what="the call has been made",
    )  # fmt: skip
    assert json.dumps({"passport": passport}).encode() in [
        body.replace(b'":"', b'": "') for body in registry.got
    ]


def test_two_people_have_to_agree_that_somebody_is_forgotten(clinic: Tenancy) -> None:
    olga = clinic.actor("olga", "officer")
    asked = olga.create("/erasures", {"person": "pat", "reason": "asked for it"})
    assert code_of(olga.post(f"{asked.path}/approve")) == "four-eyes"


def test_who_is_forgotten_is_gone_from_every_answer(clinic: Tenancy) -> None:
    desk, key = clinic.actor("dora", "desk"), str(uuid.uuid4())
    patient = admitted(desk, key=key)
    desk.do(f"{patient.path}/see_passport", {"purpose": "at the counter"}, key)
    erased(clinic, "pat")
    entry = clinic.fetch("SELECT max(entry) FROM avow.audit WHERE tenant = $1 AND kind = 'Erasure'")[0][0]
    shown = desk.do(f"{patient.path}/see_passport", {"purpose": "once more"}).json()["revealed"]
    assert shown == {"passport": {"erased_at": entry}, "born": {"erased_at": entry}}
    assert admitted(desk, "pia").body["state"] == "known"  # the passport may be given again
    body = {"person": "pat", "passport": PASSPORT, "born": BORN}
    assert code_of(desk.post("/patients", body, key)) == "idempotency-key-reused"
    assert (
        clinic.fetch("SELECT count(*) FROM avow.subject_key WHERE tenant = $1 AND subject = 'pat'")[0][0] == 0
    )


def test_what_brought_nothing_private_is_answered_again_after_an_erasure(clinic: Tenancy) -> None:
    desk, key = clinic.actor("dora", "desk"), str(uuid.uuid4())
    patient = admitted(desk)
    path = f"{patient.path}/see_passport"
    desk.do(path, {"purpose": "at the counter"}, key)
    erased(clinic, "pat")
    again = desk.do(path, {"purpose": "at the counter"}, key)
    assert again.headers["idempotency-replayed"] == "true"
    assert {*again.json()["revealed"]["passport"]} == {"erased_at"}


def test_who_was_forgotten_may_come_back_under_another_key(clinic: Tenancy) -> None:
    desk = clinic.actor("dora", "desk")
    admitted(desk)
    erased(clinic, "pat")
    patient = admitted(desk)
    shown = desk.do(f"{patient.path}/see_passport", {"purpose": "at the counter"}).json()
    assert shown["revealed"]["passport"] == PASSPORT


def test_what_has_to_be_kept_is_not_erased(clinic: Tenancy) -> None:
    desk = clinic.actor("dora", "desk")
    desk.create("/contracts", {"signer": "pat", "iban": "DE-CANARY"})
    olga, otto = clinic.actor("olga", "officer"), clinic.actor("otto", "officer")
    asked = olga.create("/erasures", {"person": "pat", "reason": "asked for it"})
    assert code_of(otto.post(f"{asked.path}/approve")) == "erasure-held"
    assert otto.get(asked.path).json()["state"] == "asked"


def test_records_are_found_by_a_private_value_that_no_address_holds(clinic: Tenancy) -> None:
    desk = clinic.actor("dora", "desk")
    patient = admitted(desk)
    admitted(desk, "pia", "Y-CANARY-2")
    found = desk.post("/patients/find", {"passport": PASSPORT}, None)
    assert [item["id"] for item in found.json()["items"]] == [patient.id]
    assert PASSPORT not in found.text
    assert desk.post("/patients/find", {"passport": "X-CANARY-1234"}, None).json() == {"items": []}
    assert desk.post("/patients/find?state=gone", {"passport": PASSPORT}, None).json() == {"items": []}
    for body in ({}, {"born": BORN}, {"passport": 7}):
        assert code_of(desk.post("/patients/find", body, None)) == "input-invalid"
    assert code_of(desk.get(f"/patients?passport={PASSPORT}")) == "input-invalid"
    assert clinic.actor("eve").post("/patients/find", {"passport": PASSPORT}, None).json() == {"items": []}
    desk.do(f"{patient.path}/correct", {"passport": "Z-CANARY-3"})
    assert desk.post("/patients/find", {"passport": PASSPORT}, None).json() == {"items": []}
    assert desk.post("/patients/find", {"passport": "Z-CANARY-3"}, None).json()["items"]
    erased(clinic, "pat")
    assert desk.post("/patients/find", {"passport": "Z-CANARY-3"}, None).json() == {"items": []}
