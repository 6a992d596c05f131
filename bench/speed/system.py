"""What is measured: a payment captured in parts, so that one transition can be repeated without end."""

from avow import Entity, State, create, field, invariant, read, role, system, transition

clerk = role("clerk")


class Payment(Entity):
    """An authorized amount, in cents, of which parts are captured."""

    amount: int = field(ge=1)
    captured: int = field(default=0, ge=0)
    never_over = invariant(captured <= amount, "Never more is captured than was authorized.")
    visible = read(by=clerk)

    open = State(initial=True)
    closed = State(final=True)

    authorize = create(open, by=clerk, sets=[amount])
    close = transition(open, to=closed, by=clerk)

    @transition(open, to=open, by=clerk)
    def capture(self, amount: int) -> None:
        self.captured += amount


app = system("payment", Payment)
