"""The rig: one database with a system on it, on which the attacks of a run follow each other.

It knows how to begin where a path ends, how to run a schedule with its faults, and how to judge what that has
left behind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from avow.engine.workers.doing import OpenHttp
from avow.errors import EnvironmentFault
from avow.model.effect import DONE, Effect
from avow.model.entity import Entity
from avow.model.system import System
from avow.model.trigger import OnOutcome
from avow.model.types import Value, ValueType
from avow.prove.act import Act, Path
from avow.prove.databases import STATEMENT_S_MAX, Database, Way, databases
from avow.prove.defect import NONE, Defect
from avow.prove.execution import Done, Execution, Saved, Told, work_name
from avow.prove.explore.situation import START
from avow.prove.explore.values import values_of
from avow.prove.gates import Cut, Mode, until_death
from avow.prove.leaks import leaks
from avow.prove.node import OPEN, Node
from avow.prove.oracle import Break, forgotten, hanging, judge
from avow.prove.outside import Exchange
from avow.prove.phase import Bench
from avow.prove.private import Overheard, overhearing
from avow.prove.schedule import Fault
from avow.prove.wire import Strike, WireFault, proxied
from avow.store.trials import trial
from avow.store.trials.picture import Picture
from avow.store.trials.watched import Gate

STEPS_MAX: Final = 80
STARTS_MAX: Final = 400
"""How many places to begin from are kept."""
ALONE: Final = "left-alone"
"""The fault of which nobody sends again what was cut off: what recovers, recovers by itself."""
UNANSWERED: Final = "unanswered"
"""The fault of which a call is carried out and its answer never arrives."""

SESSION_ENDED: Final = "session-ended"
"""The fault of which the server's session ends within a statement."""
SERVER_CRASHED: Final = "server-crashed"
"""The fault of which all of the server ends within a statement, and recovers."""
DISTURBANCES: Final[Mapping[str, WireFault]] = {
    "cut-on-the-way": "cut-on-the-way", "wire-reply-lost": "wire-reply-lost", "cut-within": "cut-within",
    "stalled": "stalled", SESSION_ENDED: "struck", SERVER_CRASHED: "struck",
}  # fmt: skip
"""Faults between a process that lives on and its server, and what happens on the wire."""

WIRE_ANSWER_S: Final = 0.25
"""How long an answer is waited for that never comes."""

T = TypeVar("T")
Shape = tuple[Any, ...]
"""What two executions that came to the same have in common."""


async def _not_ours() -> None:
    raise EnvironmentFault(
        "server-not-ours", "this server isn't of this run alone", "Replay it on an embedded server."
    )


