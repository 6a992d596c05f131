"""A payment that is captured by a call to the outside, and lapses where nobody captures it in time."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from inspect import isawaitable
from typing import Any

from avow import Call, Entity, State, backoff, create, effect, everybody, field, read, system, transition
from avow.declare.effect import EffectWord
from avow.model.system import System


@dataclass(frozen=True)
class Receipt:
    """What the provider answers."""

    id: str
    amount: int


class Outside:
    """What stands in for the provider: what it is asked, and what it answers, in order."""

    def __init__(self) -> None:
        self.asked = list[str]()
        self.looked_up = list[str]()
        self.clients = list[Any]()
        self.answers = list[Any]()
        self.lookups = list[Any]()

    def answer(self, call: Call) -> Any:
        self.asked.append(call.key)
        self.clients.append(call.http)
        answer = _given(self.answers)
        return answer(call) if callable(answer) else answer

    def look_up(self, call: Call) -> Any:
        self.looked_up.append(call.key)
        self.clients.append(call.http)
        return _given(self.lookups)


def _given(answers: list[Any]) -> Any:
    answer = answers.pop(0)
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _capturing(outside: Outside, options: dict[str, Any]) -> EffectWord:
    """The effect, with its options; plain: as a plain function."""
    plain = options.pop("plain", False)
    declared = effect(**{"retry": backoff(3, first_s=0.001, most_s=0.001), **options})

    async def awaited(payment: Any, call: Call) -> Receipt:
        answer = outside.answer(call)
        return await answer if isawaitable(answer) else answer

    def waited(payment: Any, call: Call) -> Receipt:
        return outside.answer(call)

    function: Any = waited if plain else awaited
    function.__name__ = "capture"
    return declared(function)


def payments(outside: Outside, **options: Any) -> System:
    """The declaration, with the options of its effect."""
    if options.pop("lookup", False):
        options["lookup"] = lambda payment, call: outside.look_up(call)  # type: ignore[reportUnknownLambdaType]
    unknown = options.pop("unknown", False)

    capture = _capturing(outside, options)

    class Payment(Entity):
        """A payment."""

        amount: int = field(ge=1)
        receipt: str = field(default="")
        reason_code: str = field(default="")
        expires: datetime | None = field()
        reminded: int = field(default=0)
        visible = read(by=everybody)

        authorized = State(initial=True)
        capturing = State(invoke=capture)
        cancelling = State(invoke=capture, withdraw=True)
        captured, failed, lapsed, to_refund = (
            State(final=True),
            State(final=True),
            State(final=True),
            State(final=True),
        )
        doubtful = State(final=True) if unknown else None

        authorize = create(authorized, by=everybody, sets=[amount, expires])
        start = transition(authorized, to=capturing, by=everybody)
        cancel = transition(capturing, to=cancelling, by=everybody)
        extend = transition(authorized, to=authorized, by=everybody, sets=[expires])

        captured_ok = transition(capturing, to=captured, on=capture.done, sets={receipt: capture.result.id})
        captured_late = transition(cancelling, to=to_refund, on=capture.done)
        not_captured = transition(cancelling, to=failed, on=capture.failed)
        if unknown:
            lost = transition(capturing, to=doubtful, on=capture.unknown)

        @transition(capturing, to=failed, on=capture.failed)
        def declined(self, code: str, reason: str) -> None:
            self.reason_code = code

        lapse = transition(authorized, to=lapsed, after=timedelta(days=7))
        expire = transition(authorized, to=lapsed, at=expires)

        @transition(authorized, to=authorized, every=timedelta(days=2))
        def remind(self) -> None:
            self.reminded += 1

    return system("payments", Payment)
