"""The outside of executions, in this process: it does what it is told, and keeps account of what it did.

In place of an owner's function for a call stands one that asks here. One request is carried out for one key,
however often it arrives, as providers do that keep keys. What goes wrong with which attempt is told before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID

from avow.engine.workers.calls import Call
from avow.model.effect import DONE, FAILED, Effect
from avow.model.outcome import Declined, NotDone, Unclear
from avow.model.system import System
from avow.model.types import Value
from avow.prove.private import in_clear

CallFault: TypeAlias = Literal[
    "reply-lost", "long-silence", "cut-before-work", "done-late", "declined", "not-reached"
]
"""What goes wrong with an attempt: the other side isn't reached, and that is certain; the connection is cut
and nothing was done; it was done, and the reply is lost, or every reply until much has been tried; it is
done only after a lookup has found nothing; the other side definitely won't."""
CALL_FAULTS: Final[tuple[CallFault, ...]] = (
    "reply-lost", "long-silence", "cut-before-work", "done-late", "declined", "not-reached",
)  # fmt: skip
Moment: TypeAlias = Literal["arrival", "reply"]
"""When a request has arrived and nothing is done yet; when all is done and the reply is on its way."""
Attempt: TypeAlias = tuple[str, int]
"""An effect, and which of its attempts in this execution, from 0."""


@dataclass(frozen=True, slots=True)
class Carried:
    """One request that was carried out. state: its record's. undoes: the key of what it undid."""

    key: str
    effect: str
    record: UUID
    state: str
    undoes: str | None
    answer: Value


@dataclass(slots=True)
class Outside:
    """What the calls of one execution meet.

    told: how the calls of a record's effect end: the outcome, and what comes with it.
    usual: what an effect answers that was told nothing; an effect without is not done then.
    lost: of these calls the answer never arrives, though they were carried out; each once.
    faults: what goes wrong with an attempt. meanwhile: what happens while one is under way, each once.
    """

    usual: Mapping[str, Value] = field(default_factory=dict[str, Value])
    told: dict[tuple[UUID, str], tuple[str, Mapping[str, Value]]] = field(
        default_factory=dict[tuple[UUID, str], tuple[str, Mapping[str, Value]]]
    )
    carried: dict[str, Carried] = field(default_factory=dict[str, Carried])
    asked: list[tuple[str, str, UUID]] = field(default_factory=list[tuple[str, str, UUID]])
    lost: set[tuple[UUID, str]] = field(default_factory=set[tuple[UUID, str]])
    faults: dict[Attempt, CallFault] = field(default_factory=dict[Attempt, CallFault])
    meanwhile: dict[tuple[Attempt, Moment], Callable[[], Awaitable[None]]] = field(
        default_factory=dict[tuple[Attempt, Moment], Callable[[], Awaitable[None]]]
    )
    attempts: Counter[str] = field(default_factory=Counter[str])
    _late: list[Carried] = field(default_factory=list[Carried])
    _silent: set[str] = field(default_factory=set[str])

    async def happen(self, attempt: Attempt, moment: Moment) -> None:
        """Let happen what is to happen at this moment."""
        happening = self.meanwhile.pop((attempt, moment), None)
        if happening is not None:
            await happening()

    def tell(self, record: UUID, effect: str, outcome: str, given: Mapping[str, Value]) -> None:
        """Say how the calls of a record's effect end from now on."""
        self.told[record, effect] = outcome, given

    def answer(self, effect: Effect, record: UUID, state: str, call: Call) -> Value:
        """What a call is answered."""
        attempt = effect.name, self.attempts[effect.name]
        self.attempts[effect.name] += 1
        self.asked.append((call.key, effect.name, record))
        fault = self.faults.get(attempt)
        if fault == "not-reached":
            raise NotDone("the other side wasn't reached")
        if fault == "cut-before-work":
            raise Unclear("the connection was cut")
        self.do_late()
        known = self.carried.get(call.key)
        if known is None:
            known = self._work(effect, record, state, call, fault)
        if fault == "long-silence":
            self._silent.add(call.key)
        if fault == "reply-lost" or call.key in self._silent or (record, effect.name) in self.lost:
            self.lost.discard((record, effect.name))
            raise Unclear("the answer was lost")
        return known.answer

    def _work(self, effect: Effect, record: UUID, state: str, call: Call, fault: CallFault | None) -> Carried:
        """Carry out what is asked for the first time under this key, or refuse it."""
        outcome, given = self.told.get((record, effect.name), ("", {}))
        if outcome == FAILED or fault == "declined":
            raise Declined(str(given.get("reason", "no")), code=str(given.get("code", "declined")))
        if outcome not in ("", DONE):
            raise Unclear("no answer arrived")
        if not outcome and effect.result is not None and effect.name not in self.usual:
            raise NotDone("nothing was said of it")
        answer = in_clear(given.get("result") if outcome else self.usual.get(effect.name))
        carried = Carried(call.key, effect.name, record, state, call.undoes, answer)
        if fault == "done-late":
            self._late.append(carried)
            raise Unclear("the answer never came")
        self.carried[call.key] = carried
        return carried

    def look_up(self, effect: Effect, record: UUID, call: Call) -> Value:
        """What became of a call, asked by its key; None where it never arrived."""
        if call.key in self._silent:
            raise Unclear("nobody answers")
        known = self.carried.get(call.key)
        if known is not None:
            return known.answer
        self.do_late()
        outcome, _ = self.told.get((record, effect.name), ("", {}))
        if outcome not in ("", DONE, FAILED):
            raise Unclear("nobody can tell")
        return None

    def answer_again(self) -> bool:
        """End the silence; whether there was any."""
        silent = bool(self._silent)
        self._silent.clear()
        return silent

    def do_late(self) -> None:
        """Carry out what arrived in time and was left lying."""
        for one in self._late:
            self.carried.setdefault(one.key, one)
        self._late.clear()


class Exchange:
    """Connects calls to the outside of the execution that is under way."""

    def __init__(self) -> None:
        self.outside = Outside()

    def connected(self, system: System) -> System:
        """The same declaration, with calls that ask here. Its boundaries are the same."""
        entities = {
            name: replace(entity, effects={e.name: self._connected(e) for e in entity.effects.values()})
            for name, entity in system.entities.items()
        }
        return replace(system, entities=entities)

    def _connected(self, effect: Effect) -> Effect:
        async def made(record: Any, call: Call) -> Value:
            outside = self.outside
            attempt = effect.name, outside.attempts[effect.name]
            await outside.happen(attempt, "arrival")
            answer = outside.answer(effect, record.id, record.state, call)
            await outside.happen(attempt, "reply")
            return answer

        async def looked_up(record: Any, call: Call) -> Value:
            return self.outside.look_up(effect, record.id, call)

        return replace(effect, function=made, lookup=None if effect.lookup is None else looked_up)
