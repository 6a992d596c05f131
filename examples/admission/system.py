"""The enrollment, grown: papers that a registrar checks, deadlines, and a waiting list for full courses."""

from collections import Counter
from datetime import datetime

from avow import Entity, State, Subject, World, actor, always, authenticated, create, days, field, given
from avow import in_state, internal, minutes, missing, not_, now, performed, private, publish, quota, read
from avow import ref, reveal, role, seconds, sometimes, system, task, transition, unique

registrar, dean, head, mailer = role("registrar"), role("dean"), role("head"), role("mailer")
privacy = role("privacy")

OFFER = days(7)
"""How long a place is kept for somebody who hasn't taken it."""


class Course(Entity):
    """A course with so many places. Who is approved too late for one waits in line.

    asked: how many have been approved so far; somebody's turn is what this was when they came.
    given_back: places of those who have left; with the others, up to where in the line there is a place.
    left: whose turn hadn't come when they left; they give back once it has.
    """

    title: str = field(max_length=200)
    seats: int = field(ge=1)
    asked: int = field(default=0, ge=0)
    given_back: int = field(default=0, ge=0)
    left: list[int] = field(default=(), max_items=1_000)
    begins: datetime = field()
    visible = read(by=authenticated)

    open, begun = State(initial=True), State(final=True)

    announce = create(open, by=registrar, sets=[title, seats, begins], when=given.begins > now)
    begin = transition(open, to=begun, at=begins)

    @transition(open, to=open, by=internal)
    def line_up(self) -> None:
        self.asked += 1

    @transition(open, to=open, by=internal)
    def give_back(self, turn: int) -> None:
        left = sorted([*self.left, turn])
        while left and left[0] <= self.seats + self.given_back:
            self.given_back += 1
            left.pop(0)
        self.left = left


class Enrollment(Entity):
    """An application: written, handed in with a transcript, verified, approved, in line, offered, taken."""

    applicant: Subject = field(default=actor)
    course: Course = ref()
    essay: str = field(default="", max_length=20_000, read=(actor == applicant) | registrar | dean)
    name: str | None = private(of=applicant, max_length=200)
    transcript: str | None = private(of=applicant, max_length=200, read=(actor == applicant) | registrar)
    remark: str | None = field(max_length=1_000)
    turn: int = field(default=0, ge=0)
    visible = read(by=(actor == applicant) | registrar | dean | head)

    draft, submitted, verified = State(initial=True), State(), State()
    waiting, offered, enrolled = State(), State(), State()
    rejected, withdrawn, lapsed = State(final=True), State(final=True), State(final=True)
    archived = State(final=True)
    one_each = unique(
        applicant, course, among=[draft, submitted, verified, waiting, offered, enrolled],
        message="There is an application to this course already.",
    )  # fmt: skip
    never_oversold = quota(
        course, among=[offered, enrolled, archived], limit=course.seats, message="The course is full."
    )

    can_enroll = sometimes(in_state(enrolled), "An applicant can take a place.")
    handed_in = always(
        not_(in_state(submitted, verified, waiting, offered, enrolled)) | ~missing(transcript),
        "Nothing is handed in without a transcript.",
    )  # fmt: skip
    in_turn = always(
        not_(in_state(offered, enrolled, archived)) | (turn <= course.seats + course.given_back),
        "Nobody is offered a place before those who were approved earlier.",
    )  # fmt: skip

    start = create(draft, by=authenticated, sets=[course, name])
    write = transition(draft, to=draft, by=actor == applicant, sets=[essay, transcript])
    submit = transition(draft, to=submitted, by=actor == applicant, when=not_(missing(transcript)))
    remind = transition(draft, to=draft, every=days(7))
    forget = transition(draft, to=lapsed, after=days(28))

    verify = transition(
        submitted, to=verified, by=registrar | head,
        task=task(registrar, due=days(5), remind=days(3), escalate=head, shows=[essay, transcript]),
    )  # fmt: skip
    send_back = transition(
        [submitted, verified], to=draft, by=registrar | dean | head, sets=[remark],
        when=not_(missing(given.remark)), voids=verify,
    )  # fmt: skip

    @transition(
        verified, to=waiting, by=(dean | head) & ~performed(verify), uses=course,
        task=task(dean, due=days(5), remind=days(3), escalate=head, shows=[essay]),
    )  # fmt: skip
    def approve(self) -> None:
        """Four eyes: not those of who has verified it. First approved, first served."""
        self.course.line_up()
        self.turn = self.course.asked

    reject = transition([submitted, verified], to=rejected, by=registrar | dean | head, sets=[remark])
    withdraw = transition([draft, submitted, verified], to=withdrawn, by=actor == applicant)

    see_papers = reveal(
        name, transcript, by=(actor == applicant) | registrar | head, among=[draft, submitted, verified],
    )  # fmt: skip
    still_open = in_state(Course.open, of=course)
    its_turn = still_open & (turn <= course.seats + course.given_back)
    step_up = transition(waiting, to=offered, after=seconds(0), when=its_turn, uses=course)
    move_up = transition(waiting, to=offered, every=minutes(1), when=its_turn, uses=course)
    accept = transition(offered, to=enrolled, by=actor == applicant)

    archive = transition(enrolled, to=archived, by=registrar, when=in_state(Course.begun, of=course))

    @transition(
        [waiting, offered, enrolled], to=withdrawn, by=actor == applicant, when=still_open, uses=course
    )
    def decline(self) -> None:
        """Who stands behind moves up."""
        self.course.give_back(self.turn)

    @transition(offered, to=lapsed, after=OFFER, when=still_open, uses=course)
    def lapse(self) -> None:
        self.course.give_back(self.turn)

    miss = transition([waiting, offered], to=lapsed, every=days(1), when=in_state(Course.begun, of=course))
    mails = publish(
        remind, send_back, reject, step_up, move_up, lapse, miss, data=[applicant, remark], by=mailer
    )


