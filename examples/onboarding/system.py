"""An onboarding backend: many prepare for somebody new, and undo it all if they don't come after all."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from avow import Call, Declined, Entity, NotDone, State, Subject, Unclear, World, actor, always, create
from avow import days, effect, field, forever, given, in_state, internal, missing, not_, now, performed
from avow import private, publish, read, ref, reveal, role, seconds, sometimes, system, task, transition

hr, it, facilities, manager, lead = role("hr"), role("it"), role("facilities"), role("manager"), role("lead")
mailer, privacy = role("mailer"), role("privacy")

NOTICE = days(3)
"""How long before a paper is due, or the first day comes, it is said that something is missing."""


@dataclass(frozen=True)
class Made:
    """What the identity provider answers: the id of the account."""

    id: str


def told(status: int, said: Any) -> Made:
    """The account that was made. Raises Declined for a definite no, NotDone while a copy is still at work."""
    if status < 300:
        return Made(str(said["id"]))
    if said["code"] == "key_in_use":
        raise NotDone("a copy of this call is under way", retry_after_s=1)
    raise Declined(str(said.get("detail", "")), code=said["code"])


async def look_up(_: Any, call: Call) -> Made | None:
    """What became of a call, asked by its key; None where it never arrived."""
    answer = await call.http.get(f"/requests/{call.key}")
    known = answer.json()
    if answer.status == 404:
        return None
    if known["state"] != "answered":
        raise Unclear("it is still being worked on")
    return told(known["status"], known["answer"])


@effect(destination="accounts", lookup=look_up, retry=forever, task=task(it))
async def make_account(case: "Onboarding", call: Call) -> Made:
    """Make the account with which somebody logs in to everything else."""
    wanted = {"reference": str(case.id), "login": case.login, "name": call.private.name}
    answer = await call.http.post("/accounts", json=wanted)
    return told(answer.status, answer.json())


@effect(destination="accounts", retry=forever, task=task(it))
async def delete_account(case: "Onboarding", call: Call) -> None:
    """Delete it. One that is deleted already is what was wanted."""
    answer = await call.http.delete(f"/accounts/{case.account}")
    if answer.status >= 300 and answer.json()["code"] != "deleted":
        told(answer.status, answer.json())


class Job(Entity):
    """Something that one of us prepares: a laptop, a desk, a plan for the first weeks."""

    onboarding: "Onboarding" = ref()
    what: str = field(max_length=500)
    due: datetime = field()
    visible = read(by=hr | it | facilities | manager | lead)

    laptop_asked, laptop_ready, laptop_owed = State(initial=True), State(), State()
    desk_asked, desk_ready, desk_owed = State(initial=True), State(), State()
    plan_asked, plan_ready = State(initial=True), State()
    dropped, undone = State(final=True), State(final=True)

    @create(laptop_asked, by=hr, sets=[onboarding, what, due], uses=onboarding)
    def ask_laptop(self) -> None:
        self.onboarding.expect_laptop(self)

    @create(desk_asked, by=hr, sets=[onboarding, what, due], uses=onboarding)
    def ask_desk(self) -> None:
        self.onboarding.expect_desk(self)

    @create(plan_asked, by=hr, sets=[onboarding, what, due], uses=onboarding)
    def ask_plan(self) -> None:
        self.onboarding.expect_plan(self)

    of_it = task(it, due=due, remind=[days(2), days(5)], escalate=lead, shows=[what])
    of_facilities = task(facilities, due=due, remind=[days(2), days(5)], escalate=lead, shows=[what])
    of_manager = task(manager, due=due, remind=days(2), escalate=lead, shows=[what])

    @transition(laptop_asked, to=laptop_ready, by=it | lead, task=of_it, uses=onboarding)
    def hand_out(self) -> None:
        tell(self)

    @transition(desk_asked, to=desk_ready, by=facilities | lead, task=of_facilities, uses=onboarding)
    def furnish(self) -> None:
        tell(self)

    @transition(
        plan_asked, to=plan_ready, by=(manager & (actor == onboarding.boss)) | lead, task=of_manager,
        uses=onboarding,
    )  # fmt: skip
    def plan(self) -> None:
        """Only who will be the boss plans."""
        tell(self)

    drop = transition([laptop_asked, desk_asked, plan_asked, plan_ready], to=dropped, by=internal)
    owe_laptop = transition(laptop_ready, to=laptop_owed, by=internal)
    owe_desk = transition(desk_ready, to=desk_owed, by=internal)

    @transition(
        laptop_owed, to=undone, by=it | lead, uses=onboarding, task=task(it, due=days(7), escalate=lead)
    )
    def take_back(self) -> None:
        tell(self)

    @transition(
        desk_owed, to=undone, by=facilities | lead, uses=onboarding,
        task=task(facilities, due=days(7), escalate=lead),
    )  # fmt: skip
    def clear(self) -> None:
        tell(self)


class Onboarding(Entity):
    """Somebody who begins on their first day, unless it is called off before."""

    person: Subject = field()
    name: str = private(of=person, max_length=200)
    email: str | None = private(of=person, max_length=254)
    login: str = field(max_length=40, pattern="[a-z][a-z0-9.]*")
    boss: Subject = field()
    first_day: datetime = field()
    papers: int = field(default=0, ge=0)
    laptop: Job | None = ref()
    desk: Job | None = ref()
    plan: Job | None = ref()
    account: str | None = field(max_length=64)
    called_off: bool = field(default=False)
    problem: str | None = field(max_length=100)
    visible = read(by=(actor == person) | (actor == boss) | hr | it | lead)

    collecting, naming = State(initial=True), State()
    making = State(invoke=make_account, reveals=[name])
    stopping = State(invoke=make_account, withdraw=True, reveals=[name])
    checking, preparing, late, ready = State(), State(), State(), State()
    calling_off, undoing = State(), State()
    deleting = State(invoke=delete_account, owed=True)
    started, cancelled = State(final=True), State(final=True)

    can_start = sometimes(in_state(started), "Somebody can begin.")
    can_be_cancelled = sometimes(in_state(cancelled), "It can be called off, with nothing left over.")

    to_come = given.first_day > now
    announce = create(collecting, by=hr, sets=[person, name, email, login, boss, first_day], when=to_come)

    @transition(collecting, to=collecting, by=internal)
    def want_paper(self) -> None:
        self.papers += 1

    @transition(collecting, to=collecting, by=internal)
    def have_paper(self) -> None:
        self.papers -= 1

    @transition(collecting, to=collecting, by=internal, when=missing(laptop))
    def expect_laptop(self, laptop: Job) -> None:
        self.laptop = laptop

    @transition(collecting, to=collecting, by=internal, when=missing(desk))
    def expect_desk(self, desk: Job) -> None:
        self.desk = desk

    @transition(collecting, to=collecting, by=internal, when=missing(plan))
    def expect_plan(self, plan: Job) -> None:
        self.plan = plan

    asked = not_(missing(laptop)) & not_(missing(desk)) & not_(missing(plan))
    thought_of = always(
        not_(in_state(making, preparing, late, ready, started)) | asked,
        "Nobody is prepared for before laptop, desk and plan are asked for.",
    )  # fmt: skip
    complete = transition(collecting, to=making, by=hr, when=asked & (papers == 0))

    made = transition(making, to=checking, on=make_account.done, sets={account: make_account.result.id})

    @transition(making, to=naming, on=make_account.failed)
    def not_made(self, code: str) -> None:
        self.problem = code

    name_again = transition(
        naming, to=making, by=it | lead, sets=[login],
        task=task(it, due=days(1), escalate=lead, shows=[login, problem]),
    )  # fmt: skip

    # Whenever something has changed, it is looked anew at what comes next.
    look = transition([preparing, late, undoing], to=checking, by=internal)
    prepared = (
        in_state(Job.laptop_ready, of=laptop) & in_state(Job.desk_ready, of=desk)
        & in_state(Job.plan_ready, of=plan)
    )  # fmt: skip
    left = (
        (missing(laptop) | in_state(Job.dropped, Job.undone, of=laptop))
        & (missing(desk) | in_state(Job.dropped, Job.undone, of=desk))
    )  # fmt: skip
    noticed = always(not_(in_state(preparing, late)) | not_(prepared), "What is prepared is noticed.")
    go_on = transition(checking, to=preparing, after=seconds(0), when=not_(called_off) & not_(prepared))
    be_ready = transition(checking, to=ready, after=seconds(0), when=not_(called_off) & prepared)
    clear_away = transition(checking, to=deleting, after=seconds(0), when=called_off & not_(missing(account)))
    wait = transition(checking, to=undoing, after=seconds(0), when=called_off & missing(account) & not_(left))
    end = transition(checking, to=cancelled, after=seconds(0), when=called_off & missing(account) & left)

    warn = transition(collecting, to=collecting, at=first_day - NOTICE)
    be_late = transition(preparing, to=late, at=first_day - NOTICE)
    start = transition(ready, to=started, at=first_day)
    postpone = transition(collecting, to=collecting, by=hr | lead, sets=[first_day], when=to_come)
    postpone_work = transition(
        [preparing, ready], to=checking, by=hr | lead, sets=[first_day], when=to_come, command="postpone"
    )
    postpone_late = transition(
        late, to=checking, by=hr | lead, sets=[first_day], when=to_come, command="postpone",
        task=task(hr, due=days(1), escalate=lead, shows=[login, first_day]),
    )  # fmt: skip

    see_newcomer = reveal(name, email, by=(actor == person) | hr | it, among=[collecting, naming, preparing])

    off = hr | (actor == person)
    cancel = transition(
        [collecting, naming, checking, preparing, late, ready], to=calling_off, by=off, when=not_(called_off)
    )
    stop = transition(making, to=stopping, by=off, command="cancel")
    stopped_late = transition(
        stopping, to=calling_off, on=make_account.done, sets={account: make_account.result.id}
    )
    stopped = transition(stopping, to=calling_off, on=make_account.failed)

    @transition(calling_off, to=checking, after=seconds(0), uses=[laptop, desk, plan])
    def call_off(self) -> None:
        """Nobody begins with what isn't done any more; what is done is taken back."""
        self.called_off = True
        for job in (self.laptop, self.desk, self.plan):
            if job is not None:
                give_up(job)

    deleted = transition(deleting, to=checking, on=delete_account.done, sets={account: None})
    mails = publish(warn, be_late, start, end, data=[person, first_day], by=mailer)


