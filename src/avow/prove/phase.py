"""Phases: what a run goes through, on what, and for how long."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Hashable, Iterable, Set
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from avow.model.system import System
from avow.prove.act import Act, transitions_of
from avow.prove.coverage import Coverage
from avow.prove.finding import Finding, PhaseReport
from avow.prove.schedule import Schedule
from avow.prove.tape import Tape

T = TypeVar("T")

Progress = Callable[[str, int, int | None], None]
"""Told the phase, how much it has tried, and how much is left, where it knows."""


def silent(phase: str, tried: int, left: int | None) -> None:
    """Tells nobody."""


@dataclass(slots=True)
class Budget:
    """How long a phase may take. It asks; nothing stops it.

    seconds: from now on. clock: seconds that only grow.
    """

    seconds: float
    phase: str = ""
    progress: Progress = silent
    clock: Callable[[], float] = time.monotonic
    tried: int = 0
    _started: float = field(init=False)

    def __post_init__(self) -> None:
        self._started = self.clock()

    @property
    def left_s(self) -> float:
        """How much of it is left, in seconds; never less than 0."""
        return max(self.seconds - (self.clock() - self._started), 0.0)

    @property
    def spent(self) -> bool:
        """Whether nothing is left of it."""
        return self.left_s == 0.0

    @contextmanager
    def only(self, share: float) -> Generator[None]:
        """Within, so much of what is left now is all that there is: the rest is kept for what follows."""
        whole, left = self.seconds, self.left_s
        self.seconds -= left * (1.0 - share)
        try:
            yield
        finally:
            self.seconds = whole

    def advance(self, steps: int = 1, left: int | None = None) -> None:
        """Count what was tried, and tell it. left: how much is still to be tried, where that is known."""
        self.tried += steps
        self.progress(self.phase, self.tried, left)


@dataclass(slots=True)
class Bench:
    """What phases work on, and what one leaves for the next.

    url:      the cluster to work on, under whose server databases may be made; None: an embedded one.
    coverage: the paths through the model; empty until the model phase has run.
    touched:  the boundaries that a change has moved, `Entity` or `Entity.transition`; None: not asked for.
    alone:    nobody but this run uses the cluster, so that it may be crashed.
    postgresql: the server's version, once a phase knows it. unfit: why the run can't be trusted.
    """

    system: System
    seed: int
    url: str | None = None
    coverage: Coverage = field(default_factory=Coverage)
    touched: frozenset[str] | None = None
    alone: bool = False
    postgresql: str = ""
    unfit: list[str] = field(default_factory=list[str])
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _led: tuple[Coverage, Set[tuple[str, str]]] | None = field(default=None, repr=False)
    _shared: dict[Hashable, Any] = field(default_factory=dict[Hashable, Any], repr=False)

    def tape(self, name: str) -> Tape:
        """A tape of its own for whoever asks under this name."""
        return Tape(self.seed).split(name)

    def touches(self, acts: Iterable[Act]) -> bool:
        """Whether any of these acts is about what a change has moved; True where nobody asked."""
        if self.touched is None:
            return True
        led = self._leading_there()
        return any(
            a.entity in self.touched or (a.entity, t.name) in led
            for a in acts
            for t in transitions_of(self.system, a)
        )

    def _leading_there(self) -> Set[tuple[str, str]]:
        """The transitions that a change has moved, and those whose bodies call for one that it has."""
        touched, coverage = self.touched or frozenset[str](), self.coverage
        if self._led is None or self._led[0] is not coverage:
            led = {(e, t) for e, _, t in (name.partition(".") for name in touched)}
            for (entity, name), path in coverage.transitions.items():
                if path and (f"{entity}.{name}" in touched or entity in touched):
                    led |= {(path[-1].entity, t.name) for t in transitions_of(self.system, path[-1])}
            self._led = coverage, led
        return self._led[1]

    async def shared(self, open_: Callable[[Bench], AbstractAsyncContextManager[T]]) -> T:
        """What phases share, such as a running cluster: opened when first asked for, closed with the run."""
        if open_ not in self._shared:
            self._shared[open_] = await self.stack.enter_async_context(open_(self))
        return self._shared[open_]


class Phase(Protocol):
    """One way to try to break it.

    name: one word, as the report has it. share: how much of the budget it gets, in proportion to the others.
    quick: whether it also runs with `--quick`.
    """

    @property
    def name(self) -> str: ...
    @property
    def share(self) -> float: ...
    @property
    def quick(self) -> bool: ...

    async def run(self, bench: Bench, budget: Budget) -> PhaseReport:
        """Try as much as the budget allows, the most telling first; what broke comes shrunk."""
        ...

    async def replay(self, bench: Bench, schedule: Schedule) -> Finding | None:
        """Do a schedule of this phase again, and nothing else: what breaks, or None where it holds."""
        ...
