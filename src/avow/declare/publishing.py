"""Publications, read from their words; and everything that can be wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from avow.declare import surface as word
from avow.declare.machine import at
from avow.declare.notes import Notes
from avow.errors import Mistake
from avow.model import expression as ast
from avow.model.entity import Entity
from avow.model.expression import walk
from avow.model.publication import Publication

RETRIED_DAYS_MAX = 30
OF_THE_ACTOR = (ast.Everybody, ast.Authenticated, ast.HasRole, ast.All, ast.AnyOf, ast.Not)
"""What a policy may say that is settled without a record."""


def read_publication(
    notes: Notes, name: str, w: word.Publish, fields: tuple[str, ...], words: Mapping[str, Any]
) -> Publication:
    """A publication of the model; what can't be read is reported."""
    transitions = list[str]()
    for given in w.transitions:
        named = getattr(getattr(given, "word", given), "name", "")
        if isinstance(given, word.Transition | word.Command) and words.get(named) is given:
            transitions.append(named)
        else:
            detail = f"`{name}` publishes something that isn't a transition of this entity"
            listed = isinstance(given, list | tuple)
            mend = "Write publish(ONE, ANOTHER, ...)." if listed else "Name transitions of the same body."
            notes.note(w.place, "publication-unreadable", detail, mend)
    if not w.transitions:
        detail = f"`{name}` publishes nothing"
        notes.note(w.place, "publication-unreadable", detail, "Write publish(TRANSITION, ...).")
    length: Any = w.retried_for
    if not isinstance(length, timedelta) or not timedelta(0) < length <= timedelta(days=RETRIED_DAYS_MAX):
        mend = f"Write a length of time, at most {RETRIED_DAYS_MAX} days."
        notes.note(w.place, "publication-unreadable", f"`{name}` is retried for {length!r:.40}", mend)
        length = timedelta(days=3)
    by = notes.condition(w.by, w.place)
    return Publication(name, tuple(transitions), fields, by, length.total_seconds(), w.place)


def publishing_mistakes(entity: Entity) -> Iterator[Mistake]:
    """Every transition that is published twice, and every policy that asks for more than the actor."""
    published = dict[str, str]()
    for publication in entity.publications:
        where = f"{entity.name}.{publication.name}"
        for name in publication.transitions:
            if published.setdefault(name, publication.name) != publication.name:
                detail = f"{where}: {name} is published by {published[name]} already"
                yield at(publication.place, "declared-twice", detail, "Name it once.")
        if any(not isinstance(node, OF_THE_ACTOR) for node in walk(publication.by)):
            detail = f"{where}: who may subscribe depends on more than who asks"
            yield at(publication.place, "publication-unreadable", detail, 'Write by=role("...").')
