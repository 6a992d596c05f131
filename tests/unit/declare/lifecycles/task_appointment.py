"""Work that is handed from one to another and can rest; and appointments that take a slot and several people.

| not there | why |
|---|---|
| suspending a task suspends its children | no transition moves all records that refer to its own; |
| | a child asks instead whether its parent rests |
| the return to the state before as one transition | one for each state that can rest: a flat machine |
| a meeting made by the appointment's start | a body can't create records; it is opened by hand |
| leaving a final state | final means final; `reopen` leads out of `failed`, which isn't final here |
| a mistake found after a task's end | the same; `entered_in_error` is reached from all others |
| several slots of one appointment | one reference each; an entity in between would do it |
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from avow import (
    Entity,
    State,
    Subject,
    actor,
    authenticated,
    create,
    field,
    in_state,
    internal,
    missing,
    read,
    ref,
    role,
    system,
    transition,
    unique,
)

performer, scheduler = role("performer"), role("scheduler")


class Phase(StrEnum):
    """The states in which a task can be told to rest."""

    DRAFT = "draft"
    REQUESTED = "requested"
    RECEIVED = "received"
    ACCEPTED = "accepted"
    READY = "ready"
    IN_PROGRESS = "in_progress"


class Task(Entity, plural="pieces_of_work"):
    """Something to be done by somebody."""

    requester: Subject = field(default=actor)
    owner: Subject | None = field()
    part_of: Task | None = ref()
    before: Phase | None = field()
    result: str | None = field(max_length=1_000)
    late_result: str | None = field(max_length=1_000)
    visible = read(by=authenticated)
    involved = (actor == requester) | (actor == owner)

    draft, requested, received, accepted = State(initial=True), State(), State(), State()
    ready, in_progress, on_hold, failed = State(), State(), State(), State()
    rejected, cancelled, completed = State(final=True), State(), State(final=True)
    entered_in_error = State(final=True)

    write = create(draft, by=authenticated, sets=[part_of])
    request = transition(draft, to=requested, by=actor == requester)
    assign = transition(draft, to=ready, by=actor == requester, sets=[owner])

    @transition(requested, to=received, by=performer)
    def claim(self) -> None:
        self.owner = self.actor.subject

    accept = transition(received, to=accepted, by=actor == owner)
    reject = transition(received, to=rejected, by=actor == owner)
    prepare = transition(accepted, to=ready, by=actor == owner)
    awake = missing(part_of) | ~in_state(on_hold, of=part_of)
    begin = transition([ready, accepted], to=in_progress, by=actor == owner, when=awake)
    complete = transition(in_progress, to=completed, by=actor == owner, sets=[result], when=awake)
    fail = transition(in_progress, to=failed, by=actor == owner)
    stop = transition(in_progress, to=ready, by=(actor == owner) | (actor == requester), sets=[owner])
    reopen = transition(failed, to=in_progress, by=actor == requester)
    give_up = transition(failed, to=cancelled, by=actor == requester)

    active = (draft, requested, received, accepted, ready, in_progress)
    cancel = transition([*active, on_hold], to=cancelled, by=actor == requester)
    mark_error = transition([*active, on_hold, failed, cancelled], to=entered_in_error, by=actor == requester)
    attach = transition(
        cancelled, to=cancelled, by=actor == owner, sets=[late_result], when=missing(late_result)
    )

    @transition(active, to=on_hold, by=involved)
    def suspend(self) -> None:
        self.before = Phase(self.state)

    resume_draft = transition(on_hold, to=draft, by=involved, when=before == Phase.DRAFT, command="resume")
    resume_requested = transition(
        on_hold, to=requested, by=involved, when=before == Phase.REQUESTED, command="resume"
    )
    resume_received = transition(
        on_hold, to=received, by=involved, when=before == Phase.RECEIVED, command="resume"
    )
    resume_accepted = transition(
        on_hold, to=accepted, by=involved, when=before == Phase.ACCEPTED, command="resume"
    )
    resume_ready = transition(on_hold, to=ready, by=involved, when=before == Phase.READY, command="resume")
    resume_in_progress = transition(
        on_hold, to=in_progress, by=involved, when=before == Phase.IN_PROGRESS, command="resume"
    )


class Slot(Entity):
    """A span of somebody's time, for one appointment at once."""

    starts: datetime = field()
    visible = read(by=authenticated)
    free, busy_tentative, busy = State(initial=True), State(), State()
    gone = State(final=True)
    offer = create(free, by=scheduler, sets=[starts])
    hold = transition(free, to=busy_tentative, by=internal)
    take = transition(busy_tentative, to=busy, by=internal)
    release = transition([busy_tentative, busy], to=free, by=internal)
    withdraw = transition(free, to=gone, by=scheduler)


