"""`avow check`: every mistake of a declaration, or what it declares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import click

from avow.cli import output
from avow.cli.target import load_target
from avow.declare.check import check_entities
from avow.declare.operating import unasked
from avow.errors import DeclarationError, Mistake
from avow.model.entity import Entity, Transition
from avow.model.expression import render
from avow.model.system import System


@click.command(name="check")
@click.argument("target", default=".")
@click.option("--strict", is_flag=True, help="Exit with 1 when there are warnings.")
@output.json_option
def command(target: str, strict: bool, as_json: bool) -> int:
    """Report every mistake and warning in the declaration of TARGET, and what it declares.

    TARGET is a folder with a system.py, a file, or a module; by default the current folder.
    """
    try:
        system = load_target(target)
    except DeclarationError as error:
        return _refuse(error, as_json)
    unheard = unasked(system.entities.values(), system.operators)
    warnings = sorted([*check_entities(system.entities, set()), *unheard])
    if as_json:
        output.document(_document(system, warnings))
    else:
        output.data(_text(system, warnings))
    output.talk(_verdict(len(warnings)))
    return output.FOUND if strict and warnings else output.HOLDS


def _refuse(error: DeclarationError, as_json: bool) -> int:
    if as_json:
        output.document(
            {"ok": False, "mistakes": [output.mistake_json(mistake) for mistake in error.mistakes]}
        )
    else:
        for mistake in error.mistakes:
            output.data(output.mistake_text(mistake))
    count = sum(not mistake.warning for mistake in error.mistakes)
    output.talk(output.counted(count, "mistake"))
    return error.exit_code


def _verdict(warnings: int) -> str:
    return "no mistakes" + (f", {output.counted(warnings, 'warning')}" if warnings else "")


def _document(system: System, warnings: Iterable[Mistake]) -> dict[str, Any]:
    return {
        "ok": True,
        "system": system.name,
        "fingerprint": system.fingerprint.hex(),
        "roles": list(system.roles),
        "mistakes": [output.mistake_json(mistake) for mistake in warnings],
        "entities": [_entity_json(entity) for entity in system.entities.values()],
        "promises": {promise.name: promise.message for promise in system.promises},
    }


def _entity_json(entity: Entity) -> dict[str, Any]:
    return {
        "name": entity.name,
        "plural": entity.plural,
        "read": render(entity.read),
        "states": [
            {
                "name": s.name,
                "initial": s.initial,
                "final": s.final,
                **({"invoke": list(s.invoke)} if s.invoke else {}),
            }
            for s in entity.states.values()
        ],
        "effects": {
            e.name: {"destination": e.destination, "source": str(e.place)} for e in entity.effects.values()
        },
        "transitions": [
            {
                "name": t.name,
                "command": t.command,
                "from": list(t.sources),
                "to": t.target,
                "by": render(t.by),
                "trigger": None if t.trigger is None else t.cause,
                "when": None if t.when is None else render(t.when),
            }
            for t in entity.transitions.values()
        ],
        "invariants": {i.name: render(i.condition) for i in entity.invariants},
        "always": {p.name: render(p.condition) for p in entity.promises},
        "sometimes": {g.name: render(g.condition) for g in entity.goals},
        **({"private": dict(_whose(entity))} if entity.private else {}),
    }


def _text(system: System, warnings: Iterable[Mistake]) -> str:
    entities = list(system.entities.values())
    states = sum(len(entity.states) for entity in entities)
    transitions = sum(len(entity.transitions) for entity in entities)
    counts = f"{output.counted(len(entities), 'entity', 'entities')}, {output.counted(states, 'state')}"
    head = f"{system.name}: {counts}, {output.counted(transitions, 'transition')}"
    parts = [f"{head}; boundary {system.fingerprint.hex()[:12]}", *map(_entity_text, entities)]
    if system.promises:
        parts.append(
            "\n".join(["tried by prove", *(f"  always      {p.name}: {p.message}" for p in system.promises)])
        )
    return "\n\n".join([*parts, *map(output.mistake_text, warnings)])


def _entity_text(entity: Entity) -> str:
    states = ", ".join(f"{s.name}{'*' * s.initial}{'.' * s.final}" for s in entity.states.values())
    rows = [("COMMAND", "FROM", "TO", "WHO MAY, OR WHAT", "WHEN"), *map(_row, entity.transitions.values())]
    lines = [
        f"{entity.name} (/{entity.plural})",
        f"  states      {states}    (* initial, . final)",
        f"  who reads   {render(entity.read)}",
        *(f"  calls       {s.name}: {', '.join(s.invoke)}" for s in entity.states.values() if s.invoke),
        *(f"  invariant   {i.name}: {render(i.condition)}" for i in entity.invariants),
        *(f"  always      {p.name}: {render(p.condition)}" for p in entity.promises),
        *(f"  sometimes   {g.name}: {render(g.condition)}" for g in entity.goals),
        *(f"  private     {line}" for line in _private(entity)),
        *(f"  unique      {u.name}: {', '.join(u.fields)}" for u in entity.uniques),
        *(
            f"  exclusion   {x.name}: {', '.join(x.fields)} over {x.start} to {x.end}"
            for x in entity.exclusions
        ),
        *(f"  quota       {q.name}: per {q.anchor} at most {render(q.limit)}" for q in entity.quotas),
        "",
        *_columns(rows),
    ]
    return "\n".join(lines)


def _whose(entity: Entity) -> Iterator[tuple[str, dict[str, Any]]]:
    """Of each private field whom it is about, which commands reveal it, and to which calls it is told."""
    transitions, states = entity.transitions.values(), entity.states.values()
    for name in entity.private:
        kind: Any = entity.fields[name].type
        revealed = list(dict.fromkeys(t.command for t in transitions if name in t.reveals))
        calls = list(dict.fromkeys(call for s in states if name in s.reveals for call in s.invoke))
        yield name, {"of": kind.of, "searchable": kind.searchable, "revealed_by": revealed, "told_to": calls}


def _private(entity: Entity) -> Iterator[str]:
    for name, whose in _whose(entity):
        seen = ", ".join([*whose["revealed_by"], *(f"the call {call}" for call in whose["told_to"])])
        yield f"{name}: about {whose['of']}; {f'shown by {seen}' if seen else 'shown by nothing'}"
    for t in entity.erasing:
        yield f"erased by {t.name}: everything about its {t.erases}"


def _row(transition: Transition) -> tuple[str, ...]:
    when = "" if transition.when is None else render(transition.when)
    sources = ", ".join(transition.sources) or "(new)"
    word = transition.command if transition.trigger is None else transition.name
    return word, sources, transition.target, transition.cause, when


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return [f"  {line}".rstrip() for line in lines]
