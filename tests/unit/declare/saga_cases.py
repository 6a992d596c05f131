"""What can be wrong with a saga, each on the line of the saga or of its step, marked with its code."""

from __future__ import annotations

from tests.unit.declare.declarations import course

_EFFECTS = "".join(
    f"""
@effect()
async def {name}(course: Course, call: Call) -> str: ...
"""
    for name in ("book", "unbook", "pay", "refund", "ship", "send", "why", "why_not")
)


def _saga(*steps: str, rest: str = "cancel=dean", mark: str = "", more: tuple[str, ...] = ()) -> str:
    """A sound entity with a saga of these steps."""
    lines = "\n".join(f"    {line}" for line in steps).splitlines()
    return _EFFECTS + course(
        "running, over, undone = State(), State(final=True), State(final=True)",
        "begin = transition(open, to=running, by=dean)",
        *more,
        f"fulfil = saga({mark}",
        *lines,
        f"    start=running, done=over, failed=undone, {rest}",
        ")",
    )


SAGAS: dict[str, str] = {
    "sound saga": _saga(
        "step(book, undo=unbook, when=None),",
        "parallel(step(pay, undo=refund, when=taken > 0), step(send, undo=nothing)),",
        "step(ship, retry=forever, pivot=True),",
    ),
    "saga without steps": _saga(mark="  # <- saga-step"),
    "what is no step": _saga("book,", mark="  # <- saga-step"),
    "steps that are no effects": _saga(
        "step(print, undo=unbook),  # <- effect-unknown",
        "step(pay, undo=7),  # <- effect-unknown",
        "step(ship),",
    ),
    "steps that can't be told apart": _saga(
        "step(book, undo=unbook),",
        "step(book, undo=refund),  # <- saga-step",
        "parallel(step(pay, undo=nothing)),  # <- saga-step",
    ),
    "an undo that is never called": _saga(
        "step(book, undo=unbook),",
        "step(pay, undo=refund),",
        "step(ship, pivot=True),",
        "step(send, undo=why, retry=forever),  # <- saga-undo",
    ),
    "what is wrong in a step, told once": _saga(
        "step(book, undo=unbook),",
        "step(pay, undo=refund, sets={taken: pay.result}),  # <- comparison-mixed",
        "step(send, undo=nothing, when=taken == owner),  # <- comparison-mixed",
        "step(why_not, pivot=True, when=given.nothing > 0),  # <- argument-unknown",
        "step(ship, retry=forever),",
    ),
    "what nobody undoes": _saga(
        "step(book),  # <- saga-undo",
        "step(pay, undo=refund),",
        "step(ship),",
    ),
    "after the pivot": _saga(
        "step(book, undo=unbook),",
        "step(pay, pivot=True),",
        "step(send),  # <- saga-pivot",
        "step(ship, pivot=True, retry=forever),  # <- saga-pivot",
    ),
    "start": _saga(
        "step(book, undo=unbook, when=taken > 0),  # <- saga-start",
        "step(pay, when=5),  # <- condition-unreadable",
    ),
    "start that is taken": _saga("step(book),", mark="  # <- saga-start").replace(
        "running, over, undone = State()", "running, over, undone = State(invoke=pay)"
    )
    + "\n    settled = transition(running, to=over, on=pay.done)"
    + "\n    unsettled = transition(running, to=undone, on=pay.failed)\n",
    "ends that are no states": _saga("step(book),", mark="  # <- state-undeclared").replace(
        "done=over", "done='over'"
    ),
    "names that are taken": _saga(
        "step(book, undo=unbook),",
        "step(pay, undo=refund),  # <- declared-twice",
        "step(why),  # <- name-reserved",
        more=("pay_key: int = field(default=1)",),
    ),
    "an effect in two ways": _saga(
        "step(pay, undo=refund),",
        "step(ship, pivot=True),",
        "step(send, retry=forever),",
        more=(
            "sending = State(invoke=send)",
            "resend = transition(open, to=sending, by=dean)",
            "resent = transition(sending, to=over, on=send.done)",
            "not_resent = transition(sending, to=undone, on=send.failed)",
        ),
    ).replace("@effect()\nasync def send", "@effect()  # <- declared-twice\nasync def send"),
    "owed and undone": _EFFECTS
    + course(
        "key: str = field(default='')",
        "odd = State(owed=True)  # <- withdraw-nothing",
        "paying = State(invoke=[pay, book], owed=True)  # <- outcome-missing",
        "undoing = State(invoke=refund, undoes=key)  # <- undoes-unreadable",
        "into = transition(open, to=odd, by=dean)",
        "pay_it = transition(odd, to=paying, by=dean)",
        "settled = transition(paying, to=closed, on=pay.done)  # <- effect-abandoned",
        "unsettled = transition(paying, to=paying, on=pay.failed)  # <- outcome-never",
        "undo = transition(odd, to=undoing, by=dean)",
        "undone = transition(undoing, to=closed, on=refund.done)",
        "kept = transition(undoing, to=closed, on=refund.failed)",
    ),
}
