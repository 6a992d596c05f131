"""The inbox: who is asked sees it, one person has it at a time, and every act is done once under its key."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.contract.fix_server import Caller, Record, Tenancy, code_of
from tests.contract.test_conformance import run

UNKNOWN = f"/tasks/{uuid4()}"


class Office:
    """The people of one tenant."""

    def __init__(self, tenancy: Tenancy) -> None:
        self.ann = tenancy.actor("ann", "boss")
        self.carl = tenancy.actor("carl", "clerk")
        self.bea, self.bob = tenancy.actor("bea", "boss"), tenancy.actor("bob", "boss")
        self.nobody = tenancy.nobody

    def checked(self, amount: int = 50) -> Record:
        record = self.ann.create("/expenses", {"amount": amount})
        self.ann.do(f"{record.path}/submit")
        self.carl.do(f"{record.path}/check")
        return record


@pytest.fixture
def people(office: Tenancy) -> Office:
    return Office(office)


def tasks(caller: Caller, query: str = "") -> list[dict[str, Any]]:
    answer = caller.get(f"/tasks{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


def test_a_task_is_done_by_giving_its_command_at_its_path(people: Office) -> None:
    record = people.checked()
    (task,) = tasks(people.bob)
    assert (task["record"], task["command"], task["path"]) == (record.id, "approve", f"{record.path}/approve")
    assert (task["may"], task["why_not"], task["shows"]) == (True, None, {"amount": 50})
    assert people.bob.do(task["path"]).json()["state"] == "approved"
    assert tasks(people.bob) == []


def test_who_is_not_asked_sees_nothing(people: Office) -> None:
    people.checked()
    assert tasks(people.ann) == []
    assert tasks(people.carl) == []
    assert code_of(people.nobody.get("/tasks")) == "unauthenticated"


def test_a_claim_keeps_others_out_until_it_is_released(people: Office) -> None:
    record = people.checked()
    (task,) = tasks(people.bea)
    claimed = people.bea.do(f"/tasks/{task['id']}/claim", {"reason": "on it"}).json()
    assert claimed["holder"] == "bea"
    assert claimed["held_until"] is not None
    assert tasks(people.bob)[0]["why_not"] == {"claimed_by": "bea"}
    assert code_of(people.bob.post(f"/tasks/{task['id']}/claim")) == "task-claimed"
    assert code_of(people.bob.post(f"{record.path}/approve")) == "task-claimed"
    assert code_of(people.bob.post(f"/tasks/{task['id']}/release")) == "task-not-held"
    assert people.bea.do(f"/tasks/{task['id']}/release").json()["holder"] is None
    people.bob.do(f"{record.path}/approve")


def test_the_same_key_does_it_once(people: Office) -> None:
    people.checked()
    (task,) = tasks(people.bea)
    first = people.bea.post(f"/tasks/{task['id']}/claim", key="one")
    people.bea.do(f"/tasks/{task['id']}/release")
    again = people.bea.post(f"/tasks/{task['id']}/claim", key="one")
    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
    assert tasks(people.bea)[0]["holder"] is None
    other = people.bea.post(f"/tasks/{task['id']}/claim", {"reason": "another"}, key="one")
    assert code_of(other) == "idempotency-key-reused"


def test_an_act_stays_answered_when_its_task_is_done(people: Office) -> None:
    record = people.checked()
    (task,) = tasks(people.bea)
    first = people.bea.post(f"/tasks/{task['id']}/claim", key="kept")
    people.bea.do(f"{record.path}/approve")
    assert people.bea.post(f"/tasks/{task['id']}/claim", key="kept").content == first.content
    assert code_of(people.bea.post(f"/tasks/{task['id']}/claim")) == "not-found"


def test_a_delegation_names_who_must_be_able_to_do_it(people: Office) -> None:
    record = people.checked()
    (task,) = tasks(people.bea)
    path = f"/tasks/{task['id']}/delegate"
    assert code_of(people.bea.post(path, {"to": "ann"})) == "forbidden"
    assert code_of(people.bea.post(path, {"to": "carl"})) == "four-eyes"
    assert code_of(people.bea.post(path, {"to": "bea"})) == "input-invalid"
    assert code_of(people.bea.post(path, {})) == "input-invalid"
    assert people.bea.do(path, {"to": "bob", "reason": "away"}).json()["holder"] == "bob"
    assert [item["holder"] for item in tasks(people.bob, "?mine=true")] == ["bob"]
    people.bob.do(f"{record.path}/approve")
    assert code_of(people.bea.post(f"{record.path}/pay")) == "four-eyes"


def test_a_follow_up_date_is_kept_and_taken_away(people: Office) -> None:
    people.checked()
    (task,) = tasks(people.bea)
    path = f"/tasks/{task['id']}/follow-up"
    assert people.bea.do(path, {"at": "2030-01-01T00:00:00Z"}).json()["follow_up"] == (
        "2030-01-01T00:00:00.000000Z"
    )
    assert people.bea.do(path).json()["follow_up"] is None


def test_what_is_not_there_and_what_is_not_mine_are_answered_alike(people: Office) -> None:
    people.checked()
    (task,) = tasks(people.bea)
    for act in ("claim", "release", "follow-up"):
        assert code_of(people.bea.post(f"{UNKNOWN}/{act}")) == "not-found"
        assert code_of(people.ann.post(f"/tasks/{task['id']}/{act}")) == "not-found"
        assert code_of(people.nobody.post(f"/tasks/{task['id']}/{act}")) == "unauthenticated"


def test_another_tenant_has_other_tasks(people: Office, office: Tenancy) -> None:
    people.checked()
    (task,) = tasks(people.bea)
    other = office.server.tenancy().actor("bea", "boss")
    assert tasks(other) == []
    assert code_of(other.post(f"/tasks/{task['id']}/claim")) == "not-found"


def test_an_act_needs_a_key_and_takes_no_query(people: Office) -> None:
    people.checked()
    (task,) = tasks(people.bea)
    assert code_of(people.bea.post(f"/tasks/{task['id']}/claim", key=None)) == "idempotency-key-missing"
    assert code_of(people.bea.post(f"/tasks/{task['id']}/claim?dry_run=true")) == "input-invalid"
    assert code_of(people.bea.post(f"/tasks/{task['id']}/claim", {"x": 1})) == "input-invalid"


def test_the_inbox_comes_in_pages_in_the_order_of_due_times(people: Office) -> None:
    records = [people.checked(n).id for n in range(5)]
    found, answer = list[str](), people.bob.get("/tasks?limit=2").json()
    while True:
        found += [item["record"] for item in answer["items"]]
        if "next" not in answer:
            break
        answer = people.bob.get(f"/tasks?limit=2&cursor={answer['next']}").json()
    assert found == records
    assert code_of(people.bob.get(f"/tasks?mine=true&cursor={'x' * 80}")) == "cursor-invalid"


def test_the_inbox_is_filtered(people: Office) -> None:
    people.checked()
    assert len(tasks(people.bob, "?role=boss&entity=Expense")) == 1
    assert tasks(people.bob, "?role=clerk") == []
    assert tasks(people.bob, "?overdue=true") == []
    assert tasks(people.bob, "?mine=true") == []
    assert code_of(people.bob.get("/tasks?entity=Nothing")) == "input-invalid"
    assert code_of(people.bob.get("/tasks?mine=perhaps")) == "input-invalid"


def test_a_system_without_tasks_has_no_inbox(venue: Tenancy) -> None:
    assert code_of(venue.actor("ann", "clerk").get("/tasks")) == "not-found"


def test_the_office_is_as_documented(office: Tenancy, tmp_path: Path) -> None:
    code, said = run(office, office.actor("ann", "clerk", "boss").token, tmp_path)
    assert code == 0, said