class Paper(Entity):
    """Something that the newcomer hands in and we check."""

    onboarding: Onboarding = ref()
    person: Subject = field()
    kind: str = field(max_length=100)
    due: datetime = field()
    file: str | None = private(of=person, max_length=200, read=(actor == person) | hr)
    remark: str | None = field(max_length=1_000)
    visible = read(by=(actor == person) | hr | lead)

    wanted, overdue, handed_in = State(initial=True), State(), State()
    accepted, waived, dropped = State(final=True), State(final=True), State(final=True)

    @create(wanted, by=hr, sets=[onboarding, kind, due], uses=onboarding)
    def want(self) -> None:
        self.person = self.onboarding.person
        self.onboarding.want_paper()

    needed = in_state(Onboarding.collecting, of=onboarding)
    remind = transition(wanted, to=wanted, at=due - NOTICE, when=needed)
    miss = transition(wanted, to=overdue, at=due, when=needed)
    nag = transition(overdue, to=overdue, every=days(2), when=needed)
    hand_in = transition(
        [wanted, overdue], to=handed_in, by=actor == person, sets=[file], when=not_(missing(given.file))
    )
    send_back = transition(handed_in, to=wanted, by=hr | lead, sets=[remark])
    see_file = reveal(file, by=(actor == person) | hr, among=handed_in)

    @transition(
        handed_in, to=accepted, by=hr | lead, uses=onboarding,
        task=task(hr, due=days(2), remind=days(1), escalate=lead, shows=[kind, file]),
    )  # fmt: skip
    def accept(self) -> None:
        self.onboarding.have_paper()

    @transition(
        overdue, to=waived, by=hr | lead, uses=onboarding,
        task=task(hr, due=days(7), escalate=lead, shows=[kind, due]),
    )  # fmt: skip
    def waive(self) -> None:
        """Do without it; or wait on."""
        self.onboarding.have_paper()

    drop = transition([wanted, overdue, handed_in], to=dropped, every=days(1), when=not_(needed))
    mails = publish(remind, miss, nag, send_back, data=[person, kind, due, remark], by=mailer)


