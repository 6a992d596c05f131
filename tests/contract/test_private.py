"""Private fields over HTTP: kept as digests, masked for everybody, revealed to some, and forgotten."""

from __future__ import annotations

from tests.contract.fix_server import Tenancy

PASSPORT = "X-CANARY-12345"


def test_a_private_value_is_never_shown_but_by_a_command_that_reveals_it(clinic: Tenancy) -> None:
    desk = clinic.actor("dora", "desk")
    patient = desk.create("/patients", {"person": "pat", "passport": PASSPORT, "born": "1980-02-03"})
    assert set(patient.body["passport"]) == {"private"}
    for path in (patient.path, f"{patient.path}/history", f"{patient.path}/why", "/patients"):
        answer = desk.get(path)
        assert answer.status_code == 200
        assert PASSPORT not in answer.text
        assert "1980" not in answer.text
    shown = desk.do(f"{patient.path}/see_passport", {"purpose": "at the counter"}).json()
    assert shown["revealed"] == {"passport": PASSPORT, "born": "1980-02-03"}
