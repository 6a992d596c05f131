"""A verification backend: who somebody is, asked of two providers and, where these differ, of two people."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from typing import Any
from uuid import UUID

from avow import Call, Declined, Entity, NotDone, State, Subject, Unclear, World, actor, always
from avow import authenticated, create, days, effect, field, forever, given, in_state, internal, missing
from avow import not_, parallel, performed, private, publish, read, ref, refuse, reveal, role, saga, seconds
from avow import sender, sometimes, standard_webhooks, step, system, task, transition, unique

analyst, officer, mailer, privacy = role("analyst"), role("officer"), role("mailer"), role("privacy")
staff = analyst | officer

ANSWERED_WITHIN = days(2)
"""How long the providers have, together, before people go on without them."""
HANDED_IN_WITHIN = days(14)
"""How long somebody may take to hand in another document; what is heard meanwhile waits as long."""
VALID = days(365)
NOTICE = days(30)
HIGH = 70
"""From which risk on, of 100, people look at what both providers have passed."""


class Finding(Enum):
    """What a provider says of somebody."""

    PASSED = "passed"
    FAILED = "failed"
    REVIEW = "review"


class Verdict(Enum):
    """What a person says of somebody."""

    ACCEPT = "accept"
    REJECT = "reject"


@dataclass(frozen=True)
class Ordered:
    """What a provider answers: the id of the check that it has begun."""

    id: str


@dataclass(frozen=True)
class Report:
    """What a provider tells of a check. revision: from 1; a provider may take back what it has said."""

    id: str
    reference: UUID
    result: Finding
    risk: int
    revision: int


idscan = sender("idscan", signature=standard_webhooks())
bureau = sender("bureau", signature=standard_webhooks())
scanned = idscan.event("check.completed", Report, parked_for=HANDED_IN_WITHIN + days(1))
screened = bureau.event("check.completed", Report, parked_for=HANDED_IN_WITHIN + days(1))


def told(status: int, said: Any) -> Ordered:
    """The check that was begun. Raises Declined for a definite no, NotDone while a copy is still at work."""
    if status < 300:
        return Ordered(str(said["id"]))
    if said["code"] == "key_in_use":
        raise NotDone("a copy of this call is under way", retry_after_s=1)
    raise Declined(str(said.get("detail", "")), code=said["code"])


async def look_up(_: Any, call: Call) -> Ordered | None:
    """What became of an order, asked by its key; None where it never arrived."""
    answer = await call.http.get(f"/requests/{call.key}")
    known = answer.json()
    if answer.status == 404:
        return None
    if known["state"] != "answered":
        raise Unclear("it is still being worked on")
    return told(known["status"], known["answer"])


async def order(case: "Verification", call: Call, kind: str) -> Ordered:
    """Order a check of one kind; what comes of it is told by webhook."""
    wanted = {"subject": str(case.person), "document": call.private.passport, "kind": kind}
    answer = await call.http.post("/checks", json={**wanted, "reference": str(case.id)})
    return told(answer.status, answer.json())


async def recall(call: Call, check: str | None) -> None:
    """Cancel a check. One that is completed, or was never ordered, is over already."""
    if check is not None:
        answer = await call.http.post(f"/checks/{check}/cancel")
        if answer.status >= 300 and answer.json()["code"] != "wrong_status":
            told(answer.status, answer.json())


@effect(destination="idscan", lookup=look_up, retry=forever)
async def order_scan(case: "Verification", call: Call) -> Ordered:
    """Let the document be checked."""
    return await order(case, call, "document")


@effect(destination="bureau", lookup=look_up, retry=forever)
async def order_screening(case: "Verification", call: Call) -> Ordered:
    """Let registers and sanctions lists be searched."""
    return await order(case, call, "registers")


@effect(destination="idscan", retry=forever, task=task(officer))
async def recall_scan(case: "Verification", call: Call) -> None:
    """Nobody needs the document's check any more."""
    await recall(call, case.scan_id)


@effect(destination="bureau", retry=forever, task=task(officer))
async def recall_screening(case: "Verification", call: Call) -> None:
    """Nobody needs the search any more."""
    await recall(call, case.screening_id)