class Erasure(Entity):
    """That somebody is to be forgotten: asked for by one, agreed to by another."""

    person: Subject = field()
    grounds: str = field(max_length=500)
    visible = read(by=privacy)

    asked, erased = State(initial=True), State(final=True)

    ask = create(asked, by=privacy, sets=[person, grounds])
    agree = transition(asked, to=erased, by=privacy & ~performed(ask), erases=person)


def tell(job: Job) -> None:
    """Who waits for this looks anew at what comes next."""
    if job.onboarding.state in ("preparing", "late", "undoing"):
        job.onboarding.look()


def give_up(job: Job) -> None:
    """Take back what is ready; drop what isn't."""
    if job.state == "laptop_ready":
        job.owe_laptop()
    elif job.state == "desk_ready":
        job.owe_desk()
    else:
        job.drop()


@always("Nobody begins without an account, a laptop, a desk and a plan.")
def all_is_there(world: World) -> bool:
    def prepared(one: Onboarding) -> bool:
        jobs = {"" if job is None else job.state for job in (one.laptop, one.desk, one.plan)}
        return one.account is not None and jobs == {"laptop_ready", "desk_ready", "plan_ready"}

    return all(prepared(one) for one in world.all(Onboarding) if one.state in ("ready", "started"))


@always("Nobody begins before their first day, and nobody hands in another one's papers.")
def in_their_time(world: World) -> bool:
    started = [one for one in world.all(Onboarding) if one.state == "started"]
    return all(one.first_day <= world.now for one in started) and all(
        world.performers(one, Paper.hand_in) <= {one.person} for one in world.all(Paper)
    )


