"""From the words of the class bodies to the frozen model, collecting every mistake on the way."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from avow.declare import surface as word
from avow.declare.check import check_entities
from avow.declare.entity import EntityBuilder
from avow.declare.expression import Condition
from avow.declare.hearing import read_senders
from avow.declare.loads import loads_of
from avow.declare.operating import read_operating, unasked
from avow.declare.place import here, take_misuses
from avow.declare.promise import read_promises
from avow.errors import DeclarationError, Mistake
from avow.model.entity import Entity
from avow.model.place import Place
from avow.model.promise import Promise
from avow.model.system import System

_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}", re.ASCII)
_SCHEMAS = frozenset({"avow", "public", "information_schema"})


def system(
    name: str, *entities: type[word.Entity], promises: Iterable[Promise] = (),
    operators: Condition | None = None, pausers: Condition | None = None,
) -> System:  # fmt: skip
    """Close a declaration: the application's name, and all of its entities.

    promises:  what `@always` says of all records together.
    operators: who may look, over HTTP, at what happens by itself in their tenant, and see to what is stuck:
               in their inbox stands whatever is stuck and asks nobody else.
    pausers:   who may, over HTTP, hold destinations up: that stops the calls of all tenants.
    Raises DeclarationError with every mistake at once. Warnings alone don't raise; `build` gives them.
    """
    return build(name, *entities, promises=promises, operators=operators, pausers=pausers)[0]


def build(
    name: str, *entities: type[word.Entity], promises: Iterable[Promise] = (),
    operators: Condition | None = None, pausers: Condition | None = None,
) -> tuple[System, tuple[Mistake, ...]]:  # fmt: skip
    """As `system`, together with the warnings."""
    place, mistakes = here(), take_misuses()
    mistakes += _name_mistakes(name, entities, place)
    entities = tuple(entity for entity in entities if _is_entity(entity))
    namespace = {entity.__name__: entity for entity in entities}
    builders = [EntityBuilder(entity, namespace, mistakes) for entity in namespace.values()]
    built = {builder.declared.__name__: builder.build() for builder in builders}
    unsure = {builder.declared.__name__ for builder in builders if builder.machine_unsure}
    senders = read_senders((s for builder in builders for s in builder.senders()), mistakes)
    promised = read_promises(promises, place, mistakes)
    written = {builder.declared.__name__: builder.written for builder in builders}
    asked = {"operators": operators, "pausers": pausers}
    operating = [read_operating(name, given, place, mistakes) for name, given in asked.items()]
    mistakes += check_entities(built, unsure, written)
    mistakes += take_misuses()  # what was seen only now: none may wait for the next system
    found = sorted(set(mistakes))
    if any(not mistake.warning for mistake in found):
        raise DeclarationError(found)
    found = sorted({*found, *unasked(built.values(), operating[0])})
    closed = {name: _with_loads(entity, built) for name, entity in built.items()}
    return System(name, closed, senders, promised, *operating), tuple(found)


def _name_mistakes(name: str, entities: tuple[type[word.Entity], ...], place: Place) -> list[Mistake]:
    found = list[Mistake]()
    name = name if isinstance(name, str) else repr(name)  # pyright: ignore[reportUnnecessaryIsInstance]
    if not _NAME.fullmatch(name) or name in _SCHEMAS or name.startswith("pg_"):
        mend = "Use lower-case ASCII words joined by _, at most 48 characters."
        found.append(Mistake(place.file, place.line, "name-invalid", f"`{name}` can't name a schema", mend))
    if not entities:
        mend = f'Write system("{name}", Course, ...).'
        found.append(Mistake(place.file, place.line, "no-entities", "the system has no entities", mend))
    names = dict[str, type[word.Entity]]()
    for entity in dict.fromkeys(entities):
        if not _is_entity(entity):
            shown = getattr(entity, "__name__", type(entity).__name__)
            mend = "Pass the classes that inherit from Entity."
            found.append(Mistake(place.file, place.line, "no-entities", f"{shown} is no entity", mend))
            continue
        if entity.__name__ in names:
            detail = f"two entities are called {entity.__name__}"
            at = entity.avow_place
            found.append(Mistake(at.file, at.line, "declared-twice", detail, "Rename one of them."))
        names[entity.__name__] = entity
    return found


def _is_entity(given: object) -> bool:
    return isinstance(given, type) and issubclass(given, word.Entity) and given is not word.Entity


def _with_loads(entity: Entity, built: Mapping[str, Entity]) -> Entity:
    transitions = {
        name: replace(transition, loads=loads_of(entity, transition, built))
        for name, transition in entity.transitions.items()
    }
    return replace(entity, transitions=transitions)
