"""What is stuck is a task in a named inbox: who is asked sees what is owed, and does it; nobody else."""

from __future__ import annotations

from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from avow.cli.group import run as avow
from tests.contract.fix_server import Caller, Record, Server, Tenancy, code_of
from tests.contract.test_operating import Depot
from tests.contract.test_tasks import tasks

WHY = {"reason": "the provider says so"}
KNOWN = {"outcome": "done", "result": "pay_17", "evidence": "ticket 4711", **WHY}


class Desk(Depot):
    """The people of a depot, with those whom a payment asks that nobody can settle."""

    def __init__(self, tenancy: Tenancy) -> None:
        super().__init__(tenancy)
        self.cora, self.cid = tenancy.actor("cora", "cashier"), tenancy.actor("cid", "cashier")
        self.tess = tenancy.actor("tess", "treasurer")

    def unclear(self) -> tuple[Record, dict[str, Any]]:
        """An order whose payment nobody can tell the outcome of, and the task that it is."""
        order, _ = self.place("unclear", "stuck = 'unknown'")
        return order, self.task(self.cora, order)

    def task(self, caller: Caller, order: Record) -> dict[str, Any]:
        (task,) = [task for task in tasks(caller) if task["record"] == order.id]
        return task


@pytest.fixture
def d(depot: Tenancy) -> Desk:
    return Desk(depot)


def test_a_call_that_nobody_can_tell_the_outcome_of_is_a_task_with_what_is_owed(d: Desk) -> None:
    order, task = d.unclear()
    work = d.work(order)
    owed = task.pop("owed")
    assert owed == {
        "work": work["work"], "name": "pay", "destination": "psp", "key": work["key"], "attempt": 1,
        "unclear": True, "stuck": "unknown", "detail": "cut", "ways": ["settle", "retry"],
    }  # fmt: skip
    assert (task["task"], task["entity"], task["command"]) == ("pay", "Order", None)
    assert (task["role"], task["may"], task["path"]) == ("cashier", True, f"/effects/{work['work']}")
    assert (work["inbox"], work["task"]) == ("cashier", task["id"])
    assert d.cora.get(task["path"]).json()["key"] == owed["key"]


def test_whoever_holds_it_settles_it_and_then_nobody_is_asked(d: Desk) -> None:
    order, task = d.unclear()
    d.cora.do(f"/tasks/{task['id']}/claim")
    assert d.task(d.cid, order)["why_not"] == {"claimed_by": "cora"}
    for other in (d.cid, d.olga):
        for verb, body in (("settle", KNOWN), ("retry", WHY), ("skip", WHY)):
            assert code_of(other.post(f"{task['path']}/{verb}", body)) == "task-claimed"
    first = d.cora.post(f"{task['path']}/settle", KNOWN, key="k")
    assert first.json()["state"] == "paid"
    assert d.cora.post(f"{task['path']}/settle", KNOWN, key="k").content == first.content
    assert tasks(d.cora) == tasks(d.cid) == []
    assert d.done() == [("settle-done", "cora", "ticket 4711")]


def test_who_is_not_asked_neither_sees_it_nor_does_anything_about_it(d: Desk, depot_server: Server) -> None:
    _, task = d.unclear()
    stranger = depot_server.tenancy().actor("sven", "cashier")
    assert tasks(d.carl) == tasks(d.tess) == tasks(stranger) == []
    for other, code in ((d.carl, "forbidden"), (d.tess, "not-found"), (stranger, "not-found")):
        assert code_of(other.get(task["path"])) == code
        assert code_of(other.post(f"{task['path']}/settle", KNOWN)) == code
        assert code_of(other.post(f"/tasks/{task['id']}/claim")) == "not-found"
    assert code_of(d.tenancy.nobody.get(task["path"])) == "unauthenticated"
    assert code_of(d.cora.get("/effects")) == code_of(d.cora.post("/effects/retry", WHY)) == "forbidden"


