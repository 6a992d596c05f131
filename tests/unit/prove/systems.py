"""Small systems that the tests of prove try to break."""

from __future__ import annotations

from avow import (
    Entity,
    State,
    Subject,
    World,
    actor,
    always,
    authenticated,
    create,
    field,
    performed,
    quota,
    read,
    ref,
    role,
    sometimes,
    system,
    transition,
    unique,
)
from avow.model.system import System

clerk = role("clerk")


class Shelf(Entity):
    """Room for so many books."""

    room: int = field(ge=1, le=3)
    visible = read(by=authenticated)
    up, down = State(initial=True), State(final=True)
    build = create(up, by=clerk, sets=[room])
    pull_down = transition(up, to=down, by=clerk)


class Book(Entity):
    """A book that somebody brings, and somebody else puts on a shelf."""

    title: str = field(max_length=20)
    owner: Subject = field(default=actor)
    shelf: Shelf = ref()
    visible = read(by=authenticated)
    brought, kept, gone = State(initial=True), State(), State(final=True)
    one_each = unique(title, among=[brought, kept])
    fits = quota(shelf, among=[kept], limit=shelf.room)
    can_be_kept = sometimes(title == "a", "A book can be called a.")

    bring = create(brought, by=authenticated, sets=[title, shelf])
    keep = transition(brought, to=kept, by=clerk & ~performed(bring))
    fetch = transition([brought, kept], to=gone, by=actor == owner)


@always("Who brings a book doesn't put it on the shelf.")
def by_another(world: World) -> bool:
    return not any(
        world.performers(one, Book.bring) & world.performers(one, Book.keep) for one in world.all(Book)
    )


@always("A shelf that books stand on stays up.")
def shelves_stay(world: World) -> bool:
    return not any(book.shelf.state == "down" for book in world.all(Book) if book.state == "kept")


SOUND: System = system("library", Shelf, Book, promises=[by_another])
UNSOUND: System = system("library", Shelf, Book, promises=[by_another, shelves_stay])
