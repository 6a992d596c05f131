"""The outside of executions, in this process: it does what it is told, and keeps account of what it did.

In place of an owner's function for a call stands one that asks here. One request is carried out for one key,
however often it arrives, as providers do that keep keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from avow.engine.calls import Call
from avow.model.effect import DONE, FAILED, Effect
from avow.model.outcome import Declined, NotDone, Unclear
from avow.model.system import System
from avow.model.types import Value


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
    """

    usual: Mapping[str, Value] = field(default_factory=dict[str, Value])
    told: dict[tuple[UUID, str], tuple[str, Mapping[str, Value]]] = field(
        default_factory=dict[tuple[UUID, str], tuple[str, Mapping[str, Value]]]
    )
    carried: dict[str, Carried] = field(default_factory=dict[str, Carried])
    asked: list[tuple[str, str, UUID]] = field(default_factory=list[tuple[str, str, UUID]])
    lost: set[tuple[UUID, str]] = field(default_factory=set[tuple[UUID, str]])

    def tell(self, record: UUID, effect: str, outcome: str, given: Mapping[str, Value]) -> None:
        """Say how the calls of a record's effect end from now on."""
        self.told[record, effect] = outcome, given

    def answer(self, effect: Effect, record: UUID, state: str, call: Call) -> Value:
        """What a call is answered."""
        self.asked.append((call.key, effect.name, record))
        known = self.carried.get(call.key)
        if known is not None:
            return known.answer
        outcome, given = self.told.get((record, effect.name), ("", {}))
        if outcome == FAILED:
            raise Declined(str(given.get("reason", "no")), code=str(given.get("code", "declined")))
        if outcome not in ("", DONE):
            raise Unclear("no answer arrived")
        if not outcome and effect.result is not None and effect.name not in self.usual:
            raise NotDone("nothing was said of it")
        answer = given.get("result") if outcome else self.usual.get(effect.name)
        self.carried[call.key] = Carried(call.key, effect.name, record, state, call.undoes, answer)
        if (record, effect.name) in self.lost:
            self.lost.discard((record, effect.name))
            raise Unclear("the answer was lost")
        return answer

    def look_up(self, effect: Effect, record: UUID, call: Call) -> Value:
        """What became of a call, asked by its key; None where it never arrived."""
        known = self.carried.get(call.key)
        if known is not None:
            return known.answer
        outcome, _ = self.told.get((record, effect.name), ("", {}))
        if outcome not in ("", DONE, FAILED):
            raise Unclear("nobody can tell")
        return None


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
            return self.outside.answer(effect, record.id, record.state, call)

        async def looked_up(record: Any, call: Call) -> Value:
            return self.outside.look_up(effect, record.id, call)

        return replace(effect, function=made, lookup=None if effect.lookup is None else looked_up)
