"""The words of a declaration: what stands in the body of an `Entity`.

Each word makes one small object that remembers its arguments and its place; `declare.build` turns
them into the frozen model. Nothing is checked here, so that every mistake is reported at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ClassVar, Concatenate, Generic, ParamSpec, TypeVar, cast, overload
from uuid import UUID

from avow.declare.effect import EffectWord, OutcomeWord
from avow.declare.expression import Condition, Formula, Policy, Term, several
from avow.declare.given import flag, text
from avow.declare.people import TaskWord
from avow.declare.place import Token, declaring_frame, here, misuse, remember, take_words, token_of
from avow.declare.sender import EventWord
from avow.model import expression as ast
from avow.model.actor import Actor
from avow.model.draft import BodyFault, Draft, Refusal
from avow.model.place import Place
from avow.model.trigger import Delay

P = ParamSpec("P")
H = TypeVar("H", bound="Entity")

UNSET: Any = object()


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits of a value, beyond its Python type; `limits()` makes it for an argument."""

    ge: Any = None
    le: Any = None
    max_length: int | None = None
    min_length: int | None = None
    pattern: str | None = None
    digits: int | None = None
    scale: int | None = None
    currency: str | None = None
    max_items: int | None = None


@dataclass(frozen=True, slots=True)
class PrivateWord:
    """What makes a field private; see `private()`."""

    of: Any
    searchable: bool
    keep: Any


@dataclass(slots=True)
class FieldWord:
    """What `field()`, `ref()` and `private()` remember."""

    place: Place
    bounds: Bounds
    default: Any
    read: Condition | None
    reference: bool
    private: PrivateWord | None = None
    name: str = ""
    token: Token = dataclass_field(init=False)

    def __post_init__(self) -> None:
        self.token = token_of(self)


class FieldTerm(Term):
    """A field under its name in the class body; on a record's handle it is its value."""

    __slots__ = ("avow_word",)

    def __init__(self, word: FieldWord) -> None:
        super().__init__(ast.FieldOf((word.token,)))
        self.avow_word = word
        remember(self, word.place)

    def __set_name__(self, owner: type, name: str) -> None:
        self.avow_word.name = name

    def __get__(self, handle: Entity | None, owner: type | None = None) -> Any:
        return self if handle is None else handle.avow_draft.get(self.avow_word.name)

    def __set__(self, handle: Entity, value: Any) -> None:
        handle.avow_draft.set(self.avow_word.name, value)

    __hash__ = Term.__hash__


def field(
    *,
    default: Any = UNSET,
    ge: Any = None,
    le: Any = None,
    max_length: int | None = None,
    min_length: int | None = None,
    pattern: str | None = None,
    digits: int | None = None,
    scale: int | None = None,
    currency: str | None = None,
    max_items: int | None = None,
    read: Condition | None = None,
) -> Any:
    """Declare a field; its type is the annotation.

    default:  a constant, `actor` or `now`; without one a creation has to set the field.
    ge, le:   least and greatest value of a number or money (compared by amount).
    max_length, min_length, pattern: of a string, in characters; 1,000 at most unless you say more.
    digits, scale: of a Decimal: digits in all (18) and after the point (6).
    currency, scale: of Money: ISO 4217 code; the scale is the currency's own unless given.
    max_items: of a list (100).
    read:     who may see it, beyond those who may read the record at all; over own fields and the actor.
    """
    bounds = Bounds(ge, le, max_length, min_length, pattern, digits, scale, currency, max_items)
    return FieldTerm(FieldWord(here(), bounds, default, read, reference=False))


def ref(*, default: Any = UNSET, read: Condition | None = None) -> Any:
    """Declare a reference to another record of the same tenant; its entity is the annotation."""
    return FieldTerm(FieldWord(here(), Bounds(), default, read, reference=True))


def limits(
    *,
    ge: Any = None,
    le: Any = None,
    max_length: int | None = None,
    min_length: int | None = None,
    pattern: str | None = None,
    digits: int | None = None,
    scale: int | None = None,
    currency: str | None = None,
    max_items: int | None = None,
) -> Bounds:
    """Limits of an argument or of a value object's member: `amount: Annotated[Decimal, limits(ge=0)]`.

    An argument that has a field's name and type has the field's limits by itself.
    """
    return Bounds(ge, le, max_length, min_length, pattern, digits, scale, currency, max_items)


