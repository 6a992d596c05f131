"""Attacks on one request or several from where a stage stands: each order of their statements, each end of
the process that carries them out. The places and the orders are those of `avow prove`.

What comes of each is judged as `avow prove` judges it, promises included.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, TypeAlias

from avow.engine.request import Request
from avow.prove.execution import SETTLED
from avow.prove.gates import MODES, Cut, Mode, Noting
from avow.prove.lockstep import Choose, Lockstep, Op, run_at_once
from avow.prove.node import Node
from avow.prove.oracle import Break, judge
from avow.prove.orders import Drawn, Orders
from avow.prove.tape import Tape
from avow.prove.telling import step_told
from avow.store.trials.picture import take_picture
from avow.testing.staging import Crashed, Saved, Stage, reply_of
from avow.testing.timeline import names_of, request_told

ORDERS_MAX: Final = 200
"""How many orders of a race are tried, until the rest is drawn by chance."""
DRAWN: Final = 20
"""How many of the rest."""
DONE: Final = "done"
NOTHING: Final = "nothing to do"
LETTERS: Final = "ABCDEFG"


@dataclass(frozen=True, slots=True)
class Due:
    """What is due at a time, done by a worker: `clock.after(minutes=30)`."""

    moment: datetime


Racer: TypeAlias = "Request | Due"
"""What takes part in a race: a request, or the work that is due."""


class Broken(AssertionError):
    """Something is no longer true that was promised."""

    def __init__(self, broken: Sequence[Break]) -> None:
        first = broken[0]
        where = f" ({first.place})" if first.place.line else ""
        super().__init__(f"{first.promise}{where}: {first.sentence} {first.why}".strip())
        self.broken = tuple(broken)


@dataclass(frozen=True, slots=True)
class Order:
    """One order in which racers went on, and what they were answered.

    answers: `done`, or the code of a refusal, of each; of a worker, whether there was anything to do.
    steps:   whose statements went out, one after the other: `A looks at the records`, ...
    """

    answers: tuple[str, ...]
    steps: tuple[str, ...]


@dataclass(slots=True)
class Reach:
    """How many orders were tried, and whether those were all that say anything new, or a sample of them.

    Neither, as long as the loop over them hasn't come to its end.
    """

    tried: int = 0
    exhausted: bool = False
    sampled: bool = False

    def __str__(self) -> str:
        return (
            f"{self.tried} orders{', exhausted' if self.exhausted else ', sampled' if self.sampled else ''}"
        )


async def check(stage: Stage) -> None:
    """Hold everything that there is against all that is promised. Raises Broken."""
    picture = await take_picture(stage.admin, stage.system)
    if broken := judge(stage.system, picture, (), None, stage.now):
        raise Broken(broken)


async def orders_of(stage: Stage, racers: Sequence[Racer], reach: Reach) -> AsyncGenerator[Order]:
    """Run racers at once, from where the stage stands, in every order that says anything new.

    Before each the stage is put back; after the last it stays as that has left it. Raises Broken.
    """
    start, orders = await stage.save(), Orders()
    while orders.more and reach.tried < ORDERS_MAX:
        order, ops = await _run(stage, start, racers, orders.choose)
        orders.ran(ops)
        if order is not None:
            reach.tried += 1
            yield order
    reach.exhausted = not orders.more and not orders.strayed
    reach.sampled = not reach.exhausted
    tape = Tape(0).split("race")
    for _ in range(DRAWN if reach.sampled else 0):
        order, _ops = await _run(stage, start, racers, Drawn(tape).choose)
        if order is not None:
            reach.tried += 1
            yield order


async def _run(
    stage: Stage, start: Saved, racers: Sequence[Racer], choose: Choose
) -> tuple[Order | None, Sequence[Op]]:
    """One order; None where nothing new would have come of it."""
    await stage.put_back(start)
    for racer in racers:
        if isinstance(racer, Due):
            await stage.set_clock(racer.moment)
    before = await stage.last_entry()
    answers = [NOTHING for _ in racers]
    step = Lockstep(stage.system, stage.admin, len(racers))
    works = [partial(_carry_out, racer=racer, at=at, answers=answers) for at, racer in enumerate(racers)]
    if not await run_at_once(step, stage.node, works, choose):
        return None, step.ops
    order = Order(tuple(answers), tuple(_step_told(racers[op.lane], op) for op in step.ops))
    await _note(stage, racers, order, before)
    for place in range(len(racers)):
        if (error := step.error(place)) is not None:
            raise error
    await check(stage)
    return order, step.ops


async def _carry_out(node: Node, *, racer: Racer, at: int, answers: list[str]) -> None:
    """Do what a racer does, in a process of its own."""
    if isinstance(racer, Due):
        await node.worker.step()
        settled = sum(node.worker.counts[word] for word in SETTLED)
        answers[at] = DONE if settled else NOTHING
        return
    reply = await reply_of(node.engine.execute(racer))
    answers[at] = DONE if reply.problem is None else reply.problem.code


async def _note(stage: Stage, racers: Sequence[Racer], order: Order, before: int) -> None:
    """Let the timeline tell it, behind what there was before."""
    names = names_of((await take_picture(stage.admin, stage.system)).entries)
    stage.timeline.note("at once:", before)
    for letter, racer, answer in zip(LETTERS, racers, order.answers, strict=False):
        told = "the worker does what is due" if isinstance(racer, Due) else request_told(racer, names)
        stage.timeline.note(f"  {letter} is {told}   {answer}", before)
    for line in order.steps:
        stage.timeline.note(f"  {line}", before)


def _step_told(racer: Racer, op: Op) -> str:
    command = "work" if isinstance(racer, Due) else racer.command
    return f"{LETTERS[op.lane]} {step_told(command, op.name)}"


@dataclass(frozen=True, slots=True)
class End:
    """Where a process ended: at which statement, and in which way."""

    statement: str
    mode: Mode


async def ends_of(stage: Stage, request: Request) -> AsyncGenerator[End]:
    """End the process that carries a request out, from where the stage stands, at each statement in each way.

    Each time another process serves afterwards, nobody was told what came of the request, and what there is
    is judged. Before each the stage is put back. Raises Broken.
    """
    start = await stage.save()
    await stage.restart(noting := Noting())
    await stage.give(request)
    names = [*noting.names]
    for at, name in enumerate(names):
        for mode in MODES:
            await stage.put_back(start)
            await stage.restart(Cut(at, mode))
            with suppress(Crashed):
                await stage.give(request)
            await check(stage)
            yield End(name, mode)
