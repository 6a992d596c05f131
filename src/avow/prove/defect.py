"""What a planted defect may alter: the functions in a run's own database, and what is handed to its engine.

The code that serves knows nothing of defects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from avow.model.system import System
from avow.prove.node import Node
from avow.store.watched import Gate


def _same_system(system: System) -> System:
    return system


def _same_node(node: Node) -> Node:
    return node


def _same_gate(gate: Gate) -> Gate:
    return gate


@dataclass(frozen=True, slots=True)
class Defect:
    """A known way to build the engine wrongly. name: one word. what: in a sentence.

    sql:       by the name of a function in the database: what is replaced in it, and by what.
    of_system: what its engine takes for the declaration. enter: alters a process. at: stands at its gate.
    """

    name: str = ""
    what: str = ""
    sql: Mapping[str, tuple[tuple[str, str], ...]] = field(
        default_factory=dict[str, tuple[tuple[str, str], ...]]
    )
    of_system: Callable[[System], System] = _same_system
    enter: Callable[[Node], Node] = _same_node
    at: Callable[[Gate], Gate] = _same_gate


NONE = Defect()
"""Nothing is altered."""