@always("Of somebody who doesn't come no account is left, and nothing that was prepared, or is still to be.")
def nothing_is_left(world: World) -> bool:
    gone = [one for one in world.all(Onboarding) if one.state == "cancelled"]
    left = [job for job in world.all(Job) if job.state not in ("dropped", "undone")]
    return all(one.account is None for one in gone) and not any(job.onboarding in gone for job in left)


@always("As many papers are missing as are counted, and nobody is prepared for before.")
def papers_add_up(world: World) -> bool:
    missing_ = ("wanted", "overdue", "handed_in")
    left = [one.onboarding for one in world.all(Paper) if one.state in missing_]
    collecting = [one for one in world.all(Onboarding) if one.state == "collecting"]
    prepared = ("naming", "making", "preparing", "late", "ready", "started")
    return all(one.papers == left.count(one) for one in collecting) and all(
        one.papers == 0 for one in world.all(Onboarding) if one.state in prepared
    )


@always("It takes two people for somebody to be forgotten.")
def forgotten_by_two(world: World) -> bool:
    return not any(
        world.performers(one, Erasure.ask) & world.performers(one, Erasure.agree)
        for one in world.all(Erasure)
    )


app = system(
    "onboarding",
    Job,
    Onboarding,
    Paper,
    Erasure,
    promises=[all_is_there, in_their_time, nothing_is_left, papers_add_up, forgotten_by_two],
    operators=role("operator"),
)
