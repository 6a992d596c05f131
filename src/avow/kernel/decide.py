"""The one decision: may this command happen to these records now, and what then?"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from avow.kernel.command import Command, Decision, Key, Record, Rejection, Step
from avow.kernel.draft import (
    STEPS_MAX,
    Pool,
    RecordScope,
    Rejected,
    fit,
    handle_on,
    new_record,
    with_,
)
from avow.kernel.policy import is_four_eyes, may, may_read, unmet
from avow.model.draft import BodyFault, Refusal
from avow.model.entity import Entity, Transition
from avow.model.expression import evaluate, paths, render
from avow.model.system import System
from avow.model.types import Flaw, Reference, Value


def decide(
    system: System, records: Mapping[Key, Record], command: Command, now: datetime
) -> Decision | Rejection:
    """Decide a command against the records it was loaded with.

    Total: whatever a client can send has an answer. The order is that of the documentation: does it
    exist for this actor, may the actor do this, does the caller know the current version, is the
    state right, does the guard hold, does the body refuse, do the invariants hold.

    Raises BodyFault only for a bug in the declaration itself.
    """
    pool = Pool(system, command.actor, now, dict(records), records)
    try:
        return _Decider(pool, command).decide()
    except Rejected as rejected:
        return rejected.rejection


class _Decider:
    """One command on its way to a decision."""

    def __init__(self, pool: Pool, command: Command) -> None:
        self.pool, self.command = pool, command
        self.entity = pool.system.entities[command.entity]

    def decide(self) -> Decision:
        candidates = self.entity.of_command(self.command.name)
        if not candidates:
            raise Rejected(Rejection("not-found", recorded=False))
        self._demand_references(candidates[0])
        key = (self.command.entity, self.command.id)
        if candidates[0].creation:
            transition = self._choose(candidates, None)
            self._create(transition, key)
        else:
            record = self._demand_record(key)
            self._demand_version(record, candidates)
            transition = self._choose(candidates, record)
            self._perform(transition, key, dict(self.command.input), None)
        self._demand_invariants()
        steps = tuple(step for step in self.pool.steps if step is not None)
        written = {step.after.key for step in steps}
        return Decision(steps, dict(self.pool.reads), {k: self.pool.records[k] for k in written})

    def _demand_references(self, transition: Transition) -> None:
        """What the input refers to exists, in this tenant, for this actor."""
        flaws = list[Flaw]()
        for parameter in transition.parameters:
            target = self.command.input.get(parameter.name)
            if target is None or not isinstance(parameter.type, Reference):
                continue
            record = self._referred((parameter.type.entity, target))
            if record is None or not may_read(self.pool, record):
                flaws.append(Flaw(f"#/{parameter.name}", "reference-not-found", "must be the id of a record that exists for you"))
        if flaws:
            errors = [{"pointer": f.pointer, "code": f.code, "detail": f.detail} for f in flaws]
            raise Rejected(Rejection("input-invalid", "A reference leads nowhere.", {"errors": errors}, recorded=False))

    def _referred(self, key: Key) -> Record | None:
        """The record behind a reference. A decision rests on its version only if who may read it does."""
        by_actor_alone = not paths(self.pool.system.entities[key[0]].read)
        return self.pool.records.get(key) if by_actor_alone else self.pool.find(key)

    def _demand_record(self, key: Key) -> Record:
        """The record, if it exists for this actor and the actor may give it this command."""
        record = self.pool.find(key)
        if record is None:
            raise Rejected(Rejection("not-found", recorded=False))
        candidates = self.entity.of_command(self.command.name)
        if any(may(self.pool, record, t) for t in candidates):
            return record
        if not may_read(self.pool, record):
            raise Rejected(Rejection("not-found", recorded=False))
        raise Rejected(self._forbidden(record, candidates[0]))

    def _forbidden(self, record: Record, transition: Transition) -> Rejection:
        clause = unmet(self.pool, record, transition.by)
        where = f"{self.entity.name}.{transition.name}"
        if is_four_eyes(clause):
            detail = f"{where} needs a second person: {render(clause)}."
            return Rejection("four-eyes", detail, {"rule": f"{where}: {render(clause)}"})
        return Rejection("forbidden", f"{where} is allowed to: {render(transition.by)}.", {"rule": f"{where}: {render(clause)}"})

    def _demand_version(self, record: Record, candidates: tuple[Transition, ...]) -> None:
        expected = self.command.expected_version
        if expected is None and any(t.precondition for t in candidates):
            raise Rejected(Rejection("precondition-required", "", {"header": "If-Match"}, recorded=False))
        if expected is not None and expected != record.version:
            raise Rejected(Rejection("precondition-failed", "", {}, recorded=False))

    def _choose(self, candidates: tuple[Transition, ...], record: Record | None) -> Transition:
        """Which of the transitions of this command applies: by state first, then by guard."""
        if record is None:
            fitting = candidates
        else:
            fitting = tuple(t for t in candidates if record.state in t.sources and may(self.pool, record, t))
            if not fitting:
                raise Rejected(self._wrong_state(record))
        if len(fitting) == 1:
            return fitting[0]
        subject = record or new_record(self.pool, self.entity, self.command.id, fitting[0].target)
        for transition in fitting:
            if self._guard_holds(transition, subject, None):
                return transition
        rules = [render(t.when) for t in fitting if t.when is not None]
        detail = f"None of the guards of {self.command.name} holds: {'; '.join(rules)}."
        raise Rejected(Rejection("guard-failed", detail, {"rule": f"{self.entity.name}.{self.command.name}"}))

    def _wrong_state(self, record: Record) -> Rejection:
        allowed = [t.command for t in self.entity.transitions.values() if record.state in t.sources and may(self.pool, record, t)]
        shown = {"current_state": record.state, "allowed": list(dict.fromkeys(allowed))}
        detail = f"{self.entity.name}.{self.command.name} isn't declared from the state {record.state}."
        return Rejection("state-conflict", detail, shown)

    def _create(self, transition: Transition, key: Key) -> None:
        self.pool.records[key] = new_record(self.pool, self.entity, key[1], transition.target)
        self._perform(transition, key, dict(self.command.input), None)
        record = self.pool.records[key]
        for field in self.entity.fields.values():
            if record.values.get(field.name) is None and not field.optional:
                raise BodyFault(f"{self.entity.name}.{transition.name} left {field.name} without a value")
        if not may(self.pool, with_(record, performers={}), transition):
            raise Rejected(self._forbidden(record, transition))

    def _perform(
        self, transition: Transition, key: Key, arguments: dict[str, Value], cause: tuple[Key, int] | None
    ) -> None:
        """One step: the command's own transition (cause is None), or one that a body calls for."""
        if len(self.pool.steps) >= STEPS_MAX:
            raise BodyFault(f"{transition.name} performs more than {STEPS_MAX} transitions in one command")
        before = self.pool.records[key]
        if cause is not None:
            self._demand_nested(transition, before)
        if not self._guard_holds(transition, before, arguments):
            raise Rejected(self._guard_failed(transition, key[0]))
        place = len(self.pool.steps)
        self.pool.steps.append(None)  # the cause stands before its consequences
        version = before.version + 1
        self._set_arguments(transition, key, arguments)
        self._run_body(transition, key, version, arguments)
        after = with_(
            self.pool.records[key], state=transition.target, version=version,
            performers=self._performers(before, transition),
        )  # fmt: skip
        self.pool.records[key] = after
        created = transition.creation
        changes = {n: v for n, v in after.values.items() if (v is not None if created else v != before.values.get(n))}
        self.pool.steps[place] = Step(transition, None if created else before, after, arguments, changes, cause)

    def _demand_nested(self, transition: Transition, record: Record) -> None:
        if not may(self.pool, record, transition, internal=True):
            raise Rejected(self._forbidden(record, transition))
        if record.state not in transition.sources:
            detail = f"{record.entity}.{transition.name} isn't declared from the state {record.state}."
            raise Rejected(Rejection("state-conflict", detail, {"current_state": record.state, "rule": f"{record.entity}.{transition.name}", "allowed": []}))

    def _guard_holds(self, transition: Transition, record: Record, arguments: dict[str, Value] | None) -> bool:
        if transition.when is None:
            return True
        given = self.command.input if arguments is None else arguments
        handle = handle_on(self.pool, record.key, ((record.entity, record.id), -1), None)
        return evaluate(transition.when, RecordScope(self.pool, record, False, given, handle)) is True

    def _guard_failed(self, transition: Transition, entity: str) -> Rejection:
        rule = render(transition.when) if transition.when is not None else ""
        where = f"{entity}.{transition.name}"
        return Rejection("guard-failed", f"{where} is only possible when {rule}.", {"rule": f"{where}: {rule}"})

    def _set_arguments(self, transition: Transition, key: Key, arguments: dict[str, Value]) -> None:
        record = self.pool.records[key]
        values = dict(record.values)
        for name in transition.sets:
            given = arguments.get(name)
            if given is None and transition.creation and values[name] is not None:
                continue  # the default stays
            declared = self.pool.system.entities[key[0]].fields[name]
            if given is None and not declared.optional:
                continue  # absent and null mean: as it is
            values[name] = None if given is None else fit(declared.type, given, f"{key[0]}.{name}")
        self.pool.records[key] = with_(record, values=values)

    def _run_body(self, transition: Transition, key: Key, version: int, arguments: dict[str, Value]) -> None:
        if transition.body is None:
            return
        at = (key, version)
        handle = handle_on(self.pool, key, at, self._perform)
        own = {p.name: self._argument(p.type, arguments.get(p.name), at) for p in transition.parameters if p.name not in transition.sets}
        try:
            transition.body(handle, **own)
        except Refusal as refusal:
            where = f"{key[0]}.{transition.name}"
            raise Rejected(Rejection("refused", refusal.message, {"rule": where})) from None
        except (Rejected, BodyFault):
            raise
        except Exception as error:
            raise BodyFault(f"{key[0]}.{transition.name} raised {type(error).__name__}: {error}") from error

    def _argument(self, kind: Any, value: Value, at: tuple[Key, int]) -> Any:
        if value is None or not isinstance(kind, Reference):
            return list(value) if isinstance(value, tuple) else value  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        return handle_on(self.pool, (kind.entity, value), at, self._perform)

    def _performers(self, before: Record, transition: Transition) -> Mapping[str, tuple[str, ...]]:
        entity: Entity = self.pool.system.entities[before.entity]
        if transition.name not in entity.tracked or not self.pool.actor.authenticated:
            return before.performers
        known = before.performers.get(transition.name, ())
        subject = str(self.pool.actor.subject)
        return before.performers if subject in known else {**before.performers, transition.name: (*known, subject)}

    def _demand_invariants(self) -> None:
        """Every invariant of every touched record, on what the command leaves behind."""
        for key in dict.fromkeys(step.after.key for step in self.pool.steps if step is not None):
            record = self.pool.records[key]
            scope = RecordScope(self.pool, record)
            for invariant in self.pool.system.entities[key[0]].invariants:
                if evaluate(invariant.condition, scope) is False:
                    rule = f"{key[0]}.{invariant.name}: {render(invariant.condition)}"
                    raise Rejected(Rejection("invariant-violated", invariant.message, {"rule": rule}))