class Named:
    """A word that learns its name from the class body."""

    def __init__(self) -> None:
        self.place = here()
        self.name = ""
        self.token = token_of(self)
        remember(self, self.place)

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name


class State(Named):
    """Declare a state.

    initial: creations may end in it. final: nothing has to follow.
    invoke:  an effect, or several at once; a record in this state waits for the outcome of each. One that
             goes on to a state that invokes the same effect goes on waiting for the same call.
    withdraw: a call that hasn't begun when this state is entered isn't made any more; that counts as
             `failed`.
    owed:    the call has to be done, so `failed` leads nowhere: it waits for a person, as `unknown` does.
    undoes:  a field that holds the key of an earlier call, `sets={card_key: authorize.key}`; the effect's
             function finds it in `call.undoes`.
    reveals: private fields that the effect's function is told in clear, as `call.private`.
    """

    def __init__(
        self, *, initial: bool = False, final: bool = False, invoke: EffectWord | Iterable[EffectWord] = (),
        withdraw: bool = False, owed: bool = False, undoes: Any = None, reveals: Any = (),
    ) -> None:  # fmt: skip
        super().__init__()
        self.initial, self.final = flag(initial, "initial"), flag(final, "final")
        self.withdraw, self.owed = flag(withdraw, "withdraw"), flag(owed, "owed")
        self.invoke: tuple[Any, ...] = several(invoke)
        self.undoes = undoes
        self.reveals: tuple[Any, ...] = several(reveals)


class Command(Generic[P]):
    """A transition with a body: on a handle it is the typed method that performs it."""

    def __init__(self, word: Transition, body: Callable[Concatenate[Any, P], None]) -> None:
        self.word, self.body = word, body

    def __set_name__(self, owner: type, name: str) -> None:
        self.word.name = name

    @overload
    def __get__(self, handle: None, owner: type) -> Command[P]: ...
    @overload
    def __get__(self, handle: Entity, owner: type) -> Callable[P, None]: ...
    def __get__(self, handle: Entity | None, owner: type) -> Command[P] | Callable[P, None]:
        return self if handle is None else _performer(handle, self.word.name)


class Transition(Named):
    """A transition without a body, or the decorator of one with a body."""

    def __init__(self, sources: Iterable[State], target: State, by: Condition | None, **rest: Any) -> None:
        super().__init__()
        self.sources, self.target, self.by = tuple(sources), target, by
        self.when: Condition | None = rest.get("when")
        sets: Any = rest.get("sets", ())
        mapped = isinstance(sets, Mapping)
        self.assigns: dict[Any, Any] = dict(cast("Mapping[Any, Any]", sets)) if mapped else {}
        self.sets: tuple[Any, ...] = () if mapped else several(sets)
        self.on: OutcomeWord | EventWord | None = rest.get("on")
        self.match: Any = rest.get("match")
        self.after: Delay | timedelta | None = rest.get("after")
        self.every: Delay | timedelta | None = rest.get("every")
        self.at: Any = rest.get("at")
        self.uses: tuple[Any, ...] = several(rest.get("uses", ()))
        self.task: TaskWord | None = rest.get("task")
        self.approvals: Any = rest.get("approvals")
        self.voids: tuple[Any, ...] = several(rest.get("voids", ()))
        self.command = text(rest.get("command"), "command", None)
        self.erases: Any = rest.get("erases")
        self.precondition = flag(rest.get("precondition", False), "precondition")
        self.creation: bool = rest.get("creation", False)

    def __call__(self, body: Callable[Concatenate[H, P], None]) -> Command[P]:
        return Command(self, body)

    @overload
    def __get__(self, handle: None, owner: type) -> Transition: ...
    @overload
    def __get__(self, handle: Entity, owner: type) -> Callable[..., None]: ...
    def __get__(self, handle: Entity | None, owner: type) -> Transition | Callable[..., None]:
        return self if handle is None else _performer(handle, self.name)


