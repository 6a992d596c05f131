"""What can be wrong with tasks and approvals, each on the line that is marked with its code."""

from __future__ import annotations

from tests.unit.declare.declarations import course

PEOPLE: dict[str, str] = {
    "tasks": course(
        "ends: datetime | None = field()",
        "check = transition(open, to=closed, by=dean, task=task(dean, due=ends, shows=[seats]))",
        "ask = transition(open, to=open, by=dean, task=task(authenticated))  # <- task-role",
        "other = transition(open, to=open, by=dean, task=task(clerk))  # <- task-role-unable",
        "on = transition(open, to=open, by=dean, task=task(dean, escalate=dean))  # <- task-never-due",
        "long = transition(open, to=open, by=dean, task=task(dean, claim=timedelta(99)))  # <- task-claim",
        "later = transition(open, to=closed, after=timedelta(1), task=task(dean))  # <- task-without-command",
        "odd = transition(open, to=open, by=dean, task=task(dean, due=3))  # <- delay-unreadable",
        "odder = transition(open, to=open, by=dean, task=task(dean, due=paid))  # <- time-unreadable",
    ),
    "tasks of what is stuck": """
@effect(task=task(clerk, due=timedelta(1), escalate=dean, shows=["seats"]))
async def sell(course: Course, call: Call) -> str: ...
@effect(task=task(clerk, shows=["nothing"]))  # <- field-unknown
async def lend(course: Course, call: Call) -> str: ...
@effect(task=task(clerk, escalate=dean))  # <- task-never-due
async def give(course: Course, call: Call) -> str: ...
@effect(task=task(authenticated))  # <- task-role
async def keep(course: Course, call: Call) -> str: ...
@effect(task=clerk)  # <- task-role
async def take(course: Course, call: Call) -> str: ...
@effect(task=task(clerk, claim=timedelta(99)))  # <- task-claim
async def hold(course: Course, call: Call) -> str: ...
"""
    + course(
        *(
            line
            for name in ("sell", "lend", "give", "keep", "take", "hold")
            for line in (
                f"{name}ing = State(invoke={name})",
                f"to_{name} = transition(open, to={name}ing, by=dean)",
                f"after_{name} = transition({name}ing, to=closed, on={name}.done)",
                f"without_{name} = transition({name}ing, to=closed, on={name}.failed)",
            )
        ),
    ),
    "a task of what is stuck that is due by a field": course(
        "begins: datetime | None = field()",
        "@effect(task=task(dean, due=begins))  # <- task-due-instant",
        "async def sell(course: 'Course', call: Call) -> str: ...",
        "going = State(invoke=sell)",
        "go = transition(open, to=going, by=dean)",
        "sold = transition(going, to=closed, on=sell.done)",
        "unsold = transition(going, to=closed, on=sell.failed)",
    ),
    "what is stuck and asks nobody, told once": "operators = None\n"
    + course(
        "late = transition(open, to=closed, after=timedelta(1))  # <- stuck-unasked",
        "later = transition(open, to=closed, after=timedelta(2))",
    ),
    "a task that is due by another record": course("begins: datetime | None = field()")
    + """
class Seat(Entity):
    course: Course = ref()
    visible = read(by=dean)
    taken = State(initial=True)
    free = State(final=True)
    take = create(taken, by=dean, sets=[course])
    leave = transition(taken, to=free, by=dean, task=task(dean, due=course.begins))  # <- time-remote
""",
    "approvals": course(
        "agree = transition(open, to=closed, by=dean, approvals=2)",
        "none = transition(open, to=closed, by=dean, approvals=0)  # <- approvals-number",
        "tiers = transition(open, to=closed, by=dean, approvals=[(seats < 5, 1)])  # <- approvals-number",
        "stay = transition(open, to=open, by=dean, approvals=2)  # <- approvals-state",
        "mixed = transition(open, to=closed, by=dean, approvals=owner)  # <- comparison-mixed",
    ),
    "approvals that outlive what was approved": course(
        "agree = transition(open, to=closed, by=dean, approvals=2)",
        "edit = transition(open, to=open, by=dean, sets=seats)  # <- approval-survives",
        "mend = transition(open, to=open, by=dean, sets=taken, voids=agree)",
    ),
    "an edit behind a way back": course(
        "half = State()",
        "agree = transition(open, to=closed, by=dean, approvals=seats)",
        "back = transition(open, to=half, by=dean)",
        "edit = transition(half, to=half, by=dean, sets=taken)  # <- approval-survives",
        "again = transition(half, to=open, by=dean)",
    ),
    "an edit behind a way back that voids": course(
        "half = State()",
        "agree = transition(open, to=closed, by=dean, approvals=seats)",
        "back = transition(open, to=half, by=dean, voids=agree)",
        "edit = transition(half, to=half, by=dean, sets=taken)",
        "again = transition(half, to=open, by=dean)",
    ),
    "an edit before a way that voids": course(
        "half = State()",
        "agree = transition(open, to=closed, by=dean, approvals=seats)",
        "back = transition(open, to=half, by=dean)",
        "edit = transition(half, to=half, by=dean, sets=taken)",
        "again = transition(half, to=open, by=dean, voids=agree)",
    ),
    "an entity that is called like the inbox": course().replace(
        "class Course(Entity):", 'class Course(Entity, plural="tasks"):  # <- name-reserved'
    ),
    "voids": course(
        "touch = transition(open, to=open, by=dean)",
        "edit = transition(open, to=open, by=dean, sets=seats, voids=touch)  # <- voids-nothing",
    ),
    "what is voided once it is counted": course(
        "touch = transition(open, to=open, by=dean)",
        "edit = transition(open, to=open, by=dean, sets=seats, voids=touch)",
        "count = transition(open, to=closed, by=dean, when=votes(touch) >= 2)",
        "other = transition(open, to=closed, by=dean, when=votes(close_it) >= owner)  # <- comparison-mixed",
    ),
}
