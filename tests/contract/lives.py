"""What happens in each system that keeps something private: enough that every private field has a value.

A life names commands, and what isn't private of their input; the rest is planted by the model.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final
from uuid import UUID

from avow.model import types as kinds
from avow.model.expression import HasRole, walk
from avow.model.private import PrivateType
from avow.model.system import System
from avow.model.times import DateType
from avow.testing import Person, Stage
from examples.admission.system import app as admission
from examples.approval.system import app as approval
from examples.booking.system import app as booking
from examples.checkout.system import app as checkout
from examples.onboarding.system import app as onboarding
from examples.verification.system import app as verification
from tests.contract.systems.clinic import app as clinic

FIRST_DAY: Final = date(1871, 3, 1)
PRICE: Final = 5_000


def planted_in(system: System) -> dict[tuple[str, str], Any]:
    """A value for each private field, which no other field has, and which stands nowhere by chance."""
    found = dict[tuple[str, str], Any]()
    for entity in system.entities.values():
        for name in entity.private:
            kind: Any = entity.fields[name].type
            match kind.inner:
                case DateType():
                    value: Any = FIRST_DAY + timedelta(days=len(found))
                case kinds.Text(most):
                    value = f"Canary-{len(found):02}-{name}-of-{system.name}"[:most]
                case other:
                    raise AssertionError(f"plant a value of {other} here")
            found[entity.name, name] = kind.inner.fit(value, "")
    return found


def roles_of(system: System) -> list[str]:
    """Every role that some policy names."""
    policies = (t.by for entity in system.entities.values() for t in entity.transitions.values())
    return sorted({node.role for policy in policies for node in walk(policy) if isinstance(node, HasRole)})


class Living:
    """One system on a stage, on which a life is lived."""

    def __init__(self, on: Stage) -> None:
        self.on, self.system, self.planted = on, on.system, planted_in(on.system)
        self.records = list[tuple[str, UUID]]()

    def somebody(self, name: str) -> Person:
        """Somebody who has every role."""
        return self.on.as_(name, *roles_of(self.system))

    def private_of(self, entity: str, command: str) -> dict[str, Any]:
        """What a command takes that is private, planted."""
        parameters = self.system.entities[entity].of_command(command)[0].parameters
        return {p.name: self.planted[entity, p.name] for p in parameters if isinstance(p.type, PrivateType)}

    async def do(self, who: str, command: str, record: UUID | None = None, /, **given: Any) -> UUID:
        """A command of somebody who has every role, with what is private of it planted."""
        entity, _, word = command.partition(".")
        version = None if record is None else (await self.on.look(record)).version
        done = await self.somebody(who).do(
            command, record, version, **{**self.private_of(entity, word), **given}
        )
        if record is None:
            self.records.append((entity, done))
        return done

    async def work(self) -> None:
        """Do all that is to be done, also what failed before."""
        await self.on.work()
        await self.on.try_again()


class Outside:
    """What all calls go to: it does what is asked, and keeps what it was told."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.told, self.status, self.ok = list[str](), 200, True
        self._answers = {"id": "it", "number": "R-1", "status": "authorized", **answers}

    async def post(self, path: str, json: Any = None) -> Outside:
        self.told.append(repr((path, json)))
        return self

    get = post

    def json(self) -> Any:
        """Its answer."""
        return self._answers


async def live_admission(at: Living) -> None:
    begins = at.on.now + timedelta(days=90)
    course = await at.do("dora", "Course.announce", title="Law", seats=1, begins=begins)
    case = await at.do("pat", "Enrollment.start", course=course)
    await at.do("pat", "Enrollment.write", case, essay="Because.")
    await at.do("pat", "Enrollment.submit", case)


async def live_approval(at: Living) -> None:
    seats = {"first": "ann", "second": "ben", "third": "cid"}
    department = await at.do("dora", "Department.found", name="Law", budget=PRICE, **seats)
    request = await at.do("pat", "Request.ask", department=department, amount=1, purpose="a desk")
    await at.do("pat", "Request.revise", request, amount=2, purpose="a chair")


async def live_booking(at: Living) -> None:
    room = await at.do("dora", "Room.add", number="1", beds=2)
    arrives = at.on.now + timedelta(days=1)
    stay = await at.do(
        "pat", "Booking.hold", room=room, arrives=arrives, leaves=arrives + timedelta(days=1), people=1
    )
    await at.do("pat", "Booking.confirm", stay)


async def live_checkout(at: Living) -> None:
    wanted = {"sku": "chair", "quantity": 1, "price": PRICE}
    await at.do("pat", "Order.place", **wanted, card="4242")
    await at.do("pat", "Order.place_by_transfer", **wanted)
    await at.work()


async def live_onboarding(at: Living) -> None:
    soon = at.on.now + timedelta(days=30)
    case = await at.do("dora", "Onboarding.announce", person="pat", login="pat", boss="bea", first_day=soon)
    due = at.on.now + timedelta(days=20)
    paper = await at.do("dora", "Paper.want", onboarding=case, kind="contract", due=due)
    await at.do("pat", "Paper.hand_in", paper)
    for word in ("ask_laptop", "ask_desk", "ask_plan"):
        await at.do("dora", f"Job.{word}", onboarding=case, what="it", due=due)
    await at.do("dora", "Paper.accept", paper)
    await at.do("dora", "Onboarding.complete", case)
    await at.work()


async def live_verification(at: Living) -> None:
    case = await at.do("pat", "Verification.apply")
    await at.work()
    await at.on.advance(days=3)
    await at.do("dora", "Verification.ask_for", case, wanted="another document")
    await at.do("pat", "Verification.hand_in", case)


async def live_clinic(at: Living) -> None:
    planted = at.planted
    patient = await at.do("dora", "Patient.admit", person="pat")
    await at.do("pat", "Patient.note", patient)
    told = {"patient": str(patient), "finding": planted["Patient", "finding"]}
    await at.on.hear("lab", "sample.measured", told, "m1")
    await at.on.hear("lab", "sample.measured", told, "m2")
    await at.do("dora", "Patient.register", patient)
    await at.work()
    await at.on.hear("lab", "sample.measured", told, "m1")
    await at.on.hear("bank", "account.checked", {"number": "C-1", "holder": planted["Contract", "holder"]})
    contract = await at.do("dora", "Contract.sign", signer="pia", number="C-1")
    await at.do("dora", "Contract.run", contract)
    await at.work()


LIVES: Final[Sequence[tuple[System, Callable[[Living], Awaitable[None]]]]] = (
    (admission, live_admission),
    (approval, live_approval),
    (booking, live_booking),
    (checkout, live_checkout),
    (onboarding, live_onboarding),
    (verification, live_verification),
    (clinic, live_clinic),
)
