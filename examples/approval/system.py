"""An approval backend: money that a department spends, by leave of as many as the amount demands.

Amounts are whole cents.
"""

from collections import Counter
from datetime import datetime

from avow import Entity, State, Subject, World, actor, always, authenticated, create, days, field, in_state
from avow import internal, invariant, now, performed, private, quota, read, ref, reveal, role, sometimes
from avow import system, task, transition

manager, director, board, cashier = role("manager"), role("director"), role("board"), role("cashier")
privacy = role("privacy")

SMALL, LARGE = 50_000, 1_000_000
"""Below 500 euros one of three is enough, from there on it takes two; from 10,000 euros also the board."""
REMIND, LATE, TOO_LATE = days(2), days(3), days(30)
"""When the three are reminded, when the director may step in, and when nobody may any more."""


class Department(Entity):
    """Whose money is spent: so much of it, by leave of these three."""

    name: str = field(max_length=100)
    budget: int = field(ge=0)
    first: Subject = field()
    second: Subject = field()
    third: Subject = field()
    three = invariant((first != second) & (second != third) & (third != first), "Three seats, three people.")
    visible = read(by=authenticated)

    running, closed = State(initial=True), State(final=True)

    found = create(running, by=director, sets=[name, budget, first, second, third])
    seat = transition(running, to=running, by=director, sets=[first, second, third])
    close = transition(running, to=closed, by=director)


class Request(Entity):
    """Money that somebody needs, from the question to the payment.

    due: when the director may step in.
    """

    requester: Subject = field(default=actor)
    department: Department = ref()
    amount: int = field(ge=1)
    purpose: str = field(max_length=500)
    account: str = private(of=requester, max_length=34, read=cashier | (actor == requester))
    reason: str | None = field(max_length=500)
    due: datetime = field(default=now)
    one_of_three = (actor == department.first) | (actor == department.second) | (actor == department.third)
    visible = read(by=(actor == requester) | one_of_three | director | board | cashier)

    pending, endorsed, approved = State(initial=True), State(), State()
    paid, rejected = State(final=True), State(final=True)
    withdrawn, lapsed = State(final=True), State(final=True)

    within_budget = quota(
        department, among=[approved, paid], limit=department.budget, weight=amount,
        message="The department hasn't so much left.",
    )  # fmt: skip

    can_be_paid = sometimes(in_state(paid), "A request can be paid.")

    judge = ((manager & one_of_three) | (director & (now >= due))) & (actor != requester)

    @create(
        pending, by=authenticated, sets=[department, amount, purpose, account],
        when=in_state(Department.running, of=department),
    )  # fmt: skip
    def ask(self) -> None:
        self.due = self.now + LATE

    @transition(endorsed, to=approved, by=internal)
    def grant(self) -> None:
        """What needs no board is approved with the last vote."""

    @transition(
        pending, to=endorsed, by=judge, approvals=[(amount < SMALL, 1), 2], precondition=True,
        task=task(manager, due=due, remind=REMIND, escalate=director, shows=[amount, purpose]),
    )  # fmt: skip
    def approve(self) -> None:
        if self.amount < LARGE:
            self.grant()

    sanction = transition(
        endorsed, to=approved, by=board & ~performed(approve) & (actor != requester), precondition=True,
        task=task(board, due=days(7), remind=days(5), shows=[amount, purpose]),
    )  # fmt: skip
    reject = transition(pending, to=rejected, by=judge, sets=[reason])
    turn_down = transition(
        endorsed, to=rejected, by=board & (actor != requester), sets=[reason], command="reject"
    )
    withdraw = transition([pending, endorsed], to=withdrawn, by=actor == requester)
    lapse = transition([pending, endorsed], to=lapsed, after=TOO_LATE)

    @transition(
        [pending, endorsed], to=pending, by=actor == requester, sets=[amount, purpose, account],
        voids=[approve, sanction],
    )  # fmt: skip
    def revise(self) -> None:
        """Ask for something else: nobody has agreed to that yet."""
        self.due = self.now + LATE

    pay = transition(
        approved, to=paid,
        by=cashier & ~performed(approve) & ~performed(sanction) & (actor != requester),
        task=task(cashier, shows=[amount]),
    )  # fmt: skip
    see_account = reveal(account, by=cashier | (actor == requester), among=[pending, approved])


class Erasure(Entity):
    """That somebody is to be forgotten: asked for by one, agreed to by another."""

    person: Subject = field()
    grounds: str = field(max_length=500)
    visible = read(by=privacy)

    asked, erased = State(initial=True), State(final=True)

    ask = create(asked, by=privacy, sets=[person, grounds])
    agree = transition(asked, to=erased, by=privacy & ~performed(ask), erases=person)


@always("Nobody decides on, or pays, what they have asked for themselves; nobody else takes it back.")
def not_ones_own(world: World) -> bool:
    cls = Request
    others = (cls.approve, cls.sanction, cls.reject, cls.turn_down, cls.pay)
    own = (cls.withdraw, cls.revise)
    return not any(
        one.requester in world.performers(one, step) for one in world.all(cls) for step in others
    ) and all(world.performers(one, step) <= {one.requester} for one in world.all(cls) for step in own)


@always("Three people have a say in what a department spends; others only once the three are late.")
def the_three_first(world: World) -> bool:
    def fits(one: Request) -> bool:
        the_three = {one.department.first, one.department.second, one.department.third}
        others = world.performers(one, Request.approve) - the_three
        moved = world.performers(one, Request.revise) | world.performers(one.department, Department.seat)
        return len(the_three) == 3 and (not others or one.due <= world.now or bool(moved))

    return all(fits(one) for one in world.all(Request))


@always("Nothing lapses before the director could have stepped in, but what was revised late.")
def lapses_late(world: World) -> bool:
    lapsed = [one for one in world.all(Request) if one.state == "lapsed"]
    return all(one.due < world.now or world.performers(one, Request.revise) for one in lapsed)


@always(
    "As many have agreed as the amount demands, from 10,000 euros on also the board, and another one pays."
)
def enough_agree(world: World) -> bool:
    def enough(one: Request) -> bool:
        board, paid = world.performers(one, Request.sanction), world.performers(one, Request.pay)
        agreed = world.performers(one, Request.approve) - board - paid
        enough = len(agreed) >= (1 if one.amount < SMALL else 2)
        return enough and (one.amount < LARGE or bool(board - paid))

    return all(enough(one) for one in world.all(Request) if one.state in ("approved", "paid"))


@always("What is approved is paid, and doesn't lapse.")
def decided_stays(world: World) -> bool:
    steps = (Request.grant, Request.sanction)
    return all(
        one.state in ("approved", "paid")
        for one in world.all(Request)
        if any(world.performers(one, step) for step in steps)
    )


@always("No department spends more than it has.")
def within_means(world: World) -> bool:
    spent = Counter[Department]()
    for one in world.all(Request):
        spent[one.department] += one.amount if one.state in ("approved", "paid") else 0
    return all(spent[department] <= department.budget for department in world.all(Department))


@always("It takes two people for somebody to be forgotten.")
def forgotten_by_two(world: World) -> bool:
    return not any(
        world.performers(one, Erasure.ask) & world.performers(one, Erasure.agree)
        for one in world.all(Erasure)
    )


app = system(
    "approval", Department, Request, Erasure,
    promises=[
        not_ones_own, the_three_first, lapses_late, enough_agree, decided_stays, within_means,
        forgotten_by_two,
    ], operators=role("operator"),
)  # fmt: skip
