"""`avow diagram`: the state machines as SVG or Mermaid text."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from avow.cli import output
from avow.cli.target import load_target
from avow.diagram import mermaid, svg
from avow.errors import UsageError
from avow.model.entity import Entity
from avow.model.system import System

_FORMAT_OF_SUFFIX: Final = {".svg": "svg", ".mmd": "mermaid", ".mermaid": "mermaid"}


@click.command(name="diagram")
@click.argument("target", default=".")
@click.option("--entity", metavar="NAME", help="Draw this entity alone.")
@click.option(
    "--format",
    "wanted",
    type=click.Choice(["svg", "mermaid"]),
    help="What to write; by default what the name of FILE ends in, else svg.",
)
@click.option("-o", "--output", "file", metavar="FILE", type=Path, help="Write to FILE instead of stdout.")
@output.json_option
def command(target: str, entity: str | None, wanted: str | None, file: Path | None, as_json: bool) -> int:
    """Draw the state machines of TARGET: states, commands, who may, and guards.

    TARGET is a folder with a system.py, a file, or a module; by default the current folder.
    """
    entities = _chosen(load_target(target), entity)
    form = wanted or _FORMAT_OF_SUFFIX.get(file.suffix if file is not None else "", "svg")
    text = (svg if form == "svg" else mermaid)(*entities)
    if file is not None:
        _write(file, text)
        output.talk(f"{file} is written")
    if as_json:
        shown = {"format": form, "entities": [one.name for one in entities]}
        output.document({**shown, **({"text": text} if file is None else {"file": str(file)})})
    elif file is None:
        output.data(text.rstrip("\n"))
    return output.HOLDS


def _chosen(system: System, name: str | None) -> tuple[Entity, ...]:
    if name is None:
        return tuple(system.entities.values())
    if name in system.entities:
        return (system.entities[name],)
    raise UsageError(f"{system.name} has no entity {name}", f"Entities: {', '.join(system.entities)}.")


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UsageError(f"{file} can't be written: {reason}", "Name another file.") from None
