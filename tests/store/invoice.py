"""Invoices whose sending and payment others may be told of."""

from datetime import timedelta

from avow import Entity, State, create, everybody, field, publish, read, role, system, transition
from avow.model.system import System


def invoices(retried_for: timedelta = timedelta(days=3)) -> System:
    """The declaration."""

    class Invoice(Entity):
        """An invoice."""

        cents: int = field(default=1)
        note: str = field(default="", max_length=5_000)
        internal_note: str = field(default="", max_length=100)
        visible = read(by=everybody)

        draft, sent = State(initial=True), State()
        paid = State(final=True)
        write = create(draft, by=everybody, sets=[cents, note, internal_note])
        send = transition(draft, to=sent, by=everybody)
        correct = transition(sent, to=sent, by=everybody, sets=[cents])
        pay = transition(sent, to=paid, by=everybody)

        events = publish(
            send, correct, pay, data=[cents, note], by=role("integrator"), retried_for=retried_for
        )

    class Memo(Entity):
        """What nobody is told of."""

        visible = read(by=everybody)
        kept = State(initial=True, final=True)
        keep = create(kept, by=everybody)

    return system("invoices", Invoice, Memo)
