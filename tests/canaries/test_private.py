"""What lets out something private is found, whatever lets it out; a backend that doesn't gives no finding."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from avow.engine.workers import doing
from avow.engine.workers.calls import Ending
from avow.model.system import System
from avow.prove.conform import Conform
from avow.prove.effects import Effects
from avow.prove.finding import Finding
from avow.prove.functions import Functions
from avow.prove.leaks import UNTOLD
from avow.prove.messages import Messages
from avow.prove.model import Model
from avow.prove.phase import Bench, Phase
from tests.canaries.mutants import SCHEDULES, counted, declared

CASES = '''
"""People show a passport, which a provider checks; it answers with its own number for the check."""

import logging
from dataclasses import dataclass
from uuid import UUID

from avow import Call, Declined, Entity, State, Subject, actor, authenticated, create, effect, field, private
from avow import read, reveal, role, sender, standard_webhooks, system, transition, unique

log = logging.getLogger("owner")
desk = role("desk")


@dataclass(frozen=True)
class Ordered:
    id: str
    note: str


@dataclass(frozen=True)
class Result:
    case: UUID
    finding: str


checked = sender("bureau", signature=standard_webhooks()).event("checked", Result)


@effect(destination="identity")
async def order(case: "Case", call: Call) -> Ordered:
    """Have the passport checked."""
    wanted = {"subject": str(case.person), "document": call.private.passport, "kind": "document"}
    answer = await call.http.post("/checks", json={**wanted, "reference": str(case.id)})
    if not answer.ok:
        raise Declined("no", code="no")
    return Ordered(answer.json()["id"], "")


class Case(Entity):
    person: Subject = field(default=actor)
    passport: str = private(of=person, max_length=20, searchable=True)
    check: str | None = private(of=person)
    finding: str | None = private(of=person)
    note: str | None = field()
    once = unique(passport)
    visible = read(by=authenticated)

    asking = State(initial=True, invoke=order, reveals=[passport])
    asked, refused, ended = State(), State(final=True), State(final=True)

    apply = create(asking, by=authenticated, sets=[passport])
    done = transition(asking, to=asked, on=order.done, sets={check: order.result.id, note: order.result.note})
    failed = transition(asking, to=refused, on=order.failed)
    told = checked.data
    hear = transition(asked, to=ended, on=checked, match=told.case, sets={finding: told.finding})
    look = reveal(passport, check, finding, by=desk)


app = system("cases", Case)
'''

WANTED = "    wanted = {"
LEAKS: dict[str, tuple[str, str, str]] = {
    "a function logs what it is told": (
        WANTED, '    log.debug("asking for %s", call.private.passport)\n' + WANTED,
        "A private value stands in the log in clear.",
    ),
    "a function gives back what it was told": (
        'answer.json()["id"], ""', 'answer.json()["id"], call.private.passport',
        "A private value stands in the table avow.audit in clear.",
    ),
}  # fmt: skip


async def found(system: System, *phases: Callable[[], Phase]) -> tuple[Finding, ...]:
    """What phases find, one after the other, after the model was explored as far as it takes."""
    bench, findings = Bench(system, 0), list[Finding]()
    async with bench.stack:
        assert (await Model().run(bench, counted(600))).findings == ()
        for phase in phases:
            report = await phase().run(bench, counted(SCHEDULES))
            assert not bench.unfit, phase
            assert any(tally.tried for tally in report.tallies), phase
            findings += report.findings
    return tuple(findings)


@pytest.mark.parametrize("name", LEAKS)
async def test_a_function_that_lets_out_what_it_was_told_is_found(name: str, tmp_path: Path) -> None:
    old, new, said = LEAKS[name]
    assert CASES.count(old) == 1
    findings = await found(declared(CASES.replace(old, new), tmp_path), Functions)
    assert (UNTOLD, said) in {(one.promise, one.sentence) for one in findings}
    assert all("canary" not in one.why for one in findings)
    assert {len(one.schedule.acts) for one in findings if one.promise == UNTOLD} == {1}, "shrunk"


async def test_a_mask_that_is_taken_out_of_the_engine_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reason for which a call failed is kept and logged: with what it was told, if nothing is taken out."""
    old = "    answer = await"
    system = declared(
        CASES.replace(old, '    raise Declined(f"bad: {call.private.passport}")\n' + old), tmp_path
    )
    assert await found(system, Functions) == ()

    def unmasked(_: object, ending: Ending) -> Ending:
        return ending

    monkeypatch.setattr(doing, "_without", unmasked)
    findings = await found(system, Functions)
    assert {one.sentence for one in findings} >= {"A private value stands in the table avow.audit in clear."}


async def test_a_backend_that_keeps_to_itself_what_is_private_gives_no_finding(tmp_path: Path) -> None:
    assert await found(declared(CASES, tmp_path), Conform, Effects, Functions, Messages) == ()
