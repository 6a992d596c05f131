"""An enrollment backend: places in courses, applications from draft to archive."""

from avow import Entity, State, Subject, actor, authenticated, create, field, internal, invariant
from avow import performed, read, ref, role, system, transition, unique

registrar, dean = role("registrar"), role("dean")


class Course(Entity):
    """A course with a fixed number of places."""

    title: str = field(max_length=200)
    seats: int = field(ge=1)
    taken: int = field(default=0, ge=0)
    never_oversold = invariant(taken <= seats, "A course never has more places taken than seats.")
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


app = system("enrollment", Course, Enrollment)
