"""Private values of calls and events: what others are told, what is told to us, also while it waits."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from avow.engine.privacy import MemoryKeyring, vault
from avow.engine.verify import verify
from avow.engine.workers.hearing import Outcome
from avow.errors import EnvironmentFault
from avow.model.types import Misfit
from avow.testing import Stage, stage
from tests.contract.systems.clinic import app
from tests.planted import TABLES, rows_of
from tests.planted import places as planted_places

INSURANCE, FINDING, HOLDER = "Canary-Insurance", "Canary-Finding", "Canary-Holder"


class Registry:
    """What the clinic's call goes to, in the same process."""

    def __init__(self, insurance: Any = INSURANCE) -> None:
        self.told, self.insurance = list[Any](), insurance

    async def post(self, _: str, json: Any) -> Registry:
        self.told.append(json)
        return self

    def json(self) -> Any:
        """Its answer."""
        return {"number": "R-1", "insurance": self.insurance}


async def registered(on: Stage) -> UUID:
    """A patient whom the registry knows."""
    desk = on.as_("dora", "desk")
    patient = await desk.do("Patient.admit", person="pat", passport="X-12345")
    await desk.do("Patient.register", patient)
    await on.work()
    return patient


async def forgotten(on: Stage, person: str = "pat") -> None:
    """Have somebody forgotten."""
    asked = await on.as_("olga", "officer").do("Erasure.ask", person=person, reason="asked for it")
    await on.as_("otto", "officer").do("Erasure.approve", asked)


async def places(on: Stage, *planted: str) -> list[str]:
    """The tables that have something of what was planted."""
    names = [row["name"] for row in await on.admin.fetch(TABLES)]
    rows = {name: await on.admin.fetch(rows_of(name)) for name in names}
    return planted_places(
        ((name, "\n".join(row[0] for row in held).encode()) for name, held in rows.items()), planted
    )


async def test_a_stage_of_an_owners_tests_needs_no_key_and_its_calls_are_told_in_clear() -> None:
    registry = Registry()
    async with stage(app, http=lambda *_: registry) as on:
        patient = await on.as_("dora", "desk").do("Patient.admit", person="pat", passport="X-12345")
        await on.as_("dora", "desk").do("Patient.register", patient)
        await on.worker.step()
        found = await on.look(patient)
    assert (found.state, registry.told) == ("registered", [{"passport": "X-12345"}])
    assert "X-12345" not in repr(found)


async def test_a_call_that_needs_what_was_erased_fails_and_is_not_made() -> None:
    registry = Registry()
    async with stage(app, http=lambda *_: registry) as on:
        patient = await on.as_("dora", "desk").do("Patient.admit", person="pat", passport="X-12345")
        await on.as_("dora", "desk").do("Patient.register", patient)
        asked = await on.as_("olga", "officer").do("Erasure.ask", person="pat", reason="asked for it")
        await on.as_("otto", "officer").do("Erasure.approve", asked)
        await on.worker.step()
        found = await on.look(patient)
    assert (found.state, registry.told) == ("known", [])


async def test_what_a_call_brings_for_a_private_field_is_private_from_there_on() -> None:
    async with stage(app, http=lambda *_: Registry()) as on:
        patient = await registered(on)
        found = await on.look(patient)
        assert (found.state, found.number, repr(found.insurance)) == ("registered", "R-1", "[private]")
        assert await places(on, INSURANCE) == []
        assert {"avow.audit", "clinic.patients"} <= {*await places(on, "R-1")}  # the search can find
        assert (await verify(on.admin, app)).findings == []
        revealed = await on.as_("dora", "doctor").reveal("Patient.see_findings", patient)
        assert revealed["insurance"] == INSURANCE
        await forgotten(on)
        shown = await on.as_("dora", "doctor").reveal("Patient.see_findings", patient)
        assert {*shown["insurance"]} == {"erased_at"}
        assert (await verify(on.admin, app)).findings == []


async def test_a_private_result_that_does_not_fit_waits_for_a_person_and_is_not_repeated() -> None:
    async with stage(app, http=lambda *_: Registry(INSURANCE * 9)) as on:
        patient = await registered(on)
        assert (await on.look(patient)).state == "registering"
        waits = [work for work in await on.waiting() if work["stuck"]]
        assert ["at most 40 characters" in work["detail"] for work in waits] == [True]
        assert await places(on, INSURANCE) == []


async def test_what_an_event_brings_for_a_private_field_is_private_also_while_it_waits() -> None:
    async with stage(app, http=lambda *_: Registry()) as on:
        desk = on.as_("dora", "desk")
        patient = await desk.do("Patient.admit", person="pat", passport="X-12345")
        told = {"patient": str(patient), "finding": FINDING}
        assert await on.hear("lab", "sample.measured", told, "m1") == Outcome.PARKED
        assert await places(on, FINDING) == []
        assert await on.hear("lab", "sample.measured", told, "m1") == Outcome.PARKED
        await desk.do("Patient.register", patient)
        await on.work()
        assert await places(on, FINDING) == []
        assert (await on.as_("dora", "doctor").reveal("Patient.see_findings", patient))["finding"] == FINDING
        assert await on.hear("lab", "sample.measured", told, "m1") == Outcome.APPLIED
        assert (await verify(on.admin, app)).findings == []
        await forgotten(on)
        assert await on.hear("lab", "sample.measured", told, "m1") == Outcome.APPLIED  # still known by its id
        assert await places(on, FINDING) == []


