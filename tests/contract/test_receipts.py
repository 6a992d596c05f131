"""Receipts over HTTP: who may see all of an entry can show it to others, once it is sealed."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from avow.evidence.verifier import Invalid, believing, parse_keys, verify
from tests.contract.fix_server import Caller, Record, Tenancy, code_of
from tests.contract.fix_venue import ROOM

SECRET = "4711"


@pytest.fixture
def manager(venue: Tenancy) -> Caller:
    return venue.actor("max", "manager")


@pytest.fixture
def room(manager: Caller) -> Record:
    return manager.create("/rooms", {**ROOM, "key_code": SECRET})


def claimed(path: str, claim: str) -> str:
    return f"{path}/receipt?claim={quote(claim)}"


def test_a_receipt_is_answered_once_the_entry_is_sealed(manager: Caller, room: Record) -> None:
    answer = manager.get(claimed(room.path, "state = offered & places >= 3"), Prefer="wait=10")
    assert answer.status_code == 200, answer.text
    assert answer.headers["preference-applied"] == "wait"
    assert answer.headers["cache-control"] == "no-store"
    told = answer.json()
    verdict = verify(told["receipt"].encode(), believing(parse_keys(told["log"])))
    assert (verdict.claim, verdict.header["id"]) == ("state = offered & places >= 3", room.id)
    assert (told["version"], told["claim"], told["witnesses"]) == (1, verdict.claim, [])
    assert (told["leaf"], told["size"]) == (verdict.index, verdict.sealed.checkpoint.size)
    with pytest.raises(Invalid):
        verify(told["receipt"].replace("\nindex ", "\nindex 1").encode(), believing(parse_keys(told["log"])))


def test_an_entry_that_is_not_sealed_is_to_be_asked_for_again(manager: Caller, room: Record) -> None:
    """The first answer depends on the sealer's pace; the last one, after waiting, doesn't."""
    first = manager.get(claimed(room.path, "state = offered"))
    if first.status_code != 200:
        assert code_of(first) == "not-sealed"
        assert first.headers["retry-after"] == "1"
        assert "preference-applied" not in first.headers
    assert manager.get(claimed(room.path, "state = offered"), Prefer="respond-async, wait").status_code == 200


def test_a_receipt_is_for_who_may_see_all_of_the_entry(venue: Tenancy, room: Record) -> None:
    """A clerk may read the room, and not its key code; who has another tenant knows of no room."""
    clerk = venue.actor("ann", "clerk")
    for claim in ("state = offered", f"key_code = {SECRET}", "key_code = 1"):
        answer = clerk.get(claimed(room.path, claim), Prefer="wait=5")
        assert (answer.status_code, code_of(answer)) == (403, "forbidden")
        assert SECRET not in answer.text
    stranger = venue.server.tenancy().actor("max", "manager")
    assert code_of(stranger.get(claimed(room.path, "state = offered"))) == "not-found"


def test_a_receipt_shows_no_record_that_may_not_be_seen(enrollment: Tenancy) -> None:
    """Everybody reads the course; whose place was taken is the business of who may read that enrollment."""
    rita, ana = enrollment.actor("rita", "registrar"), enrollment.actor("ana")
    course = rita.create("/courses", {"title": "Greek", "seats": 3})
    place = ana.create("/enrollments", {"course": course.id})
    ana.do(f"{place.path}/submit", {"essay": "because"})
    rita.do(f"{place.path}/verify")
    enrollment.actor("dora", "dean").do(f"{place.path}/approve")
    answers = {
        who: enrollment.actor(who).get(claimed(course.path, claim), Prefer="wait=10")
        for who, claim in [("ana", "taken = 1"), ("zoe", "taken = 1"), ("eve", "seats = 3")]
    }
    assert answers["ana"].json()["version"] == 2
    assert (answers["zoe"].status_code, code_of(answers["zoe"])) == (403, "forbidden")
    assert place.id not in answers["zoe"].text
    assert answers["eve"].json()["version"] == 1  # the entry that announced it names nothing else


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 422, "input-invalid"),
        ("?claim=", 422, "input-invalid"),
        ("?claim=state", 422, "input-invalid"),
        ("?claim=state%20%3D%20offered&claim=state%20%3D%20retired", 422, "input-invalid"),
        ("?claim=state%20%3D%20offered&version=0", 422, "input-invalid"),
        ("?claim=state%20%3D%20offered&version=9007199254740992", 422, "input-invalid"),
        ("?claim=state%20%3D%20offered&now=1", 422, "input-invalid"),
        ("?claim=state%20%3D%20retired", 409, "claim-unproved"),
        ("?claim=state%20%3D%20sold", 409, "claim-unproved"),
        ("?claim=places%20%3D%20four", 409, "claim-unproved"),
        ("?claim=state%20%3D%20offered&version=9007199254740991", 409, "claim-unproved"),
    ],
)
def test_what_cannot_be_shown_is_refused(
    manager: Caller, room: Record, query: str, status: int, code: str
) -> None:
    answer = manager.get(f"{room.path}/receipt{query}")
    assert (answer.status_code, code_of(answer)) == (status, code), answer.text


def test_an_answer_says_what_was_erased_of_the_entry_and_so_does_its_receipt(clinic: Tenancy) -> None:
    desk = clinic.actor("dora", "desk")
    patient = desk.create("/patients", {"person": "pat", "passport": "X-CANARY-9", "born": "1980-02-03"})
    before = desk.get(claimed(patient.path, "state = known"), Prefer="wait=10").json()
    asked = clinic.actor("olga", "officer").create("/erasures", {"person": "pat", "reason": "asked for it"})
    clinic.actor("otto", "officer").do(f"{asked.path}/approve")
    told = desk.get(claimed(patient.path, "state = known"), Prefer="wait=10").json()
    leaf = clinic.fetch(
        "SELECT l.index FROM avow.leaf l JOIN avow.audit a USING (entry) WHERE a.tenant = $1"
        " AND a.kind = 'Erasure' AND a.version = 2"
    )[0][0]
    assert before["erased"] == []
    assert told["erased"] == [
        {"field": "born", "leaf": leaf, "unsigned": None},
        {"field": "passport", "leaf": leaf, "unsigned": None},
    ]
    said = verify(told["receipt"].encode(), believing(parse_keys(told["log"]))).statement
    assert said.endswith(f"erased at leaf {leaf}, as the log says: born, passport\n")
    key = clinic.server.log.parent / "clinic.log.key"
    key.chmod(0o644)  # somebody has made it everybody's: it isn't used
    try:
        unsaid = desk.get(claimed(patient.path, "state = known")).json()
    finally:
        key.chmod(0o600)
    assert unsaid["erased"] == [{**each, "unsigned": "no-key"} for each in told["erased"]]
    assert unsaid["receipt"] == before["receipt"]
