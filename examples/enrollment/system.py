"""An enrollment backend: places in courses, applications from draft to archive."""

from collections import Counter

from avow import Entity, State, Subject, World, actor, always, authenticated, create, field, in_state
from avow import internal, invariant, performed, read, ref, role, sometimes, system, transition, unique

registrar, dean = role("registrar"), role("dean")


class Course(Entity):
    """A course with a fixed number of places."""

    title: str = field(max_length=200)
    seats: int = field(ge=1)
    taken: int = field(default=0, ge=0)
    never_oversold = invariant(taken <= seats, "A course never has more places taken than seats.")
    can_fill_up = sometimes(taken == seats, "A course can be full.")
    visible = read(by=authenticated)

    open = State(initial=True)
    closed = State(final=True)

    announce = create(open, by=registrar, sets=[title, seats])
    close = transition(open, to=closed, by=registrar)

    @transition(open, to=open, by=internal)
    def take_seat(self) -> None:
        self.taken += 1

    @transition(open, to=open, by=internal)
    def give_back_seat(self) -> None:
        self.taken -= 1


class Enrollment(Entity):
    """An application to a course, from draft to archive."""

    applicant: Subject = field(default=actor)
    course: Course = ref()
    essay: str = field(default="", max_length=20_000, read=(actor == applicant) | registrar | dean)
    visible = read(by=(actor == applicant) | registrar | dean)

    draft, submitted, verified, approved = State(initial=True), State(), State(), State()
    rejected, withdrawn, left = State(), State(), State()
    archived = State(final=True)
    one_each = unique(applicant, course, among=[draft, submitted, verified, approved])

    can_be_approved = sometimes(in_state(approved), "An application can be approved.")

    start = create(draft, by=authenticated, sets=[course])

    @transition(draft, to=submitted, by=actor == applicant)
    def submit(self, essay: str) -> None:
        """Hand the application in. It can't be edited afterwards."""
        self.essay = essay

    verify = transition(submitted, to=verified, by=registrar)

    @transition(verified, to=approved, by=dean & ~performed(verify), uses=course)
    def approve(self) -> None:
        """Four eyes: the dean who approves is not the one who verified."""
        self.course.take_seat()  # same transaction, own audit entry, caused by this one

    reject = transition([submitted, verified], to=rejected, by=registrar | dean)
    withdraw = transition([draft, submitted, verified], to=withdrawn, by=actor == applicant)

    @transition(approved, to=left, by=actor == applicant, uses=course)
    def leave(self) -> None:
        self.course.give_back_seat()

    archive = transition([approved, rejected, withdrawn, left], to=archived, by=registrar)


@always("Who was approved and is still coming has a place, and a course has no other place taken.")
def places_add_up(world: World) -> bool:
    def has_place(one: Enrollment) -> bool:
        gone = any(
            world.performers(one, step) for step in (Enrollment.leave, Enrollment.withdraw, Enrollment.reject)
        )
        return bool(world.performers(one, Enrollment.approve)) and not gone

    places = Counter(one.course for one in world.all(Enrollment) if has_place(one))
    return all(course.taken == places[course] <= course.seats for course in world.all(Course))


@always("Nobody has two applications to one course under way.")
def one_at_a_time(world: World) -> bool:
    under_way = ("draft", "submitted", "verified", "approved")
    live = [(one.applicant, one.course) for one in world.all(Enrollment) if one.state in under_way]
    return len(live) == len(set(live))


@always("Who is approved was verified before, by somebody else.")
def four_eyes(world: World) -> bool:
    def seen_by_two(one: Enrollment) -> bool:
        verified = world.performers(one, Enrollment.verify)
        return bool(verified) and not verified & world.performers(one, Enrollment.approve)

    return all(seen_by_two(one) for one in world.all(Enrollment) if one.state == "approved")


@always("Nobody but the applicant hands an application in, takes it back or gives up the place.")
def by_own_hand(world: World) -> bool:
    own = (Enrollment.submit, Enrollment.withdraw, Enrollment.leave)
    return all(
        world.performers(one, step) <= {one.applicant} for one in world.all(Enrollment) for step in own
    )


app = system(
    "enrollment", Course, Enrollment, promises=[places_add_up, one_at_a_time, four_eyes, by_own_hand]
)
