"""A system of the tests' own in which much is private: patients, contracts, and the right to be forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

from avow import (
    Call,
    Entity,
    State,
    Subject,
    actor,
    authenticated,
    create,
    effect,
    field,
    missing,
    performed,
    private,
    publish,
    read,
    refuse,
    reveal,
    role,
    seconds,
    sender,
    standard_webhooks,
    system,
    task,
    transition,
    unique,
)  # fmt: skip

desk, doctor, officer = role("desk"), role("doctor"), role("officer")


@dataclass(frozen=True)
class Registered:
    """What the registry answers: its number for the patient, and their number at their insurance."""

    number: str
    insurance: str | None


@dataclass(frozen=True)
class Measured:
    """What the laboratory tells: whose sample it was, and what it has found, which may not be empty."""

    patient: UUID
    finding: str

    def __post_init__(self) -> None:
        if not self.finding.strip():
            raise ValueError


@dataclass(frozen=True)
class Checked:
    """What the bank tells: whose account a contract is paid from."""

    number: str
    holder: str


measured = sender("lab", signature=standard_webhooks()).event("sample.measured", Measured)
checked = sender("bank", signature=standard_webhooks()).event("account.checked", Checked)


@effect(timeout=seconds(5), destination="registry")
async def enroll(patient: Patient, call: Call) -> Registered:
    """Tell the registry who it is, which it needs in clear."""
    answer = await call.http.post("/persons", json={"passport": call.private.passport})
    said = answer.json()
    return Registered(said["number"], said.get("insurance"))


class Patient(Entity):
    """Somebody who is treated."""

    person: Subject = field()
    passport: str = private(of=person, max_length=30, min_length=5, searchable=True)
    born: date | None = private(of=person)
    notes: str | None = private(of=actor, max_length=2_000)
    insurance: str | None = private(of=person, max_length=40)
    finding: str | None = private(of=person, max_length=200)
    number: str | None = field()
    one_each = unique(passport)

    visible = read(by=(actor == person) | desk | doctor)

    known = State(initial=True)
    registering = State(invoke=enroll, reveals=[passport])
    registered = State()
    gone = State(final=True)

    admit = create(known, by=authenticated, sets=[person, passport, born])

    @transition(known, to=known, by=doctor)
    def note(self, notes: str) -> None:
        """What the doctor thinks; theirs, not the patient's."""
        if self.born is None:
            raise refuse(f"Nobody knows how old they are: {notes}")
        self.notes = notes

    @transition(known, to=known, by=desk)
    def mix_up(self) -> None:
        """What no body can do: give one private field the value of another."""
        self.notes = self.passport

    register = transition(known, to=registering, by=desk, when=~missing(passport), task=task(desk))
    enrolled = transition(
        registering, to=registered, on=enroll.done,
        sets={number: enroll.result.number, insurance: enroll.result.insurance},
    )  # fmt: skip
    hear = transition(
        registered, to=registered, on=measured, match=measured.data.patient,
        sets={finding: measured.data.finding},
    )  # fmt: skip
    failed = transition(registering, to=known, on=enroll.failed)
    unclear = transition(registering, to=known, on=enroll.unknown)
    leave = transition([known, registered], to=gone, by=desk)
    correct = transition(known, to=known, by=desk, sets=[passport])

    see_passport = reveal(passport, born, by=desk | (actor == person))
    see_findings = reveal(insurance, finding, by=doctor)
    announce = publish(enrolled, data=[number], by=role("integrator"))


class Erasure(Entity):
    """That somebody is to be forgotten: asked for by one, approved by another."""

    person: Subject = field()
    reason: str = field(max_length=500)
    visible = read(by=officer)

    asked = State(initial=True)
    erased = State(final=True)
    refused = State(final=True)

    ask = create(asked, by=officer, sets=[person, reason])
    approve = transition(asked, to=erased, by=officer & ~performed(ask), erases=person)
    drop = transition(asked, to=refused, by=officer)


class Contract(Entity):
    """What has to be kept for ten years."""

    signer: Subject = field()
    iban: str | None = private(of=signer, keep=timedelta(days=3_650))
    number: str | None = field(max_length=20)
    holder: str | None = private(of=signer, max_length=100)
    one_each = unique(number)
    visible = read(by=desk)

    signed, running, ended = State(initial=True), State(), State(final=True)
    sign = create(signed, by=desk, sets=[signer, iban, number])
    run = transition(signed, to=running, by=desk)
    hear = transition(
        running, to=running, on=checked, match=number == checked.data.number,
        sets={holder: checked.data.holder},
    )  # fmt: skip
    end = transition([signed, running], to=ended, by=desk)
    see_holder = reveal(holder, by=desk)


app = system("clinic", Patient, Erasure, Contract)
