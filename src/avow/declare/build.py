"""From the words of the class bodies to the frozen model, collecting every mistake on the way."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from avow.declare import surface as word
from avow.declare.annotation import Unreadable, annotations_of, read_type
from avow.declare.check import check_system
from avow.declare.expression import Symbolic, node_of, source_hash
from avow.declare.loads import loads_of
from avow.declare.place import here, take_misuses
from avow.errors import DeclarationError, Mistake
from avow.model import expression as ast
from avow.model import types as kinds
from avow.model.entity import (
    Entity,
    Exclusion,
    Field,
    Invariant,
    Parameter,
    Place,
    Quota,
    State,
    Transition,
    Unique,
)
from avow.model.system import System

RESERVED = frozenset(
    {"id", "version", "state", "now", "actor", "tenant", "head", "boundary", "changed_at", "given", "etag", "why"}
)
_LIMITED = kinds.Text | kinds.Integer | kinds.DecimalType
_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}", re.ASCII)


def system(name: str, *entities: type[word.Entity]) -> System:
    """Close a declaration: the application's name, and all of its entities.

    Raises DeclarationError with every mistake at once. Warnings alone don't raise; `warnings()` has them.
    """
    return build(name, *entities)[0]


def build(name: str, *entities: type[word.Entity]) -> tuple[System, tuple[Mistake, ...]]:
    """As `system`, together with the warnings."""
    place = here()
    files = {place.file, *(entity.avow_place.file for entity in entities)}
    mistakes = take_misuses(files)
    if not _NAME.fullmatch(name) or name in {"avow", "public", "information_schema"} or name.startswith("pg_"):
        mistakes.append(_mistake(place, "name-invalid", f"`{name}` can't name a schema", "Use lower-case words joined by _."))
    for twice in {e.__name__ for e in entities if sum(e.__name__ == o.__name__ for o in entities) > 1}:
        mistakes.append(_mistake(place, "declared-twice", f"two entities are called {twice}", "Rename one of them."))
    namespace = {entity.__name__: entity for entity in entities}
    built = {entity.__name__: _EntityBuilder(entity, namespace, mistakes).build() for entity in entities}
    if not any(not mistake.warning for mistake in mistakes):
        made = System(name, {n: _with_loads(e, built) for n, e in built.items()})
        mistakes.extend(check_system(made))
        if not any(not mistake.warning for mistake in mistakes):
            return made, tuple(sorted(mistakes))
    else:
        mistakes.extend(check_system(System(name, built), broken=True))
    raise DeclarationError(list(dict.fromkeys(mistakes)))


def _with_loads(entity: Entity, built: Mapping[str, Entity]) -> Entity:
    transitions = {
        name: replace(transition, loads=loads_of(entity, transition, built))
        for name, transition in entity.transitions.items()
    }
    return replace(entity, transitions=transitions)


def _mistake(place: Place, code: str, detail: str, mend: str, warning: bool = False) -> Mistake:
    return Mistake(place.file, place.line, code, detail, mend, warning)


class _EntityBuilder:
    """Builds one entity; what can't be built is left out and remembered as a mistake."""

    def __init__(self, declared: type[word.Entity], namespace: Mapping[str, Any], mistakes: list[Mistake]) -> None:
        self.declared, self.mistakes = declared, mistakes
        self.words = declared.avow_words
        self.namespace = {**declared.avow_locals, **namespace}
        self.annotations = annotations_of(declared, self.namespace)

    def build(self) -> Entity:
        declared = self.declared
        states = {name: State(name, w.initial, w.final, w.place) for name, w in self._words(word.State)}
        fields = {f.name: f for name, w in self._words(word.FieldTerm) if (f := self._field(name, w.avow_word))}
        self._demand_names(fields)
        transitions = self._transitions(fields)
        reads = [w for _, w in self._words(word.Read)]
        return Entity(
            name=declared.__name__,
            plural=declared.avow_plural or f"{_snake(declared.__name__)}s",
            fields=fields,
            states=states,
            transitions=transitions,
            read=self._read(reads),
            invariants=tuple(
                Invariant(name, node_of(w.condition), w.message or name, w.place)
                for name, w in self._words(word.Invariant)
            ),
            uniques=tuple(
                Unique(name, self._names(w.fields, w.place), self._state_names(w.among, w.place), w.message, w.place)
                for name, w in self._words(word.Unique)
            ),
            exclusions=tuple(self._exclusion(name, w) for name, w in self._words(word.Exclusion)),
            quotas=tuple(self._quota(name, w) for name, w in self._words(word.Quota)),
            tracked=_tracked(transitions, reads),
            doc=inspect.cleandoc(declared.__doc__ or ""),
            bind=declared,
            place=declared.avow_place,
        )

    def _words(self, kind: Any) -> list[tuple[str, Any]]:
        return [(name, held) for name, held in self.words.items() if isinstance(held, kind)]

    def _note(self, place: Place, code: str, detail: str, mend: str) -> None:
        self.mistakes.append(_mistake(place, code, f"{self.declared.__name__}: {detail}", mend))

    def _demand_names(self, fields: Mapping[str, Field]) -> None:
        for name, held in self.words.items():
            place = held.avow_word.place if isinstance(held, word.FieldTerm) else getattr(held, "place", None)
            place = held.word.place if isinstance(held, word.Command) else place
            if place is None or not isinstance(held, word.FieldTerm | word.Named | word.Command):
                continue
            if not _NAME.fullmatch(name):
                self._note(place, "name-invalid", f"`{name}` isn't a usable name", "Use lower-case ASCII words joined by _, at most 48 characters.")
            elif name in RESERVED or name.startswith(("avow_", "by_")):
                self._note(place, "name-reserved", f"`{name}` is kept for the engine", "Choose another name.")
        for name in self.annotations:
            if name not in self.words and not name.startswith("avow_"):
                self._note(self.declared.avow_place, "field-without-word", f"`{name}` has a type but isn't declared", f"Write {name}: ... = field().")

    def _field(self, name: str, w: word.FieldWord) -> Field | None:
        if name not in self.annotations:
            self._note(w.place, "type-missing", f"`{name}` has no type", f"Write {name}: TYPE = field(...).")
            return None
        try:
            kind, optional = read_type(self.annotations[name], w.bounds)
        except Unreadable as unreadable:
            self._note(w.place, "type-unreadable", f"`{name}`: {unreadable.detail}", unreadable.mend)
            return None
        if isinstance(kind, kinds.Reference) is not w.reference:
            right = "ref()" if isinstance(kind, kinds.Reference) else "field()"
            self._note(w.place, "reference-word", f"`{name}` is declared with the wrong word", f"Write {name}: ... = {right}.")
        default = None if w.default is word.UNSET else node_of(w.default)
        default = self._demand_default(name, kind, optional, default, w.place)
        read = None if w.read is None else node_of(w.read)
        return Field(name, kind, optional, default, read, "", w.place)

    def _demand_default(
        self, name: str, kind: kinds.ValueType, optional: bool, default: ast.Expression | None, place: Place
    ) -> ast.Expression | None:
        if not isinstance(default, ast.Const):
            return default
        if default.value is None:
            if not optional:
                self._note(place, "default-unfit", f"`{name}` starts with None, but must have a value", "Write `| None` in its type.")
            return None
        try:
            return ast.Const(kind.fit(default.value, name))
        except kinds.Misfit as misfit:
            self._note(place, "default-unfit", f"the default of `{name}` {misfit.flaws[0].detail}", "Correct the default or the bounds.")
            return default

    def _transitions(self, fields: Mapping[str, Field]) -> dict[str, Transition]:
        found = dict[str, Transition]()
        for name, held in self.words.items():
            if isinstance(held, word.Transition):
                found[name] = self._transition(name, held, None, fields)
            elif isinstance(held, word.Command):
                found[name] = self._transition(name, held.word, held.body, fields)
        return found

    def _transition(self, name: str, w: word.Transition, body: Any, fields: Mapping[str, Field]) -> Transition:
        sets = self._names(w.sets, w.place)
        parameters = [
            Parameter(n, fields[n].type, fields[n].optional or fields[n].default is not None) for n in sets if n in fields
        ]
        if body is not None:
            parameters.extend(self._parameters(name, w, body, fields))
        if w.by is None:
            self._note(w.place, "policy-missing", f"nobody is said to be allowed to {name}", f"Write {name} = transition(..., by=...); by=everybody if it is meant.")
        return Transition(
            name=name,
            command=w.command or name,
            sources=self._state_names(w.sources, w.place),
            target=next(iter(self._state_names((w.target,), w.place)), "?"),
            by=ast.Internal() if w.by is None else self._condition(w.by, w.place),
            when=None if w.when is None else self._condition(w.when, w.place),
            parameters=tuple(parameters),
            sets=sets,
            uses=self._names(w.uses, w.place),
            body=body,
            body_hash="" if body is None else source_hash(body),
            creation=w.creation,
            precondition=w.precondition,
            doc=inspect.cleandoc(getattr(body, "__doc__", None) or ""),
            place=w.place,
        )

    def _condition(self, condition: Any, place: Place) -> ast.Expression:
        if isinstance(condition, bool):
            self._note(place, "condition-constant", f"the condition is always {condition}", "Write everybody or internal, or an expression over fields and actor.")
        elif not isinstance(condition, Symbolic):
            self._note(place, "condition-unreadable", f"a {type(condition).__name__} isn't a condition", "Write role(...), actor == field, or a comparison; a Python function goes into opaque().")
            return ast.Internal()
        return node_of(condition)

    def _parameters(self, name: str, w: word.Transition, body: Any, fields: Mapping[str, Field]) -> Iterable[Parameter]:
        hints = annotations_of(body, self.namespace)
        for argument in list(inspect.signature(body).parameters.values())[1:]:
            where = f"`{name}({argument.name})`"
            if argument.kind not in (argument.POSITIONAL_OR_KEYWORD, argument.KEYWORD_ONLY):
                self._note(w.place, "argument-unreadable", f"{where} isn't a plain argument", "Name each argument.")
                continue
            if argument.name not in hints:
                self._note(w.place, "type-missing", f"{where} has no type", "Annotate it.")
                continue
            try:
                kind, optional = self._argument_type(hints[argument.name], fields.get(argument.name))
                has_default = argument.default is not argument.empty
                default = kind.fit(argument.default, argument.name) if has_default and argument.default is not None else None
            except Unreadable as unreadable:
                self._note(w.place, "type-unreadable", f"{where}: {unreadable.detail}", unreadable.mend)
                continue
            except kinds.Misfit as misfit:
                self._note(w.place, "default-unfit", f"the default of {where} {misfit.flaws[0].detail}", "Correct it.")
                continue
            yield Parameter(argument.name, kind, optional or has_default, default)

    def _argument_type(self, annotation: Any, same: Field | None) -> tuple[kinds.ValueType, bool]:
        """The type of an argument; one with a field's name and Python type has the field's limits."""
        bare = not hasattr(annotation, "__metadata__")
        try:
            kind, optional = read_type(annotation, word.Bounds())
        except Unreadable:
            if bare and same is not None and isinstance(same.type, kinds.MoneyType):
                return same.type, False
            raise
        if bare and same is not None and type(same.type) is type(kind) and isinstance(kind, _LIMITED):
            return same.type, optional
        return kind, optional

    def _read(self, reads: list[word.Read]) -> ast.Expression:
        if not reads:
            self._note(self.declared.avow_place, "policy-missing", "nobody is said to be allowed to read it", "Write visible = read(by=...) in its body.")
            return ast.Internal()
        for surplus in reads[1:]:
            self._note(surplus.place, "declared-twice", "who may read it is declared twice", "Join the two policies with |.")
        return self._condition(reads[0].by, reads[0].place)

    def _names(self, terms: Iterable[Any], place: Place) -> tuple[str, ...]:
        names = list[str]()
        for term in terms:
            if isinstance(term, word.FieldTerm) and term is self.words.get(term.avow_word.name):
                names.append(term.avow_word.name)
            else:
                self._note(place, "field-unknown", "something named here isn't a field of this entity", "Name fields that are declared in the same body.")
        return tuple(names)

    def _state_names(self, states: Iterable[Any], place: Place) -> tuple[str, ...]:
        names = list[str]()
        for state in states:
            if isinstance(state, word.State) and self.words.get(state.name) is state:
                names.append(state.name)
            else:
                shown = f"`{state.name}`" if isinstance(state, word.State) else repr(state)
                self._note(place, "state-undeclared", f"{shown} isn't a state of this entity", "Declare it here: NAME = State().")
        return tuple(names)

    def _exclusion(self, name: str, w: word.Exclusion) -> Exclusion:
        span = self._names(w.span, w.place)
        start, end = span if len(span) == 2 else ("?", "?")
        return Exclusion(name, self._names(w.fields, w.place), start, end, self._state_names(w.among, w.place), w.message, w.place)

    def _quota(self, name: str, w: word.Quota) -> Quota:
        anchor = next(iter(self._names((w.per,), w.place)), "?")
        weight = None if w.weight is None else next(iter(self._names((w.weight,), w.place)), None)
        limit = _below(node_of(w.limit), anchor)
        return Quota(name, anchor, self._state_names(w.among, w.place), limit, weight, w.message, w.place)


def _below(node: ast.Expression, anchor: str) -> ast.Expression:
    """The limit of a quota, seen from the anchor: `course.seats` becomes `seats`."""
    match node:
        case ast.FieldOf(path) if path[0] == anchor and len(path) > 1:
            return ast.FieldOf(path[1:])
        case ast.Arithmetic(op, left, right):
            return ast.Arithmetic(op, _below(left, anchor), _below(right, anchor))
        case _:
            return node


def _tracked(transitions: Mapping[str, Transition], reads: list[word.Read]) -> tuple[str, ...]:
    conditions = [c for t in transitions.values() for c in (t.by, t.when) if c is not None]
    conditions += [node_of(r.by) for r in reads]
    named = {n.transition for c in conditions for n in ast.walk(c) if isinstance(n, ast.Performed)}
    return tuple(sorted(named))


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
