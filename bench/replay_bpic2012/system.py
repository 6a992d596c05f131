"""Loans of a bank, as its log permits: the application, the offers that are made for it, the work of people.

What the log never breaks but by a few cases is demanded: who accepts an application doesn't approve it, who
begins a piece of work ends it, and nothing is begun for an application that is declined or cancelled.
"""

from __future__ import annotations

from enum import Enum

from avow import Entity, State, Subject, actor, create, days, field, in_state, performed
from avow import read, ref, role, seconds, system, task, transition, unique

staff, automaton = role("staff"), role("automaton")
anybody = staff | automaton


class Application(Entity):
    """Somebody asks for a loan; in the end it is paid out, declined, or cancelled."""

    case: str = field(max_length=20)
    amount: int = field(ge=0)
    once = unique(case)
    visible = read(by=anybody)

    submitted, partly_submitted = State(initial=True), State()
    preaccepted, accepted, finalized = State(), State(), State()
    approved, registered, activated = State(), State(), State()
    completed, declined, cancelled = State(final=True), State(final=True), State(final=True)

    submit = create(submitted, by=automaton, sets=[case, amount])
    forward = transition(submitted, to=partly_submitted, after=seconds(0))
    preaccept = transition(partly_submitted, to=preaccepted, by=anybody)
    accept = transition(preaccepted, to=accepted, by=staff)
    finalize = transition(accepted, to=finalized, by=staff)
    approve = transition(
        finalized, to=approved, by=anybody & ~performed(accept),
        task=task(staff, due=days(30), shows=[case, amount]),
    )  # fmt: skip
    register = transition(approved, to=registered, by=anybody)
    activate = transition(approved, to=activated, by=anybody)
    register_at_last = transition(activated, to=completed, by=anybody, command="register")
    activate_at_last = transition(registered, to=completed, by=anybody, command="activate")
    decline = transition([partly_submitted, preaccepted, accepted, finalized], to=declined, by=anybody)
    cancel = transition([partly_submitted, preaccepted, accepted, finalized], to=cancelled, by=anybody)


class Offer(Entity):
    """What the bank offers for an application: never two at a time."""

    application: Application = ref()
    visible = read(by=anybody)

    selected, created, sent, returned = State(initial=True), State(), State(), State()
    accepted, declined, cancelled = State(final=True), State(final=True), State(final=True)

    one_at_a_time = unique(application, among=[created, sent, returned])
    ready = in_state(Application.accepted, Application.finalized, of=application)

    select = create(selected, by=staff, sets=[application], when=ready)
    draw_up = transition(selected, to=created, by=staff)
    send = transition(created, to=sent, by=staff)
    take_back = transition(sent, to=returned, by=staff)
    accept = transition([sent, returned], to=accepted, by=staff)
    decline = transition([sent, returned], to=declined, by=staff)
    cancel = transition([created, sent, returned], to=cancelled, by=anybody)


class Kind(Enum):
    """What people have to do for an application."""

    LEADS = "Afhandelen leads"
    COMPLETION = "Completeren aanvraag"
    OFFERS = "Nabellen offertes"
    DOSSIERS = "Nabellen incomplete dossiers"
    VALIDATION = "Valideren aanvraag"
    FRAUD = "Beoordelen fraude"
    CONTRACT = "Wijzigen contractgegevens"


class WorkItem(Entity):
    """Work of one kind for one application: scheduled, then begun and laid down as often as it takes."""

    application: Application = ref()
    kind: Kind = field()
    holder: Subject | None = field()
    visible = read(by=anybody)
    one_of_a_kind = unique(application, kind)

    scheduled, under_way, laid_down, done = State(initial=True), State(), State(), State(final=True)
    void = in_state(Application.declined, Application.cancelled, of=application)

    schedule = create(scheduled, by=anybody, sets=[application, kind], when=~void)
    schedule_again = transition([scheduled, laid_down], to=scheduled, by=anybody, when=~void)
    schedule_meanwhile = transition(under_way, to=under_way, by=anybody, when=~void, command="schedule_again")

    @transition(scheduled, to=under_way, by=staff, when=~void, task=task(staff, shows=[kind]))
    def begin(self) -> None:
        self.holder = self.actor.subject

    @transition(laid_down, to=under_way, by=staff, when=~void, command="begin")
    def go_on(self) -> None:
        self.holder = self.actor.subject

    lay_down = transition(under_way, to=laid_down, by=anybody, when=actor == holder)
    finish = transition(laid_down, to=done, by=staff)


app = system("loans", Application, Offer, WorkItem)