async def test_an_event_object_checks_what_was_given_and_its_refusal_does_not_repeat_it() -> None:
    kind = app.entities["Patient"].transitions["hear"].parameters[0].type
    with pytest.raises(Misfit, match="Measured refuses these members together"):
        kind.parse({"patient": str(uuid4()), "finding": "  "}, "#")
    assert FINDING not in repr(kind.parse({"patient": str(uuid4()), "finding": FINDING}, "#"))


async def test_an_event_that_waits_goes_with_the_person_whom_it_is_about() -> None:
    """Before there is a record nobody knows who that is; from then on it lies under that person's key."""
    async with stage(app) as on:
        desk = on.as_("dora", "desk")
        told = {"number": "C-1", "holder": HOLDER}
        assert await on.hear("bank", "account.checked", told) == Outcome.PARKED
        sealed = "SELECT given #>> '{sealed,holder,subject}' FROM avow.work"
        assert await on.admin.fetchval(sealed) == ""
        contract = await desk.do("Contract.sign", signer="pat", number="C-1")
        await on.work()
        assert await on.admin.fetchval(sealed) == "pat"
        assert await places(on, HOLDER) == []
        await forgotten(on)
        assert await on.admin.fetchval("SELECT count(*) FROM avow.work") == 0
        await desk.do("Contract.run", contract)
        await on.work()
        assert (await on.look(contract)).holder is None


async def test_an_event_whose_key_was_destroyed_while_it_was_tried_is_let_go() -> None:
    async with stage(app) as on:
        desk = on.as_("dora", "desk")
        contract = await desk.do("Contract.sign", signer="pat", number="C-1")
        await on.hear("bank", "account.checked", {"number": "C-1", "holder": HOLDER})
        await on.admin.execute("DELETE FROM avow.subject_key WHERE subject = 'pat'")
        await desk.do("Contract.run", contract)
        await on.work()
        assert await on.admin.fetchval("SELECT count(*) FROM avow.work") == 0
        assert (await on.look(contract)).holder is None


async def test_what_a_call_brings_after_its_person_was_forgotten_is_under_another_key() -> None:
    """The call was told before; what it brings is new, is shown as such, and goes with the next erasure."""

    class Slow(Registry):
        async def post(self, _: str, json: Any) -> Registry:
            await forgotten(on)
            return await super().post(_, json)

    async with stage(app, http=lambda *_: Slow()) as on:
        patient = await registered(on)
        assert (await on.look(patient)).state == "registered"
        desk, doctor = on.as_("dora", "desk"), on.as_("dan", "doctor")
        assert {*(await desk.reveal("Patient.see_passport", patient))["passport"]} == {"erased_at"}
        assert (await doctor.reveal("Patient.see_findings", patient))["insurance"] == INSURANCE
        await forgotten(on)
        assert {*(await doctor.reveal("Patient.see_findings", patient))["insurance"]} == {"erased_at"}
        assert (await verify(on.admin, app)).findings == []


@pytest.mark.parametrize("away_after_the_call", [False, True])
async def test_a_call_that_meets_a_keyring_which_is_away_is_made_or_concluded_later(
    monkeypatch: pytest.MonkeyPatch, away_after_the_call: bool
) -> None:
    """It isn't stuck: nobody has to see to each call that was to be made during an outage."""
    monkeypatch.setattr(vault, "KEY_S_MAX", 0.0)

    def failing(*_: Any) -> Any:
        raise EnvironmentFault("private-key-service", "the service is away", "Look at it.")

    class Meanwhile(Registry):
        """Answers, and has the keyring fail from then on."""

        async def post(self, path: str, json: Any) -> Registry:
            if away_after_the_call and not self.told:
                away.setattr(MemoryKeyring, "unwrap", failing)
            return await super().post(path, json)

    registry = Meanwhile()
    async with stage(app, http=lambda *_: registry) as on:
        desk = on.as_("dora", "desk")
        patient = await desk.do("Patient.admit", person="pat", passport="X-12345")
        await desk.do("Patient.register", patient)
        with monkeypatch.context() as away:
            if not away_after_the_call:
                away.setattr(MemoryKeyring, "unwrap", failing)
            await on.worker.step()
        assert len(registry.told) == away_after_the_call
        assert [work["stuck"] for work in await on.waiting()] == [None]
        await on.advance(hours=1)
        await on.work()
        assert (await on.look(patient)).state == "registered"
