"""One class body as an entity of the model; what can't be built is reported and marked as unknown."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any

from avow.declare import promise, rule
from avow.declare import surface as word
from avow.declare.annotation import annotations_of
from avow.declare.body import body_mistakes, read_body, source_hash
from avow.declare.calling import called_elsewhere
from avow.declare.effect import EffectWord
from avow.declare.entity_names import NAME, RESERVED, inherits, name_mistakes
from avow.declare.expression import Symbolic, Term, node_of
from avow.declare.field import read_field
from avow.declare.invoking import read_effects
from avow.declare.naming import UNKNOWN_NAME, Names
from avow.declare.parameter import read_parameters
from avow.declare.private import Reveal, read_reveal
from avow.declare.publishing import read_publication
from avow.declare.saga import Saga
from avow.declare.sender import EventWord, SenderWord
from avow.declare.task import read_needed, read_task, voting
from avow.declare.told import concealed, private_sources
from avow.declare.trigger import parameters_of, read_trigger
from avow.errors import Mistake
from avow.model import expression as ast
from avow.model import types as kinds
from avow.model.article import with_article
from avow.model.effect import Effect
from avow.model.entity import (
    Entity,
    Exclusion,
    Field,
    Invariant,
    Parameter,
    Quota,
    State,
    Transition,
    Unique,
)
from avow.model.place import Place
from avow.model.promise import Always, Sometimes
from avow.model.publication import Publication
from avow.model.trigger import OnEvent, OnOutcome, Trigger

_HANDLE = frozenset({"id", "version", "state", "now", "actor"})


class EntityBuilder:
    """Builds one entity, once.

    written: the transitions as their owner wrote them; a saga's stand for their parts, without their ends.
    machine_unsure: a state or transition couldn't be read, so that what is wrong with the machine as
    a whole can't be told.
    """

    def __init__(
        self, declared: type[word.Entity], namespace: Mapping[str, Any], mistakes: list[Mistake]
    ) -> None:
        self.declared, self.mistakes = declared, mistakes
        self.words: Mapping[str, Any] = declared.avow_words
        self.namespace = {**declared.avow_locals, **namespace}
        self.annotations = annotations_of(declared, self.namespace, declared.avow_globals)
        self.machine_unsure = inherits(declared) or any(
            isinstance(lost, word.Transition) for lost in declared.avow_lost
        )
        self.effects: dict[str, Effect] = {}
        self.plural = declared.avow_plural or f"{_snake(declared.__name__)}s"
        self.written: list[Transition] = []
        self._made_by_sagas = set[str]()
        self._quiet = False
        self._expand_sagas()

    def build(self) -> Entity:
        """The entity; mistakes went into the list that was given."""
        declared, place = self.declared, self.declared.avow_place
        made = self._made_by_sagas.__contains__
        for told in name_mistakes(declared, self.plural, self.words, self.annotations, made):
            self.note(*told)
        states = {name: self._state(name, w) for name, w in self._words(word.State)}
        fields = {name: self._field(name, w.avow_word) for name, w in self._words(word.FieldTerm)}
        self.effects = read_effects(self, dict(self._words(word.State)))
        transitions = self._concealed(fields, self._transitions(fields))
        read = self._read()
        invariants = tuple(self._invariant(name, w) for name, w in self._words(rule.Invariant))
        promises = tuple(self._always(name, w) for name, w in self._words(promise.Always))
        goals = tuple(self._sometimes(name, w) for name, w in self._words(promise.Sometimes))
        others = [
            *(f.read for f in fields.values()),
            *(i.condition for i in (*invariants, *promises, *goals)),
        ]
        tracked = self._tracked(transitions, [read, *others])
        return Entity(
            name=declared.__name__,
            plural=self.plural,
            fields=fields,
            states=states,
            transitions=transitions,
            read=read,
            invariants=invariants,
            uniques=tuple(self._unique(name, w) for name, w in self._words(rule.Unique)),
            exclusions=tuple(self._exclusion(name, w) for name, w in self._words(rule.Exclusion)),
            quotas=tuple(self._quota(name, w) for name, w in self._words(rule.Quota)),
            tracked=tracked,
            effects=self.effects,
            publications=tuple(self._publication(name, w) for name, w in self._words(word.Publish)),
            promises=promises,
            goals=goals,
            doc=inspect.cleandoc(declared.__doc__ or ""),
            bind=declared,
            place=place,
        )

    def _expand_sagas(self) -> None:
        """Put what each saga stands for in its place, under names that nothing else has."""
        found = dict[str, Any]()
        for name, held in self.words.items():
            found[name] = held
            if not isinstance(held, Saga):
                continue
            self.machine_unsure = self.machine_unsure or bool(held.faults)
            for fault in held.faults:
                self.note(*fault)
            for made, w in held.words(self.annotations).items():
                if made in self.words or made in found:
                    place: Place = w.avow_word.place if isinstance(w, word.FieldTerm) else w.place
                    detail = f"`{made}` is declared twice: by itself, and by the saga {name}"
                    self.note(place, "declared-twice", detail, "Rename the effect, or the other one.")
                    self.machine_unsure = True
                found[made] = w
            self.annotations |= held.annotations
            self._made_by_sagas |= found.keys() - self.words.keys()
        self.words = found

    def senders(self) -> list[SenderWord]:
        """Whose events the entity's transitions listen to."""
        return [w.on.sender for w in self._transition_words() if isinstance(w.on, EventWord)]

    def _transition_words(self) -> list[word.Transition]:
        words = (held.word if isinstance(held, word.Command) else held for held in self.words.values())
        return [w for w in words if isinstance(w, word.Transition)]

    def _words(self, kind: Any) -> list[tuple[str, Any]]:
        return [(name, held) for name, held in self.words.items() if isinstance(held, kind)]

    def note(self, place: Place, code: str, detail: str, mend: str) -> None:
        """Remember a mistake of this entity."""
        if self._quiet:
            return
        detail = f"{self.declared.__name__}: {detail}"
        self.mistakes.append(Mistake(place.file, place.line, code, detail, mend))

    def named(self, value: object, place: Place) -> ast.Expression:
        """The expression behind a word, with names in place of tokens."""

        def foreign(code: str, detail: str, mend: str) -> None:
            self.note(place, code, detail, mend)

        return Names(self.words, foreign).named(node_of(value))

    def condition(self, condition: Any, place: Place) -> ast.Expression:
        """A condition; unknown where it isn't one."""
        if isinstance(condition, bool):
            mend = "Compare fields; missing(x) asks for None; everybody and internal are words."
            self.note(place, "condition-constant", f"the condition is always {condition}", mend)
            return ast.Everybody()
        if not isinstance(condition, Symbolic):
            mend = "Write role(...), actor == field, or a comparison; a Python function goes into opaque()."
            detail = f"{with_article(type(condition).__name__)} isn't a condition"
            self.note(place, "condition-unreadable", detail, mend)
            return ast.Everybody()
        return self.named(condition, place)

    def _state(self, name: str, w: word.State) -> State:
        invoke = tuple(dict.fromkeys(held.name for held in w.invoke if isinstance(held, EffectWord)))
        undoes = None if w.undoes is None else next(iter(self.field_names((w.undoes,), w.place)), None)
        reveals = self.field_names(w.reveals, w.place)
        return State(name, w.initial, w.final, invoke, w.withdraw, w.owed, undoes, reveals, w.place)

    def _field(self, name: str, w: word.FieldWord) -> Field:
        return read_field(self, name, w, self.annotations)

    def _read(self) -> ast.Expression:
        reads = [w for _, w in self._words(word.Read)]
        if not reads and inherits(self.declared):
            return ast.Everybody()  # it has been reported, and this only follows from it
        if not reads:
            detail, mend = (
                "nobody is said to be allowed to read it",
                "Write visible = read(by=...) in its body.",
            )
            self.note(self.declared.avow_place, "policy-missing", detail, mend)
            return ast.Everybody()
        for surplus in reads[1:]:
            mend = "Join the two policies with |."
            self.note(surplus.place, "declared-twice", "who may read it is declared twice", mend)
        return self.condition(reads[0].by, reads[0].place)

    def _transitions(self, fields: Mapping[str, Field]) -> dict[str, Transition]:
        found = dict[str, Transition]()
        for name, held in self.words.items():
            self._quiet = name in self._made_by_sagas  # what is wrong is told of the saga's own lines
            if isinstance(held, word.Transition):
                self._place(found, name, held, None, fields)
            elif isinstance(held, word.Command):
                self._place(found, name, held.word, self._plain(name, held), fields)
            elif isinstance(held, Reveal):
                states = dict(self._words(word.State))
                found.update((made.name, made) for made in read_reveal(self, name, held, fields, states))
        self._quiet = False
        self.written = [t for name, t in found.items() if name not in self._made_by_sagas]
        for name, saga in self._words(Saga):
            self.written += [self._transition(f"{name}{part}", w, None, fields) for part, w in saga.written()]
        return found

    def _plain(self, name: str, command: word.Command[...]) -> Any:
        """The function below a transition; anything else that stands there is reported, and left out."""
        if inspect.isfunction(command.body):
            return command.body
        detail = f"what stands below the transition `{name}` isn't a function"
        mend = "Write @transition(...) once, directly above a plain def."
        self.note(command.word.place, "body-not-plain", detail, mend)
        return None

    def _concealed(
        self, fields: Mapping[str, Field], transitions: Mapping[str, Transition]
    ) -> dict[str, Transition]:
        """The transitions, also as they were written, with private what goes into private fields."""
        sources = private_sources(self, fields, transitions.values())
        self.written = [concealed(self, t, sources) for t in self.written]
        return {name: concealed(self, t, sources) for name, t in transitions.items()}

    def _place(
        self, found: dict[str, Transition], name: str, w: word.Transition, body: Any,
        fields: Mapping[str, Field],
    ) -> None:  # fmt: skip
        """One transition; or the two of a command that several people have to give."""
        made = self._transition(name, w, body, fields)
        needed = read_needed(self, name, w)
        for transition in (made,) if needed is None else voting(made, needed):
            found[transition.name] = transition

    def _transition(
        self, name: str, w: word.Transition, body: Any, fields: Mapping[str, Field]
    ) -> Transition:
        sets, trigger = self.field_names(w.sets, w.place), read_trigger(self, name, w)
        parameters = [
            Parameter(n, fields[n].type, fields[n].optional or fields[n].default is not None) for n in sets
        ]
        taken = [] if body is None else list(read_parameters(self, name, w.place, body, fields))
        if trigger is None:
            parameters.extend(taken)
        else:
            parameters = self._told(name, w, trigger, [*parameters, *taken])
        if w.by is None and trigger is None and w.on is None:
            mend = f"Write {name} = transition(..., by=...); by=everybody if it is meant."
            self.note(w.place, "policy-missing", f"nobody is said to be allowed to {name}", mend)
        if w.command is not None and (not NAME.fullmatch(w.command) or w.command in RESERVED):
            mend = "Use lower-case ASCII words joined by _."
            self.note(w.place, "name-invalid", f"`{w.command}` can't name a command", mend)
        if not w.creation and not w.sources:
            self.machine_unsure = True
            self.note(w.place, "state-undeclared", f"`{name}` leaves no state", "Name the states it leaves.")
        made = Transition(
            name=name,
            command=str(trigger) if isinstance(trigger, OnOutcome | OnEvent) else w.command or name,
            sources=tuple(dict.fromkeys(self._state_names(w.sources, w.place))),
            target=next(iter(self._state_names((w.target,), w.place)), UNKNOWN_NAME),
            by=self._by(w, trigger),
            when=None if w.when is None else self.condition(w.when, w.place),
            parameters=tuple(parameters),
            sets=sets,
            assigns=self._assigns(w),
            trigger=trigger,
            takes=None if trigger is None else tuple(parameter.name for parameter in taken),
            uses=self.field_names(w.uses, w.place),
            body=body,
            body_hash="" if body is None else source_hash(body),
            creation=w.creation,
            precondition=w.precondition,
            task=read_task(self, name, w, trigger),
            voids=self._steps(w),
            erases=None if w.erases is None else next(iter(self.field_names((w.erases,), w.place)), None),
            doc="" if body is None else inspect.cleandoc(body.__doc__ or ""),
            place=w.place,
        )
        if body is not None:
            self._demand_body(made, fields)
        return made

    def _steps(self, w: word.Transition) -> tuple[str, ...]:
        """The names of the steps that it voids."""
        steps = [held for held in w.voids if isinstance(held, word.Transition | word.Command)]
        if len(steps) < len(w.voids):
            detail = f"`voids` of `{w.name}` names something that isn't a transition"
            self.note(w.place, "transition-unknown", detail, "Write voids=STEP.")
        named = [self.named(word.performed(step), w.place) for step in steps]
        return tuple(node.transition for node in named if isinstance(node, ast.Performed))

    def _by(self, w: word.Transition, trigger: Trigger | None) -> ast.Expression:
        """Who may: what has a trigger happens by itself, and nobody outside can ask for it."""
        if trigger is not None:
            return ast.Internal()
        return ast.Everybody() if w.by is None else self.condition(w.by, w.place)

    def _told(
        self, name: str, w: word.Transition, trigger: Trigger, wanted: list[Parameter]
    ) -> list[Parameter]:
        """The arguments that a trigger comes with; a body or sets= may take some of them."""
        told = parameters_of(trigger, self.effects)
        known = {parameter.name: parameter.type for parameter in told}
        for parameter in wanted:
            kind = known.get(parameter.name)
            if kind is None or type(kind) is not type(parameter.type):
                mend = f"It is told {', '.join(known)}." if known else "It is told nothing."
                detail = f"`{name}` takes `{parameter.name}`, which {trigger} doesn't come with"
                self.note(w.place, "argument-unknown", detail, mend)
        return list(told)

    def _assigns(self, w: word.Transition) -> tuple[tuple[str, ast.Expression], ...]:
        """The fields that take the value of an expression."""
        names = self.field_names(w.assigns, w.place)
        values = [self.named(value, w.place) for value in w.assigns.values()]
        return tuple(zip(names, values, strict=False))

    def _demand_body(self, made: Transition, fields: Mapping[str, Field]) -> None:
        """What can be seen in the body's source: fields that aren't there, records that aren't loaded."""
        reading = None if made.body is None else read_body(made.body)
        if reading is None:
            return
        if not reading.plain:
            mend = "Write a plain def that assigns and returns; what takes time is no part of a decision."
            self.note(made.place, "body-not-plain", f"`{made.name}` doesn't run to its end at once", mend)
        conditions = [made.by, *([made.when] if made.when else [])]
        followed = {path[0] for c in conditions for path in ast.paths(c) if path} | set(made.uses)

        def loaded(name: str) -> bool:
            held = fields.get(name)
            return held is None or not isinstance(held.type, kinds.Reference) or name in followed

        def known(name: str) -> bool:
            return hasattr(self.declared, name) or name in self.annotations

        for line, code, detail, mend in body_mistakes(reading, made.name, known, fields.__contains__, loaded):
            self.note(Place(made.place.file, line), code, detail, mend)
        for line, *told in called_elsewhere(self, reading, made.name, fields):
            self.note(Place(made.place.file, line), *told)
        methods = [
            n
            for _, n in reading.named
            if n not in _HANDLE and not isinstance(self.words.get(n), word.FieldTerm)
        ]
        if made.creation and not reading.handed_on and not methods:
            self._demand_values(made, fields, {name for _, name in reading.assigned})

    def _demand_values(self, start: Transition, fields: Mapping[str, Field], assigned: set[str]) -> None:
        for field in fields.values():
            given = field.optional or field.default is not None or field.name in start.sets
            if not given and field.name not in assigned:
                mend = "Assign it, add it to sets=[...], or give it a default."
                self.note(
                    start.place, "field-unset", f"{start.name} leaves `{field.name}` without a value", mend
                )

    def _tracked(
        self, transitions: Mapping[str, Transition], reads: list[ast.Expression | None]
    ) -> tuple[str, ...]:
        """The steps that some condition asks about: who performed them, or delegated them, has to be kept."""
        steps = transitions.values()
        conditions = [*(c for t in steps for c in (t.by, t.when)), *reads]
        values = [value for t in steps for _, value in t.assigns]
        nodes = (n for c in (*conditions, *values) if c is not None for n in ast.walk(c))
        named = {n.transition for n in nodes if isinstance(n, ast.Performed | ast.Votes)} - {UNKNOWN_NAME}
        asked = {ast.delegated(t.name) for t in steps if t.task is not None and t.name in named}
        return tuple(sorted(named | asked))

    def field_names(self, terms: Iterable[Any], place: Place) -> tuple[str, ...]:
        """The names of fields of this entity; anything else is reported and left out."""
        names = list[str]()
        for term in terms:
            if isinstance(term, word.FieldTerm) and term is self.words.get(term.avow_word.name):
                names.append(term.avow_word.name)
            else:
                self.note(place, "field-unknown", *self._no_field(term, place))
        return tuple(names)

    def _no_field(self, term: Any, place: Place) -> tuple[str, str]:
        """What something that isn't a field of this entity is, and what to write instead."""
        node = self.named(term, place) if isinstance(term, Term) else None
        if isinstance(node, ast.FieldOf) and len(node.path) > 1:
            mend = f"Name `{node.path[0]}` alone: in uses=, what a body reaches through it is loaded with it."
            return f"`{ast.render(node)}` is a field of another record", mend
        return (
            "something named here isn't a field of this entity",
            "Name fields that are declared in the same body.",
        )

    def _state_names(self, states: Iterable[Any], place: Place) -> tuple[str, ...]:
        names = list[str]()
        for state in states:
            if isinstance(state, word.State) and self.words.get(state.name) is state:
                names.append(state.name)
                continue
            self.machine_unsure = True
            self.note(place, "state-undeclared", *self._no_state(state))
        return tuple(names)

    def _no_state(self, given: Any) -> tuple[str, str]:
        """Why something doesn't name a state of this entity, and the mend."""
        mend = "Declare it here: NAME = State()."
        if isinstance(given, str) and isinstance(self.words.get(given), word.State):
            mend = f"Write {given} without quotes, below its State()."
            return f"`{given!r}` is a text, and not the state", mend
        if isinstance(given, list | tuple):
            return "several states stand where one is meant", "Write a transition for each of them."
        if isinstance(given, word.State) and not given.name:
            return "a state that is named here has no name, or lost it to another", mend
        shown = given.name if isinstance(given, word.State) else repr(given)
        return f"`{shown}` isn't a state of this entity", mend

    def _publication(self, name: str, w: word.Publish) -> Publication:
        return read_publication(self, name, w, self.field_names(w.data, w.place), self.words)

    def _invariant(self, name: str, w: rule.Invariant) -> Invariant:
        return Invariant(name, self.condition(w.condition, w.place), w.message or name, w.place)

    def _always(self, name: str, w: promise.Always) -> Always:
        return Always(name, self.condition(w.condition, w.place), w.message or name, w.place)

    def _sometimes(self, name: str, w: promise.Sometimes) -> Sometimes:
        return Sometimes(name, self.condition(w.condition, w.place), w.message or name, w.place)

    def _unique(self, name: str, w: rule.Unique) -> Unique:
        among = self._state_names(w.among, w.place)
        return Unique(name, self.field_names(w.fields, w.place), among, w.message, w.place)

    def _exclusion(self, name: str, w: rule.Exclusion) -> Exclusion:
        span = self.field_names(w.span, w.place)
        if len(w.span) != 2:
            mend = "Write overlapping=(START, END)."
            self.note(w.place, "exclusion-span", f"the span of `{name}` hasn't two ends", mend)
        start, end = span if len(span) == len(w.span) == 2 else (UNKNOWN_NAME, UNKNOWN_NAME)
        among = self._state_names(w.among, w.place)
        return Exclusion(name, self.field_names(w.fields, w.place), start, end, among, w.message, w.place)

    def _quota(self, name: str, w: rule.Quota) -> Quota:
        anchor = next(iter(self.field_names((w.per,), w.place)), UNKNOWN_NAME)
        weights = () if w.weight is None else self.field_names((w.weight,), w.place)
        weight = None if w.weight is None else next(iter(weights), UNKNOWN_NAME)
        limit = self._seen_from(anchor, self.named(w.limit, w.place), w.place)
        return Quota(name, anchor, self._state_names(w.among, w.place), limit, weight, w.message, w.place)

    def _seen_from(self, anchor: str, node: ast.Expression, place: Place) -> ast.Expression:
        """The limit of a quota, seen from its anchor: `course.seats` becomes `seats`."""
        match node:
            case ast.FieldOf(path) if UNKNOWN_NAME in (anchor, path[0]):
                return ast.FieldOf((UNKNOWN_NAME,))
            case ast.FieldOf(path) if path[0] == anchor and len(path) > 1:
                return ast.FieldOf(path[1:])
            case ast.FieldOf(path):
                mend = f"Write limit={anchor}.FIELD, or a number."
                detail = f"its limit `{'.'.join(path)}` isn't a field of {anchor}"
                self.note(place, "invariant-not-compilable", detail, mend)
                return ast.FieldOf((UNKNOWN_NAME,))
            case ast.Arithmetic(op, left, right):
                sides = self._seen_from(anchor, left, place), self._seen_from(anchor, right, place)
                return ast.Arithmetic(op, *sides)
            case _:
                return node


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
