"""Schedules: what a failing run consists of, as data that can be kept, replayed and shrunk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from avow.model.system import System
from avow.prove.act import Act, act_from, act_json


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong at one place.

    kind: what: `crash-before-send`, `reply-lost`, `killed`, `done-but-timed-out`, ...
    act:  during which act, by its place in the schedule. at: at which of its steps, from 0.
    """

    kind: str
    act: int
    at: int = 0


@dataclass(frozen=True, slots=True)
class Schedule:
    """acts happen one after the other, except the last `together` of them, which run at once.

    faults: what goes wrong. order: of those that run at once, which one goes on at each step, by its place
            among them; where it ends, the lowest that can go on goes on.
    """

    acts: tuple[Act, ...] = ()
    together: int = 0
    faults: tuple[Fault, ...] = ()
    order: tuple[int, ...] = ()

    @property
    def switches(self) -> int:
        """How often another one goes on than before."""
        return sum(one != next_ for one, next_ in zip(self.order, self.order[1:], strict=False))


def schedule_json(system: System, schedule: Schedule) -> dict[str, Any]:
    """A schedule as JSON."""
    return {
        "acts": [act_json(system, act) for act in schedule.acts],
        "together": schedule.together,
        "faults": [{"kind": f.kind, "act": f.act, "at": f.at} for f in schedule.faults],
        "order": list(schedule.order),
    }


def schedule_from(system: System, raw: Mapping[str, Any]) -> Schedule:
    """The schedule that some JSON says. Raises KeyError, ValueError or Misfit where it says none."""
    return Schedule(
        acts=tuple(act_from(system, act) for act in raw["acts"]),
        together=int(raw["together"]),
        faults=tuple(Fault(f["kind"], int(f["act"]), int(f["at"])) for f in raw["faults"]),
        order=tuple(int(one) for one in raw["order"]),
    )