class Verification(Entity):
    """One time that somebody shows who they are. It is valid for a year; then another one renews it.

    answer_by: when people go on without the providers. until: to when it is valid, once it is;
    notice_at: when that is said for the first time.
    """

    person: Subject = field(default=actor)
    privy = (actor == person) | staff
    passport: str = private(of=person, max_length=20, read=privy)
    born: date | None = private(of=person, read=privy)
    selfie: str | None = private(of=person, max_length=200, read=privy)
    proof: str | None = private(of=person, max_length=200, read=privy)
    wanted: str | None = field(max_length=200, read=privy)
    renews: "Verification | None" = ref()
    answer_by: datetime | None = field()
    scan_id: str | None = field(max_length=64)
    scan: Finding | None = field(read=staff)
    scan_risk: int = field(default=0, ge=0, le=100, read=staff)
    scan_revision: int = field(default=0, ge=0)
    screening_id: str | None = field(max_length=64)
    screening: Finding | None = field(read=staff)
    screening_risk: int = field(default=0, ge=0, le=100, read=staff)
    screening_revision: int = field(default=0, ge=0)
    verdict: Verdict | None = field(read=staff)
    grounds: str | None = field(max_length=2_000, read=staff)
    notice_at: datetime | None = field()
    until: datetime | None = field()
    problem: str | None = field(max_length=100)
    visible = read(by=privy)

    submitted, unasked = State(initial=True), State()
    awaiting, weighing, review, wanting, assessed = State(), State(), State(), State(), State()
    verified, expiring, rejected = State(), State(), State()
    recalling_scan = State(invoke=recall_scan, owed=True)
    recalling_screening = State(invoke=recall_screening, owed=True)
    withdrawn, renewed = State(final=True), State(final=True)
    expired, closed = State(final=True), State(final=True)

    can_be_verified = sometimes(in_state(verified), "Somebody can show who they are.")
    grounded = always(
        not_(in_state(assessed)) | (not_(missing(verdict)) & not_(missing(grounds))),
        "What is assessed has a verdict, and grounds for it.",
    )  # fmt: skip
    about_this = always(
        (missing(scan) | not_(missing(scan_id))) & (missing(screening) | not_(missing(screening_id))),
        "What a provider says counts where it was asked.",
    )  # fmt: skip

    @create(submitted, by=authenticated, sets=[passport, born, selfie])
    def apply(self) -> None:
        """Show who you are."""
        self.answer_by = self.now + ANSWERED_WITHIN

    @create(
        submitted, by=authenticated, sets=[renews, passport, born, selfie],
        when=in_state(expiring, of=renews), uses=renews,
    )  # fmt: skip
    def renew(self) -> None:
        """Show it again, before the last time is too long ago."""
        if self.renews is None or self.renews.person != self.person:
            raise refuse("That is somebody else's.")
        self.answer_by = self.now + ANSWERED_WITHIN

    asking = saga(
        parallel(
            step(order_scan, undo=recall_scan, sets={scan_id: order_scan.result.id}, reveals=passport),
            step(
                order_screening, undo=recall_screening, sets={screening_id: order_screening.result.id},
                reveals=passport,
            ),
        ),
        start=submitted, done=awaiting, failed=unasked, cancel=actor == person, until=answer_by,
        reason=problem,
    )  # fmt: skip
    drop = transition(unasked, to=withdrawn, after=seconds(0), when=problem == "cancelled")
    do_without = transition(unasked, to=review, after=seconds(0), when=problem != "cancelled")
    asked_once = unique(person, among=[*asking.states, awaiting], message="The providers are asked already.")

    assess = transition(
        review, to=assessed, by=staff & (actor != person), sets=[verdict, grounds],
        when=not_(missing(given.verdict)) & not_(missing(given.grounds)),
        task=task(
            analyst, due=days(2), remind=days(1), escalate=officer, shows=[scan, screening, proof, problem]
        ),
    )  # fmt: skip

    # What a provider says is weighed whenever it comes, also what corrects an earlier word of it.
    heard = (awaiting, review, assessed, verified, expiring, rejected)
    hear_scan = transition(
        heard, to=weighing, on=scanned, match=scanned.data.reference,
        when=(scanned.data.id == scan_id) & (scanned.data.revision > scan_revision),
        sets={scan: scanned.data.result, scan_risk: scanned.data.risk, scan_revision: scanned.data.revision},
        voids=assess,
    )  # fmt: skip
    hear_screening = transition(
        heard, to=weighing, on=screened, match=screened.data.reference,
        when=(screened.data.id == screening_id) & (screened.data.revision > screening_revision),
        sets={
            screening: screened.data.result, screening_risk: screened.data.risk,
            screening_revision: screened.data.revision,
        },
        voids=assess,
    )  # fmt: skip
    go_on = transition(awaiting, to=review, at=answer_by)

    both = not_(missing(scan)) & not_(missing(screening))
    good = (
        (scan == Finding.PASSED) & (screening == Finding.PASSED)
        & (scan_risk < HIGH) & (screening_risk < HIGH)
    )  # fmt: skip
    bad = (scan == Finding.FAILED) & (screening == Finding.FAILED)
    wait = transition(weighing, to=awaiting, after=seconds(0), when=not_(both))
    fail = transition(weighing, to=rejected, after=seconds(0), when=both & bad)
    doubt = transition(weighing, to=review, after=seconds(0), when=both & not_(good) & not_(bad))

    @transition(weighing, to=verified, after=seconds(0), when=both & good, uses=renews)
    def clear(self) -> None:
        """Both have passed it, and neither sees a risk."""
        accept(self)

    other = staff & (actor != person) & ~performed(assess)
    second = task(analyst, due=days(1), escalate=officer, shows=[verdict, grounds])

    @transition(
        assessed, to=verified, by=other, command="confirm", when=verdict == Verdict.ACCEPT,
        task=second, uses=renews,
    )  # fmt: skip
    def confirm_accept(self) -> None:
        """Four eyes: not those that have assessed it."""
        accept(self)

    confirm_reject = transition(
        assessed, to=rejected, by=other, command="confirm", when=verdict == Verdict.REJECT, task=second
    )
    dispute = transition(assessed, to=review, by=other, sets=[grounds], voids=assess)

    see_papers = reveal(passport, born, selfie, proof, by=privy, among=[review, assessed])
    ask_for = transition(review, to=wanting, by=staff, sets=[wanted])
    hand_in = transition(
        wanting, to=review, by=actor == person, sets=[proof], when=not_(missing(given.proof))
    )
    remind = transition(wanting, to=wanting, every=days(3))
    give_up = transition(wanting, to=review, after=HANDED_IN_WITHIN)

    notice = transition(verified, to=expiring, at=notice_at)
    repeat = transition(expiring, to=expiring, every=days(7))
    expire = transition(expiring, to=expired, at=until)
    replace = transition(expiring, to=renewed, by=internal)
    close = transition(rejected, to=closed, after=VALID)

    withdraw = transition([awaiting, review, wanting, assessed], to=recalling_scan, by=actor == person)
    scan_recalled = transition(recalling_scan, to=recalling_screening, on=recall_scan.done)
    screening_recalled = transition(recalling_screening, to=withdrawn, on=recall_screening.done)

    mails = publish(ask_for, remind, notice, repeat, expire, data=[person, wanted, until], by=mailer)


