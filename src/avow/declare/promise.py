"""The words for what is looked for by trying: `always` is never false, `sometimes` can be reached."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar, overload

from avow.declare.annotation import signature_of
from avow.declare.body import source_hash
from avow.declare.expression import Condition
from avow.declare.given import text
from avow.declare.machine import at
from avow.declare.place import here
from avow.declare.surface import Command, Entity, Named, Transition
from avow.declare.typing import condition_faults
from avow.errors import Mistake
from avow.model import entity as model
from avow.model import expression as ast
from avow.model.place import Place
from avow.model.promise import Promise
from avow.model.values import Subject

E = TypeVar("E", bound=Entity)


class World(Protocol):
    """All records there are, as a promise over them sees them; they can only be read."""

    @property
    def now(self) -> datetime:
        """The time at which it is looked at."""
        ...

    def all(self, kind: type[E]) -> Sequence[E]:
        """Every record of an entity, in the order in which they were created."""
        ...

    def performers(self, record: Entity, step: Transition | Command[...]) -> frozenset[Subject]:
        """Who has performed a transition on a record, ever: `world.performers(one, Order.approve)`."""
        ...


class Always(Named):
    """A condition that is never false."""

    def __init__(self, condition: Condition, message: str) -> None:
        super().__init__()
        self.condition, self.message = condition, text(message, "message")


class Sometimes(Named):
    """A condition that can be reached."""

    def __init__(self, condition: Condition, message: str) -> None:
        super().__init__()
        self.condition, self.message = condition, text(message, "message")


@overload
def always(condition: str) -> Callable[[Callable[[World], bool]], Promise]: ...
@overload
def always(condition: Condition, message: str = ...) -> Always: ...
def always(
    condition: Condition | str, message: str = ""
) -> Always | Callable[[Callable[[World], bool]], Promise]:
    """Declare a promise. Nothing enforces it: `avow prove` tries to break it.

    In an entity: a condition over each of its records and those that they refer to, `always(taken <= seats,
    "A course never has more places taken than seats.")`. Outside, the decorator of a pure function over all
    records, `@always("No cent is made or lost.")`, which is handed to `system(..., promises=[...])`.
    """
    if not isinstance(condition, str):
        return Always(condition, message)
    sentence, place = condition, here()

    def declared(holds: Callable[[World], bool]) -> Promise:
        return Promise(getattr(holds, "__name__", "promise"), sentence, holds, source_hash(holds), place)

    return declared


def sometimes(condition: Condition, message: str = "") -> Sometimes:
    """Declare a goal: a condition that some record can come to. Where none does, `avow prove` says so.

    It guards against rules that hold only because nothing happens: `sometimes(in_state(approved), "An
    application can be approved.")`.
    """
    return Sometimes(condition, message)


def promise_mistakes(entity: model.Entity, entities: Mapping[str, model.Entity]) -> Iterator[Mistake]:
    """Promises and goals that can't be looked at between two commands, or make no sense."""
    for promise in (*entity.promises, *entity.goals):
        what = f"{entity.name}.{promise.name}"
        fleeting = next((n for n in ast.walk(promise.condition) if isinstance(n, _OF_A_COMMAND)), None)
        if fleeting is not None:
            detail = f"{what}: `{ast.render(fleeting)}` exists only while a command runs"
            mend = "Compare what the records hold: fields, states, votes(...)."
            yield at(promise.place, "promise-unreadable", detail, mend)
            continue
        for fault in condition_faults(promise.condition, entity, entities, None):
            yield at(promise.place, fault.code, f"{what}: {fault.detail}", fault.mend)


_OF_A_COMMAND = (
    ast.HasRole, ast.Performed, ast.ActorSubject, ast.Authenticated, ast.Internal, ast.Argument,
)  # fmt: skip


def read_promises(given: Iterable[Any], place: Place, mistakes: list[Mistake]) -> tuple[Promise, ...]:
    """The promises over all records; what is none is reported."""
    found = dict[str, Promise]()
    for one in given if isinstance(given, Iterable) else (given,):  # pyright: ignore[reportUnnecessaryIsInstance]
        fault = _fault(one)
        if fault is None and one.name in found:
            fault = f"two promises are called {one.name}"
        if fault is not None:
            where = one.place if isinstance(one, Promise) else place
            mend = 'Write @always("What is true.") above def NAME(world: World) -> bool.'
            mistakes.append(at(where, "promise-unreadable", fault, mend))
        else:
            found[one.name] = one
    return tuple(found.values())


def _fault(given: Any) -> str | None:
    if not isinstance(given, Promise):
        return f"{given!r:.40} is no promise over all records"
    if not callable(given.holds):
        return "what stands below @always isn't a function"
    if inspect.iscoroutinefunction(given.holds):
        return f"{given.name} doesn't run to its end at once"
    try:
        signature_of(given.holds).bind(object())
    except (TypeError, ValueError):
        return f"{given.name} doesn't take a world"
    return None
