"""Operating over HTTP: what is stuck is settled by whom the declaration names, once, never blindly."""

from __future__ import annotations

import json
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from avow.cli.group import run as avow
from tests.contract.fix_depot import DEPOT
from tests.contract.fix_server import Caller, Record, Server, StartServer, Tenancy, code_of
from tests.contract.test_conformance import run

WHY = {"reason": "the provider says so"}


class Depot:
    """The people of one tenant, and its orders."""

    def __init__(self, tenancy: Tenancy) -> None:
        self.tenancy = tenancy
        self.olga, self.carl = tenancy.actor("olga", "operator"), tenancy.actor("carl", "clerk")
        self.pia = tenancy.actor("pia", "platform")

    def place(self, fate: str, until: str = "attempt = 1 AND NOT taken") -> tuple[Record, int]:
        """An order that has come as far as its fate lets it; and the work that its payment is."""
        self.carl.create("/orders", {"fate": "good"})  # or else the breaker lets no call begin after five
        order = self.carl.create("/orders", {"fate": fate})
        self.wait(order, f"EXISTS (SELECT FROM avow.work w WHERE w.id = '{order.id}' AND {until})")
        return order, self.work(order)["work"]

    def wait(self, order: Record, what: str) -> None:
        self.tenancy.server.database.wait_until(f"SELECT {what}", what=what)

    def work(self, order: Record) -> dict[str, Any]:
        (item,) = [item for item in items(self.olga, "?limit=200") if item["record"] == order.id]
        return item

    def state(self, order: Record) -> str:
        return self.carl.get(order.path).json()["state"]

    def done(self) -> list[tuple[str, str, str]]:
        rows = self.tenancy.fetch(
            "SELECT action, subject, evidence FROM avow.intervention WHERE tenant = $1 ORDER BY intervention"
        )
        return [tuple(row) for row in rows]


@pytest.fixture
def d(depot: Tenancy) -> Depot:
    return Depot(depot)


