"""How the outside misbehaves: by an exact script, or by chance that is the same for the same seed.

This module only chooses. What a fault of a request does stands in `outside`, of a webhook in `webhooks`.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from typing import Any, Final, TypeAlias, cast

WEBHOOKS: Final = "webhooks"
"""The service under whose name the webhooks' own faults are set; its operations are the events' types."""
ANY: Final = "*"
FINE: Final = "fine"

ARRIVAL, WORK, REPLY = "arrival", "work", "reply"
POINTS: Final = (ARRIVAL, WORK, REPLY)
"""Before the key is seen; when it is taken, but nothing is done; when all is done, but nothing is said."""

FAILURES: Final = frozenset(status.value for status in HTTPStatus if status.value >= 400)

Options: TypeAlias = Mapping[str, Any]

REQUEST_FAULTS: Final[Mapping[str, Options]] = {
    "delay": {"at": ARRIVAL, "seconds": 0.1},
    "hold": {"at": ARRIVAL, "name": "gate"},
    "cut_before": {},
    "busy": {"status": 503, "seconds": 1},
    "duplicate": {},
    "fail_before": {"status": 500},
    "fail_after": {"status": 500},
    "lose_reply": {},
    "silent": {},
    "cut_within": {},
    "wrong_amount": {"by": 1},
    "garbage": {},
}
WEBHOOK_FAULTS: Final[Mapping[str, Options]] = {
    "early": {},
    "late": {"seconds": 0.5},
    "hold": {"name": "gate"},
    "behind": {"seconds": 5.0},
    "repeat": {"times": 3},
    "wrong_signature": {},
    "lost": {},
}


class BehaviourError(ValueError):
    """A behaviour that nobody can follow; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to misbehave. What is None takes the kind's own default.

    at:      where in a request's life: `arrival`, `work` or `reply`.
    seconds: how long; for `busy` what Retry-After says.
    name:    of the gate at which it is held.
    by:      how many minor units the answer's amount is wrong by.
    times:   how many copies of a webhook are sent.
    """

    kind: str
    at: str | None = None
    seconds: float | None = None
    name: str | None = None
    status: int | None = None
    by: int | None = None
    times: int | None = None

    def document(self) -> dict[str, Any]:
        """The fault as JSON: its kind, and the options that were given."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong with one request or one webhook."""

    of: tuple[Fault, ...] = ()

    def __iter__(self) -> Iterator[Fault]:
        return iter(self.of)

    def get(self, kind: str) -> Fault | None:
        """The fault of this kind, if it is among them."""
        return next((fault for fault in self.of if fault.kind == kind), None)

    def __contains__(self, kind: str) -> bool:
        return self.get(kind) is not None


@dataclass
class Rule:
    """What is to go wrong with one operation: first the script, then chance."""

    script: deque[Faults] = field(default_factory=deque[Faults])
    chances: tuple[tuple[Fault, float], ...] = ()

    def draw(self, ticket: float) -> Faults:
        """The fault that the ticket, from 0 up to 1, falls on; none behind the last one."""
        for fault, chance in self.chances:
            ticket -= chance
            if ticket < 0:
                return Faults((fault,))
        return Faults()


class Behaviours:
    """The rules of all operations. The most exact rule with something to say decides."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._rules: dict[tuple[str, str], Rule] = {}
        self._seen: Counter[tuple[str, str]] = Counter()

    def put(self, document: Mapping[str, Any]) -> None:
        """Replace the rule of one service and operation. Raises BehaviourError, and then changes nothing."""
        service, operation = document.get("service", ANY), document.get("operation", ANY)
        known = WEBHOOK_FAULTS if service == WEBHOOKS else REQUEST_FAULTS
        script = deque(_step(step, known) for step in document.get("script", ()))
        chances = tuple(_chance(one, known) for one in document.get("chance", ()))
        if sum(chance for _, chance in chances) > 1:
            raise BehaviourError("the chances of one operation are more than 1 together")
        self._rules[service, operation] = Rule(script, chances)

    def clear(self) -> None:
        """Behave from now on. The count of requests goes on."""
        self._rules.clear()

    def take(self, service: str, operation: str) -> Faults:
        """What is to go wrong with the next one. The n-th of an operation draws the same under one seed."""
        self._seen[service, operation] += 1
        rules = [*self._matching(service, operation)]
        for rule in rules:
            if rule.script:
                return rule.script.popleft()
        ticket = self._ticket(service, operation, self._seen[service, operation])
        return next((rule.draw(ticket) for rule in rules if rule.chances), Faults())

    def _matching(self, service: str, operation: str) -> Iterator[Rule]:
        everybody = [] if service == WEBHOOKS else [(ANY, operation), (ANY, ANY)]
        for place in [(service, operation), (service, ANY), *everybody]:
            if place in self._rules:
                yield self._rules[place]

    def _ticket(self, service: str, operation: str, number: int) -> float:
        text = f"{self._seed}/{service}/{operation}/{number}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6]) / 2**48


def _step(step: Any, known: Mapping[str, Options]) -> Faults:
    several = cast("list[Any]", step) if isinstance(step, list) else [step]
    return Faults(tuple(_fault(one, known) for one in several if one not in (FINE, {"kind": FINE})))


def _chance(document: Any, known: Mapping[str, Options]) -> tuple[Fault, float]:
    options = dict[str, Any](document)
    chance = float(options.pop("chance"))
    if not 0 <= chance <= 1:
        raise BehaviourError(f"{chance} is not a chance: it must be from 0 to 1")
    return _fault(options, known), chance


def _fault(document: Any, known: Mapping[str, Options]) -> Fault:
    """The fault with every option filled in."""
    given: dict[str, Any] = {"kind": document} if isinstance(document, str) else dict(document)
    kind = given.pop("kind", None)
    if kind not in known:
        raise BehaviourError(f"{kind!r} is none of {', '.join([FINE, *known])}")
    if unknown := given.keys() - known[kind].keys():
        raise BehaviourError(f"{kind} has no option {', '.join(sorted(unknown))}")
    for name, value in given.items():
        _check(name, value, known[kind][name])
    return Fault(kind, **{**known[kind], **given})


def _check(name: str, value: Any, default: Any) -> None:
    """Raises BehaviourError for an option that can't be followed."""
    allowed = (int, float) if isinstance(default, int | float) else str
    if not isinstance(value, allowed) or isinstance(value, bool):
        raise BehaviourError(f"{name} can't be {value!r}")
    if name == "at" and value not in POINTS:
        raise BehaviourError(f"{value!r} is none of {', '.join(POINTS)}")
    if name == "status" and value not in FAILURES:
        raise BehaviourError(f"{value!r} is no status of a failure")
