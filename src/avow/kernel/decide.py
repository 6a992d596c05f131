"""The one decision: may this command happen to these records now, and what then?"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import localcontext

from avow.kernel.command import Command, Decision, Key, Record, Rejection, Step
from avow.kernel.draft import (
    STEPS_MAX,
    OpenStep,
    Pool,
    RecordDraft,
    RecordScope,
    Rejected,
    new_record,
)
from avow.kernel.policy import is_four_eyes, may, may_read, unmet
from avow.model.draft import BodyFault, Refusal
from avow.model.entity import Entity, Transition
from avow.model.expression import ActorSubject, evaluate, paths, render
from avow.model.system import System
from avow.model.types import Flaw, Misfit, Reference, Value
from avow.model.values import EXACT


def decide(
    system: System, records: Mapping[Key, Record], command: Command, now: datetime
) -> Decision | Rejection:
    """Decide a command against the records it was loaded with.

    Total: whatever a client can send has an answer. The order is that of the documentation: does the
    input fit, does the record exist for this actor, may the actor do this, do the references lead
    somewhere, does the caller know the current version, is the state right, does the guard hold, does
    the body refuse, do the invariants hold.

    Raises BodyFault only for a bug in the declaration itself.
    """
    pool = Pool(system, command.actor, now, dict(records), records)
    with localcontext(EXACT):  # a body's decimals don't depend on what the process has set
        try:
            return _Decider(pool, command).decide()
        except Rejected as rejected:
            return rejected.rejection


def _reject(code: str, detail: str = "", *, recorded: bool = True, **extra: object) -> Rejected:
    return Rejected(Rejection(code, detail, extra, recorded))


class _Decider:
    """One command on its way to a decision."""

    def __init__(self, pool: Pool, command: Command) -> None:
        entity = pool.system.entities.get(command.entity)
        if entity is None:
            raise _reject("not-found", recorded=False)
        self.pool, self.command, self.entity = pool, command, entity
        self.candidates = entity.of_command(command.name)

    def decide(self) -> Decision:
        if not self.candidates:
            raise _reject("not-found", recorded=False)
        arguments = self._arguments(self.candidates[0])
        key = (self.command.entity, self.command.id)
        if self.candidates[0].creation:
            self._create(key, arguments)
        else:
            record = self._demand_record(key)
            self._demand_references(self.candidates[0], arguments)
            self._demand_version(record)
            self._perform(self._choose(record, arguments), key, arguments, None)
        steps = tuple(step for step in self.pool.steps if step is not None)
        final = {step.after.key: self.pool.records[step.after.key] for step in steps}
        self._demand_values(final)
        self._demand_invariants(final)
        return Decision(steps, self.pool.reads, final)

    def _arguments(self, transition: Transition) -> dict[str, Value]:
        """The input in its stored form; a default stands where nothing was given."""
        given, found, flaws = self.command.input, dict[str, Value](), list[Flaw]()
        for parameter in transition.parameters:
            value = given.get(parameter.name)
            value = parameter.default if value is None else value
            try:
                if value is not None:
                    value = parameter.type.fit(value, f"#/{parameter.name}")
                elif not parameter.optional:
                    flaws.append(Flaw(f"#/{parameter.name}", "missing", "is required"))
            except Misfit as misfit:
                flaws.extend(misfit.flaws)
            found[parameter.name] = value
        flaws.extend(
            Flaw("#", "unknown", "holds undeclared arguments") for name in given if name not in found
        )
        if flaws:
            raise self._input_invalid("The input does not fit the declaration.", flaws)
        return found

    def _input_invalid(self, detail: str, flaws: list[Flaw]) -> Rejected:
        errors = [{"pointer": f.pointer, "code": f.code, "detail": f.detail} for f in flaws]
        return _reject("input-invalid", detail, recorded=False, errors=errors)

    def _demand_references(self, transition: Transition, arguments: Mapping[str, Value]) -> None:
        """What the input refers to exists, in this tenant, for this actor."""
        flaws = list[Flaw]()
        for parameter in transition.parameters:
            target = arguments[parameter.name]
            if target is None or not isinstance(parameter.type, Reference):
                continue
            record = self._referred((parameter.type.entity, target))
            if record is None or not may_read(self.pool, record):
                detail = "must be the id of a record that exists for you"
                flaws.append(Flaw(f"#/{parameter.name}", "reference-not-found", detail))
        if flaws:
            raise self._input_invalid("A reference leads nowhere.", flaws)

    def _referred(self, key: Key) -> Record | None:
        """The record behind a reference. A decision rests on its version only if who may read it does."""
        by_actor_alone = not paths(self.pool.system.entities[key[0]].read)
        return self.pool.records.get(key) if by_actor_alone else self.pool.find(key)

    def _demand_record(self, key: Key) -> Record:
        """The record, if it exists for this actor and the actor may give it this command in some state."""
        record = self.pool.find(key)
        if record is None:
            raise _reject("not-found", recorded=False)
        if any(may(self.pool, record, t) for t in self.candidates):
            return record
        if not may_read(self.pool, record):
            raise _reject("not-found", recorded=False)
        fitting = (t for t in self.candidates if record.state in t.sources)
        raise self._forbidden(record, next(fitting, self.candidates[0]))

    def _forbidden(self, record: Record, transition: Transition, internal: bool = False) -> Rejected:
        clause = unmet(self.pool, record, transition.by, internal)
        where = f"{record.entity}.{transition.name}"
        rule = f"{where}: {render(clause)}"
        if is_four_eyes(clause):
            return _reject("four-eyes", f"{where} needs a second person: {render(clause)}.", rule=rule)
        return _reject("forbidden", f"{where} is allowed to: {render(transition.by)}.", rule=rule)

    def _demand_version(self, record: Record) -> None:
        expected = self.command.expected_version
        if expected is None and any(t.precondition for t in self.candidates):
            raise _reject("precondition-required", recorded=False, header="If-Match")
        if expected is not None and expected != record.version:
            raise _reject("precondition-failed", recorded=False)

    def _choose(self, record: Record, arguments: Mapping[str, Value]) -> Transition:
        """Which of the transitions of this command applies: by state, then by policy, then by guard."""
        stated = [t for t in self.candidates if record.state in t.sources]
        if not stated:
            raise self._wrong_state(record)
        permitted = [t for t in stated if may(self.pool, record, t)]
        if not permitted:
            raise self._forbidden(record, stated[0])
        if len(permitted) == 1:
            return permitted[0]
        for transition in permitted:
            if self._guard_holds(transition, record, arguments):
                return transition
        where = f"{self.entity.name}.{self.command.name}"
        rules = "; ".join(render(t.when) for t in permitted if t.when is not None)
        raise _reject("guard-failed", f"{where} is only possible when one holds: {rules}.", rule=where)

    def _wrong_state(self, record: Record) -> Rejected:
        where, leaving = f"{self.entity.name}.{self.command.name}", self.entity.transitions.values()
        allowed = [t.command for t in leaving if record.state in t.sources and may(self.pool, record, t)]
        return _reject(
            "state-conflict",
            f"{where} isn't declared from the state {record.state}.",
            current_state=record.state,
            allowed=list(dict.fromkeys(allowed)),
        )

    def _create(self, key: Key, arguments: dict[str, Value]) -> None:
        """A creation is judged on the record as its defaults and arguments make it, before its body."""
        if key in self.pool.loaded:
            raise _reject("unique-violated", "A record with this id exists.", rule=f"{key[0]}.id")
        self._demand_references(self.candidates[0], arguments)
        transition = self.candidates[0]
        blank = new_record(self.pool, self.entity, key[1], transition.target)
        values = {**blank.values, **self._set(transition, blank, arguments)}
        for field in self.entity.fields.values():
            starts_with_actor = isinstance(field.default, ActorSubject) and not field.optional
            if values[field.name] is None and starts_with_actor:
                raise _reject("unauthenticated", f"{key[0]}.{field.name} is who acts.", recorded=False)
        record = Record(blank.entity, blank.id, blank.state, 0, values)
        self.pool.records[key] = record
        if not may(self.pool, record, transition):
            raise self._forbidden(record, transition)
        self._perform(transition, key, arguments, None)

    def _perform(
        self, transition: Transition, key: Key, arguments: dict[str, Value], cause: OpenStep | None
    ) -> None:
        """One step: the command's own transition (cause is None), or one that a body calls for.

        A record that is in the middle of a step of its own completes it first: its changes so far are
        that step, and the new one starts from the state that it led to.
        """
        pool = self.pool
        where = f"{key[0]}.{transition.name}"
        if len(pool.steps) >= STEPS_MAX:
            detail = f"{where} would be one step too many: a command takes at most {STEPS_MAX}."
            raise _reject("refused", detail, rule=where)
        if (running := pool.running.get(key)) is not None:
            self._complete(running)
        before = pool.records[key]
        if cause is not None:
            self._demand_nested(transition, before)
        if not self._guard_holds(transition, before, arguments):
            rule = "" if transition.when is None else render(transition.when)
            raise _reject("guard-failed", f"{where} is only possible when {rule}.", rule=f"{where}: {rule}")
        values = {**before.values, **self._set(transition, before, arguments)}
        at = None if cause is None else cause.at
        step = OpenStep(transition, before, values, arguments, at, len(pool.steps))
        pool.steps.append(None)  # the cause stands before its consequences
        pool.running[key] = step
        pool.records[key] = Record(
            before.entity, before.id, before.state, before.version, values, before.performers, before.head
        )
        self._run_body(step, where)
        if step.open:
            self._complete(step)

    def _complete(self, step: OpenStep) -> None:
        """Take the transition: the record enters its target, one version on."""
        before, transition = step.before, step.transition
        key = before.key
        step.open = False
        del self.pool.running[key]
        after = Record(
            before.entity,
            before.id,
            transition.target,
            before.version + 1,
            step.values,
            self._performers(before, transition),
            before.head,
        )
        self.pool.records[key] = after
        if transition.creation:
            changes = {name: value for name, value in step.values.items() if value is not None}
        else:
            old = before.values
            changes = {name: value for name, value in step.values.items() if value != old.get(name)}
        source = None if transition.creation else before
        self.pool.steps[step.place] = Step(transition, source, after, step.arguments, changes, step.cause)

    def _demand_nested(self, transition: Transition, record: Record) -> None:
        if not may(self.pool, record, transition, internal=True):
            raise self._forbidden(record, transition, internal=True)
        if record.state not in transition.sources:
            where = f"{record.entity}.{transition.name}"
            detail = f"{where} isn't declared from the state {record.state}."
            raise _reject("state-conflict", detail, current_state=record.state, rule=where, allowed=[])

    def _guard_holds(self, transition: Transition, record: Record, arguments: Mapping[str, Value]) -> bool:
        if transition.when is None:
            return True
        scope = RecordScope(self.pool, record, arguments=arguments)
        try:
            return evaluate(transition.when, scope) is True
        except Refusal as refusal:
            where = f"{record.entity}.{transition.name}"
            raise _reject("refused", refusal.message, rule=where) from None

    def _set(
        self, transition: Transition, record: Record, arguments: Mapping[str, Value]
    ) -> dict[str, Value]:
        """The fields that take arguments. Absent and null: the default at a creation, then no value.

        A field that must have a value keeps the one it has.
        """
        fields, found = self.pool.system.entities[record.entity].fields, dict[str, Value]()
        for name in transition.sets:
            value = arguments[name]
            if value is not None or (fields[name].optional and not transition.creation):
                found[name] = value
        return found

    def _run_body(self, step: OpenStep, where: str) -> None:
        transition = step.transition
        if transition.body is None:
            return
        draft = RecordDraft(self.pool, step.before.key, step, self._perform)
        own = {
            p.name: draft.shown(p.type, step.arguments[p.name])
            for p in transition.parameters
            if p.name not in transition.sets
        }
        try:
            transition.body(self.pool.system.entities[step.before.entity].bind(draft), **own)
        except Refusal as refusal:
            raise _reject("refused", refusal.message, rule=where) from None
        except (Rejected, BodyFault):
            raise
        except Exception as error:
            raise BodyFault(f"{where} raised {type(error).__name__}: {error}") from error
        if self.pool.failure is not None:
            raise self.pool.failure

    def _performers(self, before: Record, transition: Transition) -> Mapping[str, tuple[str, ...]]:
        entity: Entity = self.pool.system.entities[before.entity]
        if transition.name not in entity.tracked or not self.pool.actor.authenticated:
            return before.performers
        known = before.performers.get(transition.name, ())
        subject = str(self.pool.actor.subject)
        if subject in known:
            return before.performers
        return (
            before.performers
            if subject in known
            else {**before.performers, transition.name: (*known, subject)}
        )

    def _demand_values(self, final: Mapping[Key, Record]) -> None:
        """What was created has a value in every field that must have one."""
        start = self.pool.steps[0]
        if start is None or start.before is not None:
            return
        for field in self.entity.fields.values():
            if final[start.after.key].values.get(field.name) is None and not field.optional:
                where = f"{self.entity.name}.{start.transition.name}"
                raise BodyFault(f"{where} left {field.name} without a value")

    def _demand_invariants(self, final: Mapping[Key, Record]) -> None:
        """Every invariant of every touched record, on what the command leaves behind."""
        for (name, _), record in final.items():
            scope = RecordScope(self.pool, record)
            for invariant in self.pool.system.entities[name].invariants:
                if evaluate(invariant.condition, scope) is False:
                    rule = f"{name}.{invariant.name}: {render(invariant.condition)}"
                    raise _reject("invariant-violated", invariant.message, rule=rule)
