"""What a search tries first: what comes near to what nothing has reached, and not what was refused before."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import islice
from typing import Annotated

from avow import (
    Entity,
    Money,
    State,
    World,
    always,
    authenticated,
    create,
    field,
    limits,
    read,
    ref,
    refuse,
    role,
    seconds,
    sometimes,
    system,
    transition,
)
from avow.model.actor import Actor
from avow.model.system import System
from avow.model.values import Subject
from avow.prove.act import TENANT, Act, Path, Ref
from avow.prove.explore.aims import Aims
from avow.prove.explore.compose import alone_of, composed
from avow.prove.explore.ends import cannot_end
from avow.prove.explore.kinds import asked_about, kind_of_record
from avow.prove.explore.path import end_of
from avow.prove.explore.situation import Situation
from avow.prove.explore.turns import Turns, Usual
from avow.prove.explore.values import constants_of
from avow.prove.model import Model
from avow.prove.phase import Bench
from tests.canaries.mutants import counted
from tests.unit.prove.systems import SOUND

teller = role("teller")
ADA = Actor(Subject("Ada"), TENANT, frozenset({"clerk", "teller"}))
EUR = Annotated[Money, limits(currency="EUR")]


def eur(amount: int) -> Money:
    return Money(Decimal(amount), "EUR")


class Account(Entity):
    """Money that was paid in, and may be paid out: much of it only by a teller."""

    balance: Money = field(currency="EUR", default=eur(0), ge=eur(0))
    visible = read(by=authenticated)
    open, closed = State(initial=True), State(final=True)
    start = create(open, by=authenticated)
    close = transition(open, to=closed, by=teller)

    @transition(open, to=open, by=teller)
    def pay_in(self, amount: EUR) -> None:
        self.balance += amount

    @transition(open, to=open, by=teller)
    def take(self, amount: EUR) -> None:
        self.balance -= amount


class Payout(Entity):
    """Money on its way out. A large one is looked at again and again, and never seen."""

    account: Account = ref()
    amount: Money = field(currency="EUR", ge=eur(1))
    remark: str = field(max_length=20)
    visible = read(by=authenticated)
    asked, looked_at, seen = State(initial=True), State(), State()
    sent = State(final=True)
    can_be_large = sometimes(amount >= eur(1_000), "A payout can be large.")

    @create(asked, by=teller, sets=[account, amount, remark], uses=account)
    def ask(self) -> None:
        if self.amount == eur(3):
            raise refuse("Not three.")
        self.account.take(self.amount)

    send = transition(asked, to=sent, by=teller, when=amount < eur(1_000))
    look = transition(asked, to=looked_at, after=seconds(0), when=amount >= eur(1_000))
    look_again = transition(looked_at, to=seen, after=seconds(0))
    look_anew = transition(seen, to=looked_at, after=seconds(0))
    send_seen = transition(seen, to=sent, by=teller, when=amount < eur(1_000))


@always("A payout is never of nothing.")
def of_something(world: World) -> bool:
    return all(one.amount > eur(0) for one in world.all(Payout))


BANK = system("bank", Account, Payout, promises=[of_something])


def given(command: str, record: int, amount: int) -> Act:
    return Act("command", "Payout", command, record, {"amount": amount}, ADA)


def test_what_is_refused_for_one_reason_comes_after_all_others() -> None:
    usual = Usual()
    turns = Turns(
        [iter([given("a", 1, n) for n in range(4)]), iter([given("b", 1, n) for n in range(4)])], usual
    )
    tried = list[str]()
    for act in islice(turns, 8):
        tried.append(act.command)
        turns.told("no" if act.command == "a" else len(tried), refused=act.command == "a")
    assert tried == ["a", "b", "a", "b", "b", "b", "a", "a"]
    again = Turns(
        [iter([given("a", 2, n) for n in range(2)]), iter([given("b", 2, n) for n in range(2)])], usual
    )
    tried.clear()
    for act in again:
        tried.append(act.command)
        again.told("no" if act.command == "a" else len(tried), refused=act.command == "a")
    assert tried == ["a", "b", "b", "a"], "elsewhere it is known after one"
    assert again.over


def test_of_what_nothing_has_reached_the_nearest_comes_first() -> None:
    aims = Aims(SOUND, ("Book",))
    for transition_ in SOUND.entities["Book"].transitions:
        aims.reached(("Book", transition_))
    build = Act("command", "Shelf", "build", 1, {"room": 1}, ADA)
    shelf = end_of(SOUND, (build,))
    assert shelf is not None
    aims.put(0, shelf)
    assert aims.take() is None, "no book is there that could be called a"


def test_an_amount_shares_what_it_is_compared_with_with_what_it_is_made_of() -> None:
    constants = constants_of(BANK)
    assert eur(1_000) in constants["Payout", "amount"]
    assert eur(1_000) in constants["Account", "amount"], "what is paid in is what may be paid out"
    assert "remark" not in asked_about(BANK)


async def test_what_goes_round_by_itself_for_ever_is_told_where_a_search_has_no_end() -> None:
    report = await Model().run(Bench(BANK, 0), counted(4_000))
    findings = {finding.promise: finding for finding in report.findings}
    found = findings["Payout.looked_at can end"]
    assert [act.command for act in found.schedule.acts] == ["start", "pay_in", "ask", "look"]
    again = await Model().replay(Bench(BANK, 0), found.schedule)
    assert again is not None
    assert again.sentence == found.sentence
    assert "Payout.asked can end" not in findings
    situation = end_of(BANK, found.schedule.acts[:-1])
    assert situation is not None
    key = next(key for key in situation.records if key[0] == "Payout")
    assert cannot_end(BANK, situation, key)[0], "from where it begins to go round nothing else is left either"


def test_what_two_share_is_scarce_or_else_enough_for_both() -> None:
    book = SOUND.entities["Book"]
    library = replace(SOUND, entities={**SOUND.entities, "Book": replace(book, uniques=())})
    build = Act("command", "Shelf", "build", 1, {"room": 1}, ADA)
    bring = Act("command", "Book", "bring", 1, {"title": "a", "shelf": Ref("Shelf", 1)}, ADA)
    path = (build, bring, Act("command", "Book", "keep", 1, {}, replace(ADA, subject=Subject("Ben"))))
    kind = next(kind_of_record(library, r) for k, r in ended(library, path).records.items() if k[0] == "Book")
    scarce, enough = next(composed(library, "Book", alone_of(library, {kind: path}), {}, 2))
    assert end_of(library, scarce) is None, "there is room for one"
    assert [record.state for record in ended(library, enough).records.values()] == ["up", "kept", "kept"]


def ended(system: System, path: Path) -> Situation:
    end = end_of(system, path)
    assert end is not None
    return end


def test_the_numbers_that_anything_is_compared_with_come_before_the_plainest() -> None:
    amounts = constants_of(BANK)["Payout", "amount"]
    assert amounts[0] == eur(1_000), "the others are tried anyway"