def test_who_is_asked_for_what_is_stuck_sees_no_other_work(d: Desk) -> None:
    _, waiting = d.place("rest", "name = 'pay' AND attempt = 1 AND NOT taken")
    assert code_of(d.cora.get(f"/effects/{waiting}")) == "not-found"
    assert code_of(d.cora.post(f"/effects/{waiting}/skip", WHY)) == "not-found"


def test_it_shows_what_the_reader_may_see_of_the_record(d: Desk) -> None:
    order, task = d.unclear()
    assert task["shows"] == {"fate": "unclear"}
    both = d.tenancy.actor("bert", "cashier", "treasurer")
    assert d.task(both, order)["shows"] == {"fate": "unclear", "margin": 7}


def test_a_retry_ends_the_task_and_what_is_stuck_again_is_another_one(d: Desk) -> None:
    order, task = d.unclear()
    d.cora.do(f"{task['path']}/retry", WHY)
    d.wait(order, f"(SELECT count(*) = 2 FROM avow.attempt WHERE id = '{order.id}' AND outcome = 'stuck')")
    again = d.task(d.cora, order)
    assert again["id"] != task["id"]
    assert again["owed"]["work"] == task["owed"]["work"]
    assert code_of(d.cora.post(f"/tasks/{task['id']}/claim")) == "not-found"


def test_what_nobody_knows_is_neither_skipped_nor_settled_without_evidence(d: Desk) -> None:
    order, task = d.unclear()
    assert code_of(d.cora.post(f"{task['path']}/skip", WHY)) == "call-unclear"
    for outcome in ("done", "failed"):
        told = {**KNOWN, "outcome": outcome, "evidence": " "}
        if outcome == "failed":
            del told["result"]
        assert code_of(d.cora.post(f"{task['path']}/settle", told)) == "evidence-missing"
    found = d.olga.get("/effects/preview?stuck=unknown").json()
    told = {"stuck": "unknown", "set": found["set"], **WHY}
    left = d.olga.post("/effects/skip", told).json()["left"]
    assert left == [{"work": task["owed"]["work"], "code": "call-unclear"}]
    assert (d.state(order), d.done()) == ("pay", [])


def test_a_compensation_that_is_refused_is_a_task_of_the_operators(d: Desk) -> None:
    order, work = d.place("kept", "name = 'pay' AND attempt = 1 AND NOT taken")
    d.olga.do(f"/effects/{work}/skip", WHY)
    d.wait(order, f"EXISTS (SELECT FROM avow.work WHERE id = '{order.id}' AND stuck = 'on-its-way')")
    task = d.task(d.olga, order)
    assert (task["role"], task["task"], task["owed"]["unclear"]) == ("operators", "release", False)
    assert [t["id"] for t in tasks(d.olga, "?role=operators")] == [task["id"]]
    assert tasks(d.cora) == []
    assert d.olga.do(f"{task['path']}/settle", {"outcome": "done", **WHY}).json()["state"] == "dropped"
    assert tasks(d.olga) == []


def test_a_time_whose_transition_is_refused_is_a_task_of_the_operators(d: Desk) -> None:
    shelf = d.carl.create("/shelfs", {"filled": 0})
    d.wait(shelf, f"EXISTS (SELECT FROM avow.work WHERE id = '{shelf.id}' AND stuck IS NOT NULL)")
    task = d.task(d.olga, shelf)
    assert (task["role"], task["owed"]["stuck"], task["owed"]["destination"]) == (
        "operators", "invariant-violated", "",
    )  # fmt: skip
    assert task["owed"]["ways"] == ["retry", "skip"]
    d.olga.do(f"{task['path']}/skip", WHY)
    assert tasks(d.olga) == []