@dataclass(slots=True)
class Rig:
    """One database, and what executions on it share.

    declared: as the owner declared it, by which everything is judged. system: the same, connected to the
    outside of executions. usual: what calls are answered that nobody has said anything about. http: makes the
    client of functions that do their calls themselves. heard: what is logged meanwhile, if somebody listens.
    crash_server: lets the server crash, and recover.
    """

    declared: System
    system: System
    database: Database
    exchange: Exchange
    usual: Mapping[str, Value]
    defect: Defect = NONE
    http: OpenHttp | None = None
    heard: Overheard = field(default_factory=Overheard)
    crash_server: Callable[[], Awaitable[None]] = _not_ours
    execution: Execution = field(init=False)
    executions: int = 0
    _served: System = field(init=False)
    _starts: dict[Path, Saved] = field(default_factory=dict[Path, Saved])
    _drained: set[Shape] = field(default_factory=set[Shape])

    def __post_init__(self) -> None:
        self.execution = Execution(self.system, self.database, self.exchange)
        self._served = self.defect.of_system(self.system)

    def node(self, gate: Gate = OPEN, *, locks_first: bool = False, way: Way | None = None) -> Node:
        """A process that remembers nothing. way: to the database, where it isn't the usual one."""
        made = Node(
            self._served, self.database, self.defect.at(gate), locks_first=locks_first, http=self.http,
            way=way,
        )  # fmt: skip
        self.defect.enter(made)
        return made

    async def start(self, path: Path) -> None:
        """Go to where a path ends, from the last place on it that is known."""
        self.heard.lines.clear()
        known = next((place for place in range(len(path), 0, -1) if path[:place] in self._starts), 0)
        await self.execution.start(self._starts.get(path[:known]), self.usual)
        if known == len(path):
            return
        node = self.node()
        for place in range(known, len(path)):
            await self.execution.perform(node, path[place])
            await self._keep(path[: place + 1])
        await node.close()

    async def _keep(self, path: Path) -> None:
        if len(self._starts) >= STARTS_MAX:
            del self._starts[next(iter(self._starts))]
        self._starts[path] = await self.execution.save()

    async def perform(self, act: Act) -> Told:
        """Carry out one act in a process of its own."""
        return await self.in_a_process(lambda node: self.execution.perform(node, act))

    async def in_a_process(self, work: Callable[[Node], Awaitable[T]]) -> T:
        """Let a process that remembers nothing do something, and end."""
        node = self.node()
        try:
            return await work(node)
        finally:
            await node.close()

    async def attack(self, act: Act, faults: tuple[Fault, ...]) -> None:
        """Carry out an act, whose process ends where the faults say, one after the other; then recover.

        After each end the same is tried again in a new process: the caller sends the request again, and the
        worker's work is taken by another worker. What the server carries out late comes last of all.
        """
        done = await self.execution.ready(act)
        late = list[Any]()
        alone = any(fault.kind == ALONE for fault in faults)
        for fault in faults:
            if (disturbance := DISTURBANCES.get(fault.kind)) is not None:
                await self._disturb(done, fault, disturbance)
            elif fault.kind == UNANSWERED:
                self.exchange.outside.lost.add((self.execution.id_of(act.ref), work_name(act)))
            elif fault.kind != ALONE:
                await self._cut_off(done, fault, late)
        if not alone or done.request is None:
            node = self.node()
            await self.execution.carry_out(node, done)
            await node.close()
        for send in late:
            await send()

    async def _cut_off(self, done: Done, fault: Fault, late: list[Any]) -> None:
        cut = Cut(fault.at, _mode(fault.kind))
        node = self.node(cut)
        told = await until_death(self.execution.carry_out(node, done), cut)
        await node.close()
        if told is None:
            done.told = None
            await trial.let_go(self.database.admin)
        if cut.late is not None:
            late.append(cut.late)

    async def _disturb(self, done: Done, fault: Fault, disturbance: WireFault) -> None:
        """Let something go wrong between a process that goes on living and its server."""
        async with proxied(self.database.url) as (wire, url):
            wire.fail(disturbance, fault.at, strike=self._strike(fault.kind))
            patience_s = WIRE_ANSWER_S if disturbance == "stalled" else STATEMENT_S_MAX
            node = self.node(way=Way(url, patience_s))
            await self.execution.carry_out(node, done)
            await node.close()
        if done.act.kind in ("outcome", "time"):
            await trial.let_go(self.database.admin)

    def _strike(self, kind: str) -> Strike | None:
        """What happens to the server."""

        async def end_session(process: int) -> None:
            await trial.end_process(self.database.admin, process)

        async def crash_server(_: int) -> None:
            await trial.settle(self.database.admin)
            await self.crash_server()

        return {SESSION_ENDED: end_session, SERVER_CRASHED: crash_server}.get(kind)

    async def judged(self, *, drained: bool = True) -> tuple[list[Break], Shape]:
        """What is broken now, and what it has come to.

        Where it has come to something new, all that is left to do is done as well, and that is judged.
        """
        self.executions += 1
        picture = await self.database.picture()
        shape = self.shape(picture)
        found = self.judge(picture)
        found += await self._asked_again()
        states = tuple(sorted((name, state) for name, state, _ in shape[0])), shape[1]
        if drained and not found and states not in self._drained:
            self._drained.add(states)
            found += await self._drain()
        return found, shape

    def judge(self, picture: Picture) -> list[Break]:
        """What is broken in what there was at one moment."""
        journal, rows = self.execution.journal, self.database.rows
        found = judge(self.declared, picture, journal, self.exchange.outside, self.database.now)
        return [*found, *leaks(journal, self.usual, rows, self.heard.lines)]

    async def _asked_again(self) -> list[Break]:
        """Whoever sends the last request again is answered the same."""
        last = next((done for done in reversed(self.execution.journal) if done.request), None)
        if last is None or last.request is None or last.told is None or last.told.code in _NOT_KEPT:
            return []
        node = self.node()
        again = await self.execution.answer(node, last.request)
        await node.close()
        first = last.told
        if again == replace(first, replayed=True):
            return []
        said, now = first.code or "accepted", again.code or "accepted"
        where = f"{last.act.entity}.{last.act.command}"
        why = "The answer is kept under the key of the request."
        return [Break("P3 replayable", f"{where} was {said}; sent again it is {now}, and not the same.", why)]

    async def _drain(self) -> list[Break]:
        """Do all that is left to do, and judge that."""
        await self.run_out()
        picture = await self.database.picture()
        return [*hanging(picture, self.declared), *self.judge(picture)]

    async def run_out(self) -> None:
        """Do whatever can be done now, until nothing moves any more; later times don't come.

        A process leaves a destination alone that keeps failing; so another one goes on, until there is
        nothing that a process which remembers nothing could do.
        """
        left = STEPS_MAX

        async def work(node: Node) -> bool:
            nonlocal left
            before = left
            while left > 0:
                await trial.make_all_ready(self.database.admin)
                if not await node.worker.step():
                    break
                left -= 1
            return left < before

        while left > 0 and await self.in_a_process(work):
            pass
        self.exchange.outside.do_late()

    async def end(self) -> Picture:
        """Run out, also of what waits for the outside to answer again; what there is then."""
        await self.run_out()
        if self.exchange.outside.answer_again():
            await self.run_out()  # what is tried for ever needs an end of the silence
        self.executions += 1
        return await self.database.picture()

    def judge_end(self, picture: Picture) -> list[Break]:
        """What is broken once nothing moves any more."""
        late = forgotten(self.declared, picture, self.exchange.outside)
        return [*self.judge(picture), *late, *hanging(picture, self.declared)]

    def shape(self, picture: Picture) -> Shape:
        """What an execution has come to: states, versions, and what is left to do, whatever the ids are."""
        numbers, counts = dict[tuple[str, str], int](), Counter[str]()
        for entry in picture.entries:
            if (entry.kind, entry.id) not in numbers:
                counts[entry.kind] += 1
                numbers[entry.kind, entry.id] = counts[entry.kind]

        def name(kind: str, record: str) -> str:
            return f"{kind} {numbers.get((kind, record), 0)}"

        return (
            tuple(sorted((name(k, r), live.state, live.version) for (_, k, r), live in picture.rows.items())),
            tuple(sorted((name(w.kind, w.id), w.name, w.stuck or "") for w in picture.work)),
            tuple(sorted((one.kind, one.status) for one in picture.answers)),
        )