class Appointment(Entity):
    """Several people at one time. Whoever moves it asks all of them again."""

    slot: Slot = ref()
    invited: int = field(default=0, ge=0)
    agreed: int = field(default=0, ge=0)
    round: int = field(default=1, ge=1)
    visible = read(by=authenticated)

    proposed, pending, booked, arrived = State(initial=True), State(), State(), State()
    fulfilled, cancelled, noshow = State(final=True), State(final=True), State(final=True)
    one_each = unique(slot, among=[pending, booked, arrived])

    propose = create(proposed, by=authenticated, sets=[slot])

    @transition(proposed, to=proposed, by=internal)
    def count_invited(self) -> None:
        self.invited += 1

    @transition(proposed, to=pending, by=scheduler, when=invited > 0, uses=slot)
    def ask(self) -> None:
        self.slot.hold()

    @transition(pending, to=pending, by=internal, uses=slot)
    def hear_agreement(self) -> None:
        """When all have agreed to this time, it is booked."""
        self.agreed += 1
        if self.agreed == self.invited:
            self.book()

    @transition(pending, to=booked, by=internal, uses=slot)
    def book(self) -> None:
        self.slot.take()

    @transition([pending, booked], to=pending, by=scheduler, uses=slot)
    def ask_again(self, instead: Slot) -> None:
        """At another time, or once more at this one: what was agreed to is void."""
        self.slot.release()
        self.slot = instead
        instead.hold()
        self.agreed = 0
        self.round += 1

    @transition([pending, booked], to=cancelled, by=scheduler | internal, uses=slot)
    def cancel(self) -> None:
        self.slot.release()

    arrive = transition(booked, to=arrived, by=scheduler)
    start = transition(arrived, to=fulfilled, by=scheduler)

    @transition(booked, to=noshow, by=scheduler, uses=slot)
    def miss(self) -> None:
        self.slot.release()


class Participant(Entity):
    """One person of an appointment, and what they have said to the time of this round."""

    who: Subject = field()
    appointment: Appointment = ref()
    answered: int = field(default=0)
    visible = read(by=authenticated)

    needs_action, accepted, tentative = State(initial=True), State(), State()
    declined = State(final=True)
    once = unique(who, appointment)

    @create(needs_action, by=scheduler, sets=[who, appointment], uses=appointment)
    def invite(self) -> None:
        self.appointment.count_invited()

    @transition(
        [needs_action, tentative, accepted], to=accepted, by=actor == who, uses=appointment,
        when=answered < appointment.round,
    )  # fmt: skip
    def accept(self) -> None:
        self.answered = self.appointment.round
        self.appointment.hear_agreement()

    waver = transition([needs_action, tentative], to=tentative, by=actor == who)

    @transition([needs_action, tentative, accepted], to=declined, by=actor == who, uses=appointment)
    def decline(self) -> None:
        self.appointment.cancel()


class Encounter(Entity):
    """The meeting itself."""

    appointment: Appointment = ref()
    visible = read(by=authenticated)
    planned, arrived, in_progress = State(initial=True), State(), State()
    finished = State(final=True)
    once = unique(appointment)

    plan = create(
        planned, by=scheduler, sets=[appointment],
        when=in_state(Appointment.arrived, Appointment.fulfilled, of=appointment),
    )  # fmt: skip
    arrive = transition(planned, to=arrived, by=scheduler)
    begin = transition(
        arrived, to=in_progress, by=scheduler, when=in_state(Appointment.fulfilled, of=appointment)
    )
    finish = transition(in_progress, to=finished, by=scheduler)


app = system("care", Task, Slot, Appointment, Participant, Encounter)