def test_what_is_not_done_in_time_goes_to_whom_it_escalates_to(d: Desk) -> None:
    order, task = d.unclear()
    d.cora.do(f"/tasks/{task['id']}/claim")
    d.tenancy.server.database.fetch(
        "UPDATE avow.task SET due = now() - interval '1 s', next_at = now() WHERE task = $1 RETURNING task",
        task["id"],
    )
    d.wait(order, f"EXISTS (SELECT FROM avow.task WHERE id = '{order.id}' AND role = 'treasurer')")
    escalated = d.task(d.tess, order)
    assert (escalated["id"], escalated["holder"], escalated["overdue"]) == (task["id"], None, True)
    assert tasks(d.cora) == []
    assert code_of(d.cora.post(f"{task['path']}/settle", KNOWN)) == "not-found"
    assert d.tess.do(f"{task['path']}/settle", KNOWN).json()["state"] == "paid"


def test_a_delegation_and_a_follow_up_work_as_with_any_task(d: Desk) -> None:
    order, task = d.unclear()
    path = f"/tasks/{task['id']}"
    assert d.cora.do(f"{path}/delegate", {"to": "cid"}).json()["holder"] == "cid"
    assert code_of(d.cora.post(f"{path}/release")) == "task-not-held"
    assert d.cid.do(f"{path}/follow-up", {"at": "2100-01-01T09:00:00Z"}).json()["task"] == "pay"
    assert code_of(d.cid.post(f"{path}/delegate", {"to": "cid"})) == "input-invalid"
    assert d.cid.do(f"{path}/release").json()["holder"] is None
    acts = d.tenancy.server.database.fetch(
        "SELECT word, subject FROM avow.task_act WHERE id = $1 ORDER BY act", order.id
    )
    assert [tuple(row) for row in acts] == [
        ("delegate", "cora"), ("follow-up", "cid"), ("release", "cid"),
    ]  # fmt: skip


def test_what_ends_with_its_records_own_command_is_asked_of_nobody(d: Desk) -> None:
    """The reads of the inbox never see a task without what is stuck."""
    order, task = d.unclear()
    rows = d.tenancy.server.database.fetch("DELETE FROM avow.work WHERE id = $1 RETURNING work", order.id)
    assert len(rows) == 1
    assert tasks(d.cora) == []
    assert code_of(d.cora.post(f"/tasks/{task['id']}/claim")) == "not-found"


def test_a_terminal_shows_what_is_owed_and_what_to_type(d: Desk, depot_server: Server) -> None:
    order, task = d.unclear()
    work, tenant = str(task["owed"]["work"]), ("--tenant", d.tenancy.tenant)
    cora = ("--as", "cora", "--role", "cashier", *tenant)

    def at_terminal(*arguments: str) -> tuple[int, str]:
        said = StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(said), redirect_stderr(said):
            patch.setenv("AVOW_DATABASE_URL", depot_server.database.admin_url)
            code = avow([*arguments, "--target", str(Path(depot_server.target))])
        return code, said.getvalue()

    code, listed = at_terminal("inbox", "list", *cora)
    assert code == 0
    typed = f"avow effects settle {work} --done JSON (or --failed CODE) --as WHO --reason WHY --evidence TEXT"
    for told in (task["id"], f"pay of Order {order.id} at psp", task["owed"]["key"], "unknown, cut", typed):
        assert told in listed
    assert at_terminal("inbox", "list", "--as", "tess", "--role", "treasurer", *tenant)[1] == (
        "there is nothing to do\n"
    )
    assert at_terminal("inbox", "complete", task["id"], *cora)[0] == 2
    assert "in the inbox of cashier" in at_terminal("effects", "list", *tenant, "--stuck", "unknown")[1]
    assert at_terminal("inbox", "claim", task["id"], *cora)[0] == 0
    settled = ("effects", "settle", work, "--done", '"pay_17"', "--reason", "so", "--evidence", "ticket 7")
    assert at_terminal(*settled, "--as", "olga")[0] == 1
    assert at_terminal(*settled, "--as", "cora")[0] == 0
    assert d.state(order) == "paid"
    assert tasks(d.cora) == []