_NOT_KEPT = frozenset({
    "not-found", "input-invalid", "precondition-failed", "precondition-required", "internal-error",
    "contention", "busy", "database-unavailable", "idempotency-key-reused",
})  # fmt: skip
"""Refusals that aren't kept: the same request may be answered otherwise later."""


def _mode(kind: str) -> Mode:
    match kind:
        case "cut-before-send" | "sent-without-reply" | "reply-lost":
            return kind
        case _:
            raise ValueError(f"no process ends by {kind}")


def usual_answers(system: System) -> dict[str, Value]:
    """What calls usually answer: the plainest value of their type. The same for a run and for its replays."""
    found = dict[str, Value]()
    for entity in system.entities.values():
        for effect in entity.effects.values():
            kind = _told_as(entity, effect)
            values = [None] if kind is None else values_of(kind, (), START, wide=False)
            if values:
                found[effect.name] = values[0]
    return found


def _told_as(entity: Entity, effect: Effect) -> ValueType | None:
    """The type of an effect's result as its transitions are told it: what is private for them is planted."""
    done = (t for t in entity.transitions.values() if t.trigger == OnOutcome(effect.name, DONE))
    told = (p.type for t in done for p in t.parameters if p.name == "result")
    return next(told, effect.result)


@asynccontextmanager
async def rig(bench: Bench) -> AsyncGenerator[Rig]:
    """The rig of a run: `await bench.shared(rig)`."""
    made = await bench.shared(databases)
    database = await made.first()
    bench.postgresql = bench.postgresql or made.version
    exchange = Exchange()
    system = exchange.connected(bench.system)
    usual = usual_answers(bench.system)
    with overhearing(bench.system) as heard:
        yield Rig(bench.system, system, database, exchange, usual, heard=heard, crash_server=made.crash)
