"""Errands that a saga makes outside, all or none of them; and the outside, with a ledger of what it did."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import avow
from avow import Call, Entity, State, backoff, create, effect, everybody, read, system
from avow.declare.effect import EffectWord
from avow.model.outcome import Declined, NotDone, Unclear
from avow.model.system import System

STEPS = ("reserve", "gift", "van", "crew", "capture", "ship")
UNDONE_BY = {"release": "reserve", "return_gift": "gift", "free_van": "van", "free_crew": "crew"}


async def _nothing_happens() -> None:
    """What happens where nothing is to happen."""


@dataclass
class Outside:
    """Carries out one request for one key, however often it arrives, and keeps a refusal under its key too.

    faults: by effect, what goes wrong with its attempts, in order. done: what was carried out, by key: the
    effect, and the key of what it undid. happen: is called when a request arrives, and before it is answered.
    """

    faults: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    done: dict[str, tuple[str, str | None]] = field(default_factory=dict[str, tuple[str, str | None]])
    refused: set[str] = field(default_factory=set[str])
    happen: Callable[[], Awaitable[None]] = _nothing_happens

    async def answer(self, name: str, call: Call) -> Any:
        await self.happen()
        fault = next(iter(self.faults.get(name, [])), "")
        if fault:
            self.faults[name].pop(0)
        if fault == "refused":
            raise NotDone("the connection was refused")
        if fault == "cut":
            raise Unclear("cut before it was done")
        if fault == "declined" or call.key in self.refused:
            self.refused.add(call.key)
            raise Declined("no", code=f"no-{name}")
        self.done.setdefault(call.key, (name, call.undoes))
        await self.happen()
        if fault == "lost":
            raise Unclear("cut after it was done")
        return call.key

    def keys(self, name: str) -> list[str]:
        """The keys under which it did this."""
        return [key for key, (done, _) in self.done.items() if done == name]

    def undone(self, key: str) -> int:
        """How often it undid what it did under this key."""
        return sum(undoes == key for _, undoes in self.done.values())


def errands(ask: Callable[[], Outside]) -> System:
    """The declaration; `ask` gives the outside of the moment."""

    def call(name: str) -> EffectWord:
        async def made(errand: Errand, call: Call) -> str:
            return await ask().answer(name, call)

        made.__name__ = name
        made.__annotations__["return"] = str
        return effect(retry=backoff(3, first_s=0.001, most_s=0.001))(made)

    effects = {name: call(name) for name in (*STEPS, *UNDONE_BY)}
    reserve, gift, van, crew, capture, ship = (effects[name] for name in STEPS)

    class Errand(Entity):
        """Something for which several things have to be done outside."""

        present: int = avow.field(default=1)
        van_receipt: str | None = avow.field(max_length=100)
        problem: str | None = avow.field(max_length=100)
        visible = read(by=everybody)
        asked = State(initial=True)
        completed, cancelled = State(), State(final=True)
        ask_for = create(asked, by=everybody, sets=[present])
        again = avow.transition(completed, to=asked, by=everybody, sets=[present])
        end = avow.transition(completed, to=cancelled, by=everybody)
        run = avow.saga(
            avow.step(reserve, undo=effects["release"]),
            avow.step(gift, undo=effects["return_gift"], when=present > 0),
            avow.parallel(
                avow.step(van, undo=effects["free_van"], sets={van_receipt: van.result}),
                avow.step(crew, undo=effects["free_crew"]),
            ),
            avow.step(capture, pivot=True),
            avow.step(ship, retry=avow.forever),
            start=asked, done=completed, failed=cancelled, cancel=everybody, reason=problem,
        )  # fmt: skip

    return system("errands", Errand)
