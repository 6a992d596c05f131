"""How a call has ended can always be recorded, or the model says when it can't."""

from __future__ import annotations

from pathlib import Path

from avow.prove.model import Model
from avow.prove.phase import Bench
from tests.canaries.mutants import counted, declared, explored

CLAIMS = """
from avow import Call, Entity, State, authenticated, create, effect, everybody, field, internal, read, ref
from avow import system, transition


@effect()
async def pay_out(claim: "Claim", call: Call) -> None:
    await call.http.post("/payments", json={"claim": str(claim.id)})


class Cover(Entity):
    under_way: int = field(default=0, ge=0)
    visible = read(by=everybody)

    running, ended = State(initial=True), State(final=True)
    sell = create(running, by=authenticated)
    end = transition(running, to=ended, by=authenticated, when=under_way == 0)

    @transition(running, to=running, by=internal)
    def count(self, claims: int) -> None:
        self.under_way += claims


class Claim(Entity):
    cover: Cover = ref()
    visible = read(by=everybody)

    reported, paying = State(initial=True), State(invoke=pay_out)
    paid, refused = State(final=True), State(final=True)

    report = create(reported, by=authenticated, sets=[cover])
    drop = transition(reported, to=refused, by=authenticated)

    @transition(reported, to=paying, by=authenticated, uses=cover)
    def pay(self) -> None:
        self.cover.count(1)

    @transition(paying, to=paid, on=pay_out.done, uses=cover)
    def done(self) -> None:
        self.cover.count(-1)

    @transition(paying, to=refused, on=pay_out.failed, uses=cover)
    def bounce(self) -> None:
        self.cover.count(-1)


app = system("claims", Cover, Claim)
"""


async def test_an_outcome_that_cant_be_recorded_is_found_shrunk_and_found_again(tmp_path: Path) -> None:
    system = declared(CLAIMS.replace(", when=under_way == 0", ""), tmp_path)
    findings = {finding.promise: finding for finding in explored(system, 3_000)}
    assert {"Claim.pay_out.done is recorded", "Claim.pay_out.failed is recorded"} <= findings.keys()
    found = findings["Claim.pay_out.failed is recorded"]
    words = [f"{act.entity}.{act.command}" for act in found.schedule.acts]
    assert words == ["Cover.sell", "Claim.report", "Claim.pay", "Cover.end", "Claim.pay_out.failed"]
    assert "Cover.count isn't declared from the state ended" in found.sentence
    assert found.place == system.entities["Claim"].transitions["bounce"].place
    again = await Model().replay(Bench(system, 0), found.schedule)
    assert again is not None
    assert again.sentence == found.sentence


async def test_outcomes_that_can_be_recorded_are_no_finding(tmp_path: Path) -> None:
    bench = Bench(declared(CLAIMS, tmp_path), 0)
    report = await Model().run(bench, counted(3_000))
    assert [finding.sentence for finding in report.findings] == []
    assert ("Claim", "bounce") in bench.coverage.transitions