class Erasure(Entity):
    """That somebody is to be forgotten: asked for by one, agreed to by another."""

    person: Subject = field()
    grounds: str = field(max_length=500)
    visible = read(by=privacy)

    asked, erased = State(initial=True), State(final=True)

    ask = create(asked, by=privacy, sets=[person, grounds])
    agree = transition(asked, to=erased, by=privacy & ~performed(ask), erases=person)


@always("Who is in line or has a place was verified by somebody else than who approved it.")
def four_eyes(world: World) -> bool:
    def seen_by_two(one: Enrollment) -> bool:
        return bool(world.performers(one, Enrollment.verify) - world.performers(one, Enrollment.approve))

    in_line = ("waiting", "offered", "enrolled", "archived")
    return all(seen_by_two(one) for one in world.all(Enrollment) if one.state in in_line)


@always("No course has more people than seats.")
def courses_fit(world: World) -> bool:
    places = ("offered", "enrolled", "archived")
    people = Counter(one.course for one in world.all(Enrollment) if one.state in places)
    return all(people[course] <= course.seats for course in world.all(Course))


@always("Until a course begins, whoever was approved is in line, has a place, or has given it back.")
def lines_add_up(world: World) -> bool:
    in_line = ("waiting", "offered", "enrolled")
    people = Counter(one.course for one in world.all(Enrollment) if one.state in in_line)
    open_ = [course for course in world.all(Course) if course.state == "open"]
    return all(people[one] == one.asked - one.given_back - len(one.left) for one in open_)


@always("Whoever has left the line gives back once their turn has come.")
def line_moves(world: World) -> bool:
    open_ = [course for course in world.all(Course) if course.state == "open"]
    return all(turn > one.seats + one.given_back for one in open_ for turn in one.left)


@always("Nobody has two applications to one course under way.")
def one_at_a_time(world: World) -> bool:
    under_way = ("draft", "submitted", "verified", "waiting", "offered", "enrolled")
    live = [(one.applicant, one.course) for one in world.all(Enrollment) if one.state in under_way]
    return len(live) == len(set(live))


@always("Whoever has taken a place keeps it until they give it up.")
def taken_stays(world: World) -> bool:
    taken = [one for one in world.all(Enrollment) if world.performers(one, Enrollment.accept)]
    return all(
        one.state in ("enrolled", "archived") or world.performers(one, Enrollment.decline) for one in taken
    )


@always("Until a course begins, there is a place for everybody whose turn it is.")
def turns_have_places(world: World) -> bool:
    def has_turn(one: Enrollment) -> bool:
        due = one.state == "waiting" and one.turn <= one.course.seats + one.course.given_back
        return due or one.state in ("offered", "enrolled")

    people = Counter(one.course for one in world.all(Enrollment) if has_turn(one))
    return all(people[one] <= one.seats for one in world.all(Course) if one.state == "open")


@always("Nobody but the applicant writes, hands in, takes back, accepts or declines.")
def by_own_hand(world: World) -> bool:
    cls = Enrollment
    own = (cls.write, cls.submit, cls.withdraw, cls.accept, cls.decline)
    return all(world.performers(one, step) <= {one.applicant} for one in world.all(cls) for step in own)


@always("It takes two people for somebody to be forgotten.")
def forgotten_by_two(world: World) -> bool:
    return not any(
        world.performers(one, Erasure.ask) & world.performers(one, Erasure.agree)
        for one in world.all(Erasure)
    )


app = system(
    "admission", Course, Enrollment, Erasure,
    promises=[
        four_eyes, courses_fit, lines_add_up, line_moves, one_at_a_time, taken_stays, turns_have_places,
        by_own_hand, forgotten_by_two,
    ], operators=role("operator"),
)  # fmt: skip