def items(caller: Caller, query: str = "") -> list[dict[str, Any]]:
    answer = caller.get(f"/effects{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


def test_what_is_stuck_is_settled_once_for_a_key_with_what_shows_it(d: Depot) -> None:
    order, work = d.place("unclear", "stuck = 'unknown'")
    seen = d.olga.get(f"/effects/{work}").json()
    assert (seen["state"], seen["stuck"], seen["unclear"]) == ("stuck", "unknown", True)
    assert [a["outcome"] for a in seen["attempts"]] == ["stuck"]
    told = {"outcome": "done", "result": "pay_17", "evidence": "ticket 4711", **WHY}
    wrong = d.olga.post(f"/effects/{work}/settle", {**told, "result": 17})
    assert (code_of(wrong), wrong.json()["errors"][0]["pointer"]) == ("input-invalid", "#/result")
    first = d.olga.post(f"/effects/{work}/settle", told, key="k1")
    assert first.json() == {
        "work": work, "action": "settle", "entity": "Order", "record": order.id, "state": "paid",
    }  # fmt: skip
    again = d.olga.post(f"/effects/{work}/settle", told, key="k1")
    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
    assert code_of(d.olga.post(f"/effects/{work}/settle", {**told, "evidence": ""}, key="k1")) == (
        "idempotency-key-reused"
    )
    assert code_of(d.olga.post(f"/effects/{work}/settle", told)) == "not-found"
    assert d.done() == [("settle-done", "olga", "ticket 4711")]


def test_only_operators_see_it_and_only_of_their_tenant(d: Depot, depot_server: Server) -> None:
    _, work = d.place("unclear", "stuck = 'unknown'")
    stranger = depot_server.tenancy().actor("sven", "operator")
    assert code_of(d.carl.get("/effects")) == code_of(d.pia.get(f"/effects/{work}")) == "forbidden"
    assert code_of(d.tenancy.nobody.get("/effects")) == "unauthenticated"
    assert items(stranger) == []
    assert code_of(stranger.get(f"/effects/{work}")) == "not-found"
    assert code_of(stranger.post(f"/effects/{work}/skip", WHY)) == "not-found"
    assert code_of(d.olga.get("/destinations")) == "forbidden"
    assert d.done() == []


def test_a_retry_of_what_nobody_knows_is_not_sent_again(d: Depot) -> None:
    order, work = d.place("unclear", "stuck = 'unknown'")
    answer = d.olga.post(f"/effects/{work}/retry", WHY, key="k")
    assert answer.json()["state"] is None
    d.wait(order, f"(SELECT count(*) = 2 FROM avow.attempt WHERE id = '{order.id}' AND outcome = 'stuck')")
    assert d.olga.post(f"/effects/{work}/retry", WHY, key="k").content == answer.content
    assert [row[0] for row in d.done()] == ["retry"]


def test_what_is_owed_is_undone_at_once_but_not_what_nobody_knows(d: Depot) -> None:
    resting, work = d.place("rest", "name = 'pay' AND attempt = 1 AND NOT taken")
    answer = d.olga.post(f"/effects/{work}/compensate", WHY)
    assert answer.json()["state"] == "undo_reserve"
    d.wait(resting, f"(SELECT state = 'dropped' FROM depot.orders WHERE id = '{resting.id}')")
    assert d.carl.get(resting.path).json()["problem"] == "compensated"
    unclear, work = d.place("unclear", "stuck = 'unknown'")
    assert code_of(d.olga.post(f"/effects/{work}/compensate", WHY)) == "call-unclear"
    assert d.state(unclear) == "pay"


def test_an_undo_that_is_stuck_is_tried_again_or_settled(d: Depot) -> None:
    order, work = d.place("kept", "name = 'pay' AND attempt = 1 AND NOT taken")
    assert d.olga.post(f"/effects/{work}/skip", WHY).json()["state"] == "undo_reserve"
    d.wait(order, f"EXISTS (SELECT FROM avow.work WHERE id = '{order.id}' AND stuck = 'on-its-way')")
    work = d.work(order)["work"]
    assert d.olga.post(f"/effects/{work}/compensate", WHY).status_code == 200
    d.wait(order, f"(SELECT count(*) = 2 FROM avow.attempt WHERE id = '{order.id}' AND name = 'release')")
    refused = d.olga.post(f"/effects/{work}/settle", {"outcome": "failed", **WHY})
    assert code_of(refused) == "call-owed"
    assert d.olga.post(f"/effects/{work}/settle", {"outcome": "done", **WHY}).json()["state"] == "dropped"
    time = d.work(order)
    assert (time["name"], time["destination"]) == ("forget", "")
    assert code_of(d.olga.post(f"/effects/{time['work']}/compensate", WHY)) == "not-a-call"
    assert code_of(d.olga.post(f"/effects/{time['work']}/settle", {"outcome": "done", **WHY})) == "not-a-call"
    assert d.olga.post(f"/effects/{time['work']}/skip", WHY).json()["state"] is None
    assert [i for i in items(d.olga) if i["record"] == order.id] == []


def test_a_set_is_previewed_and_what_changed_since_is_not_touched(d: Depot) -> None:
    orders = [d.place("rest", "name = 'pay' AND attempt = 1 AND NOT taken") for _ in range(3)]
    found = d.olga.get("/effects/preview?destination=psp&state=waiting").json()
    assert (found["count"], found["more"]) == (3, False)
    told = {"destination": "psp", "state": "waiting", "set": found["set"], **WHY}
    one, work = orders[0]
    d.olga.do(f"/effects/{work}/skip", WHY)
    changed = d.olga.post("/effects/skip", told)
    assert (code_of(changed), changed.json()["count"]) == ("set-changed", 2)
    assert {d.state(order) for order, _ in orders[1:]} == {"pay"}
    told["set"] = d.olga.get("/effects/preview?destination=psp&state=waiting").json()["set"]
    first = d.olga.post("/effects/skip", told, key="all")
    assert first.json() == {"action": "skip", "set": told["set"], "done": 2, "left": []}
    assert d.olga.post("/effects/skip", told, key="all").content == first.content
    assert [row[0] for row in d.done()] == ["skip"] * 3
    d.wait(one, f"(SELECT state = 'dropped' FROM depot.orders WHERE id = '{one.id}')")


def test_a_list_is_read_in_pages_and_narrowed_down(d: Depot) -> None:
    works = [d.place("unclear", "stuck = 'unknown'")[1] for _ in range(3)]
    page = d.olga.get("/effects?limit=2&stuck=unknown").json()
    rest = d.olga.get(f"/effects?limit=2&stuck=unknown&cursor={page['next']}").json()
    assert [i["work"] for i in page["items"] + rest["items"]] == works
    assert "next" not in rest
    assert items(d.olga, "?state=waiting&destination=psp") == items(d.olga, "?stuck=other") == []
    assert code_of(d.olga.get("/effects?state=odd")) == "input-invalid"
    assert code_of(d.olga.get(f"/effects?stuck=other&cursor={page['next']}")) == "cursor-invalid"


def test_a_destination_is_paused_for_all_by_whom_the_declaration_names(d: Depot) -> None:
    told = {"destination": "stock", **WHY}
    assert d.pia.post("/destinations/pause", told, key="p").json() == {"destination": "stock", "paused": True}
    assert code_of(d.pia.post("/destinations/pause", told)) == "destination-unchanged"
    assert d.pia.post("/destinations/pause", told, key="p").status_code == 200
    listed = d.pia.get("/destinations").json()["items"]
    assert listed == [
        {"destination": "psp", "paused": None},
        {"destination": "stock", "paused": WHY["reason"]},
    ]
    order = d.carl.create("/orders", {})
    assert [i["state"] for i in items(d.olga) if i["record"] == order.id] == ["paused"]
    assert d.pia.post("/destinations/resume", told).status_code == 200
    assert code_of(d.olga.post("/destinations/pause", told)) == "forbidden"


def test_a_terminal_does_the_same(d: Depot, depot_server: Server) -> None:
    order, work = d.place("unclear", "stuck = 'unknown'")

    def at_terminal(*arguments: str) -> tuple[int, Any]:
        out, said = StringIO(), StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(said):
            patch.setenv("AVOW_DATABASE_URL", depot_server.database.admin_url)
            target = str(Path(depot_server.target))
            code = avow(["effects", *arguments, "--target", target, "--json"])
        return code, json.loads(out.getvalue() or said.getvalue())

    who, which = ("--as", "olga", "--reason", "so"), ("--tenant", d.tenancy.tenant, "--stuck", "unknown")
    assert [i["work"] for i in at_terminal("list", *which)[1]["items"]] == [work]
    assert at_terminal("list", "--entity", "Nothing")[0] == 2
    assert at_terminal("compensate", str(work), *who)[0] == 1
    _, found = at_terminal("skip", *which, "--preview", *who)
    assert at_terminal("skip", *which, "--set", "0" * 64, *who)[0] == 1
    code, done = at_terminal("skip", *which, "--set", found["set"], *who)
    assert (code, done["done"], done["left"]) == (0, 0, [{"work": work, "code": "call-unclear"}])
    assert at_terminal("settle", str(work), "--failed", "gone", *who)[0] == 1
    assert at_terminal("settle", str(work), "--failed", "gone", "--evidence", "ticket 7", *who)[0] == 0
    d.wait(order, f"(SELECT state = 'dropped' FROM depot.orders WHERE id = '{order.id}')")


def test_operating_is_as_documented(start_server: StartServer, tmp_path: Path) -> None:
    depot = start_server(DEPOT).tenancy()  # of its own: its orders make breakers leave destinations alone
    code, said = run(depot, depot.actor("ann", "operator", "platform").token, tmp_path)
    assert code == 0, said
