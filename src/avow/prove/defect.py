"""What a planted defect may alter: a run's own database, and what is handed to its engine.

The code that serves knows nothing of defects.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from avow.model.system import System
from avow.prove.node import Node
from avow.store.driver import Connection
from avow.store.trials.watched import Gate


async def _same_database(connection: Connection, system: System) -> None:
    """Nothing is altered."""


def _same_system(system: System) -> System:
    return system


def _same_node(node: Node) -> None:
    """Nothing is altered."""


def _same_gate(gate: Gate) -> Gate:
    return gate


@dataclass(frozen=True, slots=True)
class Defect:
    """A known way to build the engine wrongly.

    name:      a few words. what: the same as a sentence. by: the phase that is to find it.
    alter:     alters the database. of_system: what its engine takes for the declaration.
    enter:     alters a process. at: what stands between its statements and the gate.
    """

    name: str = ""
    what: str = ""
    by: str = ""
    alter: Callable[[Connection, System], Awaitable[None]] = _same_database
    of_system: Callable[[System], System] = _same_system
    enter: Callable[[Node], None] = _same_node
    at: Callable[[Gate], Gate] = _same_gate

    @property
    def alters(self) -> bool:
        """Whether the database is altered."""
        return self.alter is not _same_database


NONE = Defect()
"""Nothing is altered."""