def accept(case: Any) -> None:
    """Valid from now on, unless it was before; what it renews is over."""
    if case.until is None:
        case.until, case.notice_at = case.now + VALID, case.now + VALID - NOTICE
    if case.renews is not None and case.renews.state == "expiring":
        case.renews.replace()


class Erasure(Entity):
    """That somebody is to be forgotten: asked for by one, agreed to by another."""

    person: Subject = field()
    grounds: str = field(max_length=500)
    visible = read(by=privacy)

    asked, erased = State(initial=True), State(final=True)

    ask = create(asked, by=privacy, sets=[person, grounds])
    agree = transition(asked, to=erased, by=privacy & ~performed(ask), erases=person)


IN_FORCE = ("verified", "expiring")


@always("Who is verified was passed by both providers without a risk, or by two of us.")
def by_two(world: World) -> bool:
    def passed(one: Verification) -> bool:
        both = one.scan == one.screening == Finding.PASSED and max(one.scan_risk, one.screening_risk) < HIGH
        confirmed = world.performers(one, Verification.confirm_accept)
        two = bool(confirmed) and len(confirmed | world.performers(one, Verification.assess)) > 1
        return both or (two and one.verdict == Verdict.ACCEPT)

    return all(passed(one) for one in world.all(Verification) if one.state in IN_FORCE)


@always("Who is rejected was failed by both providers, or by two of us.")
def rejected_by_two(world: World) -> bool:
    def failed(one: Verification) -> bool:
        confirmed = world.performers(one, Verification.confirm_reject)
        both = one.scan == one.screening == Finding.FAILED
        two = bool(confirmed) and len(confirmed | world.performers(one, Verification.assess)) > 1
        return both or (two and one.verdict == Verdict.REJECT)

    return all(failed(one) for one in world.all(Verification) if one.state in ("rejected", "closed"))


@always("Nobody renews, withdraws or completes what is another's.")
def own_renewals(world: World) -> bool:
    own = (Verification.withdraw, Verification.hand_in)
    return all(
        (one.renews is None or one.renews.person == one.person)
        and all(world.performers(one, step) <= {one.person} for step in own)
        for one in world.all(Verification)
    )


@always("Nobody judges who they are themselves.")
def not_oneself(world: World) -> bool:
    cls = Verification
    steps = (cls.assess, cls.confirm_accept, cls.confirm_reject, cls.dispute)
    return not any(one.person in world.performers(one, step) for one in world.all(cls) for step in steps)


@always("What is valid says until when, and that is told before; it never ends early.")
def ends_in_time(world: World) -> bool:
    def known(one: Verification) -> bool:
        return one.until is not None and one.notice_at is not None and one.notice_at < one.until

    expired = [one for one in world.all(Verification) if one.state == "expired"]
    return all(known(one) for one in world.all(Verification) if one.state in IN_FORCE) and all(
        one.until is not None and one.until <= world.now for one in expired
    )


@always("It takes two people for somebody to be forgotten.")
def forgotten_by_two(world: World) -> bool:
    return not any(
        world.performers(one, Erasure.ask) & world.performers(one, Erasure.agree)
        for one in world.all(Erasure)
    )


app = system(
    "verification",
    Verification,
    Erasure,
    promises=[by_two, rejected_by_two, own_renewals, not_oneself, ends_in_time, forgotten_by_two],
    operators=role("operator"),
)
