"""What an attack is, what it finds, and how all of them are carried out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from examples.demo.backend import Answer, AttackError, Server

B = TypeVar("B", bound=Server)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attack found. text: a few words for the table."""

    held: bool
    text: str


Later = Coroutine[Any, Any, Outcome]
"""What only waits: the next attack may begin meanwhile."""


@dataclass(frozen=True, slots=True)
class Attack(Generic[B]):
    """One row of the table."""

    title: str
    strike: Callable[[B], Awaitable[Outcome | Later]]


class Strikes:
    """One backend's attacks, one after the other, while other backends have theirs."""

    def __init__(self, group: asyncio.TaskGroup, backend: B, attacks: Sequence[Attack[B]]) -> None:
        self._found: dict[str, asyncio.Task[Outcome]] = {}
        before: asyncio.Task[Outcome | Later] | None = None
        for attack in attacks:
            before = group.create_task(_in_turn(before, attack, backend))
            self._found[attack.title] = group.create_task(_outcome(before))

    async def of(self, title: str) -> Outcome:
        """What an attack found, as soon as it has."""
        return await self._found[title]


async def _in_turn(
    before: asyncio.Task[Outcome | Later] | None, attack: Attack[B], backend: B
) -> Outcome | Later:
    """Carry out one attack; one that can't be carried out holds for nobody."""
    if before is not None:
        await before
    try:
        return await attack.strike(backend)
    except AttackError as error:
        return _no_verdict(error)


async def _outcome(struck: asyncio.Task[Outcome | Later]) -> Outcome:
    found = await struck
    try:
        return found if isinstance(found, Outcome) else await found
    except AttackError as error:
        return _no_verdict(error)


def _no_verdict(error: AttackError) -> Outcome:
    return Outcome(False, f"no verdict: {error}")


def times(count: int) -> str:
    """How often, in words."""
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def said(answer: Answer) -> str:
    """How a request was answered."""
    return f"{'refused' if answer.status >= 400 else 'accepted'} ({answer.status})"