def transition(
    sources: State | Iterable[State],
    *,
    to: State,
    by: Condition | None = None,
    on: OutcomeWord | EventWord | None = None,
    match: Any = None,
    after: Delay | timedelta | None = None,
    every: Delay | timedelta | None = None,
    at: Any = None,
    when: Condition | None = None,
    uses: Any = (),
    sets: Iterable[Any] | Mapping[Any, Any] = (),
    task: TaskWord | None = None,
    approvals: Any = None,
    voids: Any = (),
    erases: Any = None,
    command: str | None = None,
    precondition: bool = False,
) -> Transition:
    """Declare a transition, by itself or as the decorator of its body.

    sources: the states it leaves. to: the state it enters.
    by:      who may, for a command. A transition has exactly one trigger: this, or one of `on`, `after`,
             `every` and `at`.
    on:      the outcome of the call that its states invoke: `capture.done`; or an event: `paid`.
    match:   which record an event is about: `reference == paid.data.reference`, a field that is unique;
             or `paid.data.order`, the record's id.
    after:   a length of time since the state was entered. every: the same, again and again.
    at:      an instant: a field, also with a length of time added or taken away. While the field has no
             value, nothing is due.
    when:    what must hold as well (the guard). A timer whose guard doesn't hold passes without effect.
    uses:    references whose records the body reads or moves; they are locked with this one.
    sets:    fields that take the command's arguments of the same name; or a mapping of fields to what they
             take: `sets={receipt_no: capture.result.id}`.
    task:    puts its command into the inbox of a role, as long as the record is in one of `sources`:
             `task(dean, due=timedelta(days=3))`.
    approvals: how many different people have to give the command before it happens: a number, or by
             conditions: `[(amount < 1000, 1), (amount < 10_000, 2), 3]`. Until then it is counted.
    voids:   steps that count no longer once this has happened: `voids=approve` on what changes the content.
    erases:  the field that names a person: everything private about them is erased with the transition.
    command: the word that callers use; several transitions of one command need guards that exclude
             each other.
    precondition: callers must name the version they have seen (If-Match).
    """
    return Transition(
        several(sources), to, by, on=on, match=match, after=after, every=every, at=at, when=when, uses=uses,
        sets=sets, task=task, approvals=approvals, voids=voids, erases=erases, command=command,
        precondition=precondition,
    )  # fmt: skip


def create(
    to: State,
    *,
    by: Condition | None = None,
    when: Condition | None = None,
    uses: Any = (),
    sets: Iterable[Any] = (),
    erases: Any = None,
) -> Transition:
    """Declare how a record comes into being: it starts in `to`. The rest is as for `transition`."""
    return Transition((), to, by, when=when, uses=uses, sets=sets, erases=erases, creation=True)


class Read(Named):
    """Who may read the records of an entity."""

    def __init__(self, by: Condition | None) -> None:
        super().__init__()
        self.by = by


def read(*, by: Condition) -> Read:
    """Declare who may read a record; lists are filtered by the same policy. Nobody else knows it exists."""
    return Read(by)


class Publish(Named):
    """Which transitions the outside is told of."""

    def __init__(
        self, transitions: tuple[Any, ...], data: tuple[Any, ...], by: Condition, retried_for: timedelta
    ) -> None:
        super().__init__()
        self.transitions, self.data, self.by, self.retried_for = transitions, data, by, retried_for


def publish(
    *transitions: Transition | Command[...],
    data: Iterable[Any] = (),
    by: Condition,
    retried_for: timedelta = timedelta(days=3),
) -> Publish:
    """Declare which transitions others may be told of. Nothing is published that isn't named here.

    data: fields that are told beside the record's id, version and state, as they are after the transition.
    by:   who may subscribe, in words about the actor alone: `role("integrator")`.
    retried_for: how long a delivery is tried before a person has to look at it.
    """
    return Publish(transitions, several(data), by, retried_for)


def performed(step: Transition | Command[...]) -> Policy:
    """True when the actor has performed `step` on this record: `dean & ~performed(verify)` is four eyes.

    Whoever has delegated it to the one who performed it counts as well.
    """
    word = _step("performed", step)
    return Policy(ast.Everybody() if word is None else ast.Performed(word.token))


