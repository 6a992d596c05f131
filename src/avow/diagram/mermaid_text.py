"""A state machine as Mermaid text, which GitHub and many editors draw.

It must never let a name or a policy end a statement, start a comment or become markup.
"""

from __future__ import annotations

from collections.abc import Iterator

from avow.diagram.machine import START, Arrow, Machine, machine_of
from avow.model.entity import Entity

# Everything else is written by its number, so that neither Mermaid's grammar nor HTML can read it.
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _.,()=|&~+*'!/-")


def mermaid(entity: Entity, *others: Entity) -> str:
    """The state diagram of an entity, or of several side by side, as Mermaid text."""
    entities = (entity, *others)
    machines = [machine_of(one) for one in entities]
    lines = ["stateDiagram-v2"]
    if len(machines) == 1:
        lines += [f"    {line}" for line in _lines(machines[0])]
    else:
        for machine in machines:
            lines.append(f'    state "{_text(machine.name)}" as {_id(machine.name)} {{')
            lines += [f"        {line}" for line in _lines(machine)]
            lines.append("    }")
    return "\n".join(lines) + "\n"


def _lines(machine: Machine) -> Iterator[str]:
    for state in machine.states:
        yield f'state "{_text(state.name)}" as {_id(machine.name, state.name)}'
    for arrow in machine.arrows:
        source = "[*]" if arrow.source == START else _id(machine.name, arrow.source)
        yield f"{source} --> {_id(machine.name, arrow.target)}: {_label(arrow)}"
    for state in machine.states:
        if state.final:
            yield f"{_id(machine.name, state.name)} --> [*]"


def _label(arrow: Arrow) -> str:
    parts = list[str]()
    for way in arrow.ways:
        guard = f" when {_text(way.when)}" if way.when else ""
        parts.append(f"{_text(way.command)} by {_text(way.by)}{guard}")
    return "<br/>".join(parts)


def _id(*names: str) -> str:
    """An identifier that is no word of Mermaid: the names are joined, and odd letters are numbered."""
    joined = "_".join(names)
    kept = "".join(c if c.isascii() and (c.isalnum() or c == "_") else f"_{ord(c)}_" for c in joined)
    return f"s_{kept}"


def _text(text: str) -> str:
    return "".join(c if c in _PLAIN else f"#{ord(c)};" for c in text)
