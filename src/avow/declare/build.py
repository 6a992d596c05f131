"""From the words of the class bodies to the frozen model, collecting every mistake on the way."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from avow.declare import surface as word
from avow.declare.check import check_entities
from avow.declare.entity import EntityBuilder
from avow.declare.hearing import read_senders
from avow.declare.loads import loads_of
from avow.declare.place import here, take_misuses
from avow.declare.promise import read_promises
from avow.errors import DeclarationError, Mistake
from avow.model.entity import Entity
from avow.model.place import Place
from avow.model.promise import Promise
from avow.model.system import System

_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}", re.ASCII)
_SCHEMAS = frozenset({"avow", "public", "information_schema"})


def system(name: str, *entities: type[word.Entity], promises: Iterable[Promise] = ()) -> System:
    """Close a declaration: the application's name, and all of its entities.

    promises: what `@always` says of all records together.
    Raises DeclarationError with every mistake at once. Warnings alone don't raise; `build` gives them.
    """
    return build(name, *entities, promises=promises)[0]


def build(
    name: str, *entities: type[word.Entity], promises: Iterable[Promise] = ()
) -> tuple[System, tuple[Mistake, ...]]:
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
    mistakes += check_entities(built, unsure, written)
    found = sorted(set(mistakes))
    if any(not mistake.warning for mistake in found):
        raise DeclarationError(found)
    return System(name, {n: _with_loads(e, built) for n, e in built.items()}, senders, promised), tuple(found)


def _name_mistakes(name: str, entities: tuple[type[word.Entity], ...], place: Place) -> list[Mistake]:
    found = list[Mistake]()
    if not _NAME.fullmatch(name) or name in _SCHEMAS or name.startswith("pg_"):
        mend = "Use lower-case words joined by _, at most 48 characters."
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
