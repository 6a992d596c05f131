"""Plans: what executing commands needs of the model, worked out once for a system.

A plan says nothing that wasn't declared. What would otherwise be looked for with every command stands here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from avow.engine.privacy import PrivateArgument, private_arguments
from avow.kernel.plan import plans_of
from avow.model.entity import Entity
from avow.model.system import System
from avow.model.trigger import OnOutcome
from avow.store.loading import LoadPlan, plan_command

ExecutionPlans: TypeAlias = Mapping[tuple[str, str], "ExecutionPlan"]
"""The plans of a system's commands, by entity and word."""


@dataclass(frozen=True, slots=True, eq=False)
class ExecutionPlan:
    """One command.

    load:       how what its decision rests on is loaded.
    recallable: its decision rests on no record but its own, and what it shows of that not on the time.
    hears:      it says nothing but how a call has ended.
    reveals:    the private fields that are told in clear to whoever gives it.
    private:    its arguments that are private. conceals: whether its records have private values.
    counts:     whether a quota of this system may count what it writes.
    begins:     whether calls may be made, or others told, once it is committed.
    """

    load: LoadPlan
    recallable: bool
    hears: bool
    reveals: tuple[str, ...]
    private: Mapping[str, PrivateArgument]
    conceals: bool
    counts: bool
    begins: bool


def execution_plans_of(system: System) -> ExecutionPlans:
    """The plans of a system. Ask `system.derived(execution_plans_of)`, which keeps them."""
    private = private_arguments(system)
    return {
        (entity.name, t.command): _plan(system, entity, t.command, private.get((entity.name, t.command), {}))
        for entity in system.entities.values()
        for t in entity.transitions.values()
    }


def _plan(system: System, entity: Entity, word: str, private: Mapping[str, PrivateArgument]) -> ExecutionPlan:
    load, transitions, entities = plan_command(system, entity, word), entity.of_command(word), system.entities
    return ExecutionPlan(
        load=load,
        recallable=load.alone and not system.derived(plans_of)[entity.name].shown_timed,
        hears=all(isinstance(t.trigger, OnOutcome) for t in transitions),
        reveals=transitions[0].reveals,
        private=private,
        conceals=bool(entity.private),
        counts=any(e.quotas for e in entities.values()),
        begins=any(e.effects or e.publications for e in entities.values()),
    )