def votes(step: Transition | Command[...]) -> Any:
    """How many different people have performed `step` on this record: `when=votes(review) >= 2`."""
    word = _step("votes", step)
    return Formula(ast.Const(0) if word is None else ast.Votes(word.token))


def _step(asking: str, step: Any) -> Transition | None:
    word = step.word if isinstance(step, Command) else step  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    if isinstance(word, Transition):
        return word
    misuse("transition-unknown", f"{asking}() takes a transition, not {word!r:.40}", "Name one.")
    return None


def in_state(*states: State, of: Any = None) -> Policy:
    """True while the record, or the one that the reference `of` points to, is in one of the states."""
    given = list[object](states)
    known = [state for state in given if isinstance(state, State)]
    if len(known) != len(given) or not known:
        detail = "in_state() takes one state or several, and no texts"
        misuse("state-undeclared", detail, "Name the State() itself, without quotes.")
    path = of.avow_node.path if isinstance(of, Term) and isinstance(of.avow_node, ast.FieldOf) else ()
    return Policy(ast.InState(tuple(state.token for state in known), path))


def refuse(message: str) -> Refusal:
    """Refuse the command from inside a body, in words for the caller: `raise refuse("It has begun.")`."""
    return Refusal(message)


class Entity:
    """One kind of record. Subclass it, and declare its fields, states, transitions and rules in the body.

    plural: the resource and the table, where an s isn't enough: `class Person(Entity, plural="people")`.
    """

    avow_place: ClassVar[Place] = Place()
    avow_plural: ClassVar[str | None] = None
    avow_words: ClassVar[dict[str, Any]] = {}
    avow_locals: ClassVar[dict[str, Any]] = {}
    avow_globals: ClassVar[dict[str, Any]] = {}
    avow_lost: ClassVar[list[Any]] = []

    def __init_subclass__(cls, *, plural: str | None = None) -> None:
        frame = declaring_frame()
        cls.avow_place = Place(frame.f_code.co_filename, frame.f_lineno)
        cls.avow_plural = text(plural, "plural", None)
        cls.avow_words = dict(cls.__dict__)
        cls.avow_globals, cls.avow_locals = frame.f_globals, {}
        if frame.f_locals is not frame.f_globals:
            cls.avow_locals = dict(frame.f_locals)
        held = {id(w.word if isinstance(w, Command) else w) for w in cls.avow_words.values()}
        cls.avow_lost = [w for w in take_words(cls.__qualname__, cls.avow_place) if id(w) not in held]

    def __init__(self, draft: Draft) -> None:
        """Made by the engine only: a handle on the record behind `draft`."""
        object.__setattr__(self, "avow_draft", draft)

    avow_draft: Draft

    def __setattr__(self, name: str, value: Any) -> None:
        """Assign a declared field. Anything else would be lost without a word, and is refused."""
        if not isinstance(type(self).avow_words.get(name), FieldTerm):
            raise BodyFault(f"{type(self).__name__} has no field `{name}`")
        self.avow_draft.set(name, value)

    @property
    def id(self) -> UUID:
        """The record's id."""
        return self.avow_draft.id

    @property
    def version(self) -> int:
        """How many transitions the record has taken so far."""
        return self.avow_draft.version

    @property
    def state(self) -> str:
        """The name of the state that the record is in."""
        return self.avow_draft.state

    @property
    def now(self) -> datetime:
        """The time of the decision, from the database's clock."""
        return self.avow_draft.now

    @property
    def actor(self) -> Actor:
        """Who sent the command."""
        return self.avow_draft.actor

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Entity) and type(self) is type(other) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)


def draft_of(handle: Entity) -> Draft:
    """The kernel's side of a handle."""
    return handle.avow_draft


def _performer(handle: Entity, name: str) -> Callable[..., None]:
    return partial(_perform, handle, name)


def _perform(handle: Entity, name: str, *args: Any, **kwargs: Any) -> None:
    draft_of(handle).call(name, args, kwargs)
