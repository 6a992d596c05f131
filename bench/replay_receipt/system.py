"""Environmental permits of a municipality: the case with its deadlines, its letters, whether to stop."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum

from avow import Entity, State, Subject, actor, create, field, in_state, read, ref, role, system
from avow import transition, unique

officer = role("officer")

ESCALATION = timedelta(days=14)
"""How long after its planned end an overdue case is taken to who is above."""


class Permit(Entity):
    """An application for a permit, from the receipt to the decision."""

    case: str = field(max_length=40)
    department: str = field(max_length=60)
    channel: str = field(max_length=40)
    responsible: Subject = field()
    deadline: datetime = field()
    planned_end: datetime = field()
    visible = read(by=officer)
    once = unique(case)

    open, overdue, escalated, closed = State(initial=True), State(), State(), State(final=True)

    receive = create(open, by=officer, sets=[case, department, channel, responsible, deadline, planned_end])
    note_overdue = transition(open, to=overdue, at=deadline)
    escalate = transition(overdue, to=escalated, at=planned_end + ESCALATION)
    close = transition([open, overdue, escalated], to=closed, by=actor == responsible)


UNDER_WAY = (Permit.open, Permit.overdue, Permit.escalated)


class Kind(Enum):
    """What a letter says."""

    CONFIRMATION = "confirmation"
    MISSING = "missing"
    REPORT = "report"


class Letter(Entity):
    """A letter of a case: drafted, checked, adjusted, determined, sent."""

    permit: Permit = ref()
    kind: Kind = field()
    visible = read(by=officer)
    one_of_a_kind = unique(permit, kind)

    drafted, checked, adjusted = State(initial=True), State(), State()
    determined, sent = State(), State(final=True)
    going_on = in_state(*UNDER_WAY, of=permit)

    draft = create(drafted, by=officer, sets=[permit, kind], when=going_on)
    check = transition([drafted, adjusted], to=checked, by=officer, when=going_on)
    adjust = transition([checked, determined], to=adjusted, by=officer, when=going_on)
    determine = transition(checked, to=determined, by=officer, when=going_on)
    send = transition(determined, to=sent, by=officer, when=going_on)


class Assessment(Entity):
    """Whether the work is to be stopped: considered, advised on by aspects and other parties, decided."""

    permit: Permit = ref()
    aspect: int = field(default=0, ge=0)
    party: int = field(default=0, ge=0)
    visible = read(by=officer)
    one = unique(permit)

    considered, advised, asked = State(initial=True), State(), State()
    answered, decided = State(), State(final=True)
    going_on = in_state(*UNDER_WAY, of=permit)

    consider = create(considered, by=officer, sets=[permit], when=going_on)
    reconsider = transition([considered, advised, answered], to=considered, by=officer, when=going_on)
    advise = transition([considered, advised, answered], to=advised, by=officer, sets=[aspect], when=going_on)
    advise_meanwhile = transition(asked, to=asked, by=officer, sets=[aspect], when=going_on, command="advise")
    ask = transition([considered, advised], to=asked, by=officer, when=going_on)
    hear = transition([asked, answered], to=answered, by=officer, sets=[party], when=going_on)
    decide = transition(considered, to=decided, by=officer, when=going_on)


app = system("permits", Permit, Letter, Assessment)
