"""The one decision: may this command happen to these records now, and what then?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import localcontext

from avow.kernel.command import NOBODY_ASKED, NOTHING, Command, Decision, Key, Record, Rejection, Step
from avow.kernel.draft import (
    STEPS_MAX,
    OpenStep,
    Pool,
    RecordDraft,
    RecordScope,
    Rejected,
    defaults,
    fit,
)
from avow.kernel.plan import TransitionPlan
from avow.kernel.policy import allowed, is_four_eyes, may, may_read, unmet
from avow.kernel.tasks import left_of, tasks_of
from avow.kernel.waiting import waits_of
from avow.model.draft import BodyFault, Refusal
from avow.model.expression import delegated, render
from avow.model.system import System
from avow.model.trigger import REFUSE, OnEvent
from avow.model.tuples import made
from avow.model.types import Flaw, Misfit, Value
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
        entity = pool.plans.get(command.entity)
        plan = None if entity is None else entity.commands.get(command.name)
        if entity is None or plan is None:
            raise _reject("not-found", recorded=False)
        self.pool, self.command, self.entity, self.plan = pool, command, entity, plan

    def decide(self) -> Decision:
        pool, plan = self.pool, self.plan
        arguments = self._arguments()
        key = (self.command.entity, self.command.id)
        if plan.candidates[0].declared.creation:
            self._create(plan.candidates[0], key, arguments)
        else:
            record, permitted = self._demand_record(key)
            if plan.references:
                self._demand_references(arguments)
            if plan.precondition or self.command.expected_version is not None:
                self._demand_version(record)
            self._perform(self._choose(record, permitted, arguments), key, arguments, None)
        steps = tuple(filter(None, pool.steps))
        final: dict[Key, Record] = {}
        for _, _, after, *_ in steps:
            final[after.entity, after.id] = after  # of several, its last
        if steps[0].before is None:
            self._demand_values(steps[0], final)
        self._demand_invariants(final)
        return made(Decision, (steps, pool.reads, final, pool.timed))

    def _arguments(self) -> dict[str, Value]:
        """The input in its stored form; a default stands where nothing was given."""
        given = self.command.input
        found: dict[str, Value] = {}
        flaws: list[Flaw] = []
        for name, read, pointer, optional, default in self.plan.arguments:
            value = given.get(name)
            value = default if value is None else value
            try:
                if value is not None:
                    value = read(value, pointer)
                elif not optional:
                    flaws.append(Flaw(pointer, "missing", "is required"))
            except Misfit as misfit:
                flaws.extend(misfit.flaws)
            found[name] = value
        if len(given) > len(found) or not given.keys() <= found.keys():
            unknown = [name for name in given if name not in found]
            flaws.extend(Flaw("#", "unknown", "holds undeclared arguments") for _ in unknown)
        if flaws:
            raise self._input_invalid("The input does not fit the declaration.", flaws)
        return found

    def _input_invalid(self, detail: str, flaws: list[Flaw]) -> Rejected:
        errors = [{"pointer": f.pointer, "code": f.code, "detail": f.detail} for f in flaws]
        return _reject("input-invalid", detail, recorded=False, errors=errors)

    def _demand_references(self, arguments: Mapping[str, Value]) -> None:
        """What the input refers to exists, in this tenant, for this actor."""
        flaws: list[Flaw] = []
        for name, entity in self.plan.references:
            target = arguments[name]
            if target is None:
                continue
            record = self._referred((entity, target))
            if record is None or not may_read(self.pool, record):
                detail = "must be the id of a record that exists for you"
                flaws.append(Flaw(f"#/{name}", "reference-not-found", detail))
        if flaws:
            raise self._input_invalid("A reference leads nowhere.", flaws)

    def _referred(self, key: Key) -> Record | None:
        """The record behind a reference. A decision rests on its version only if who may read it does."""
        pool = self.pool
        return pool.find(key) if pool.plans[key[0]].read_paths else pool.records.get(key)

    def _demand_record(self, key: Key) -> tuple[Record, TransitionPlan]:
        """The record, if it exists for this actor and the actor may give it this command in some state.

        With it the first transition that the actor may give it.
        """
        candidates = self.plan.candidates
        record = self.pool.find(key)
        if record is None:
            raise _reject("not-found", recorded=False)
        for transition in candidates:
            if may(self.pool, record, transition, self.command.internal):
                return record, transition
        if not self.command.internal and not may_read(self.pool, record):
            raise _reject("not-found", recorded=False)
        fitting = (t for t in candidates if record.state in t.declared.sources)
        raise self._forbidden(record, next(fitting, candidates[0]))

    def _forbidden(self, record: Record, plan: TransitionPlan, internal: bool = False) -> Rejected:
        by, where = plan.declared.by, plan.where
        clause = unmet(self.pool, record, by, internal)
        rule = f"{where}: {render(clause)}"
        if is_four_eyes(clause):
            return _reject("four-eyes", f"{where} needs a second person: {render(clause)}.", rule=rule)
        return _reject("forbidden", f"{where} is allowed to: {render(by)}.", rule=rule)

    def _demand_version(self, record: Record) -> None:
        expected = self.command.expected_version
        if expected is None and self.plan.precondition:
            raise _reject("precondition-required", recorded=False, header="If-Match")
        if expected is not None and expected != record.version:
            raise _reject("precondition-failed", recorded=False)

    def _choose(
        self, record: Record, known: TransitionPlan, arguments: Mapping[str, Value]
    ) -> TransitionPlan:
        """Which of the transitions of this command applies: by state, then by policy, then by guard.

        known: one that policy permits, as has been found.
        """
        candidates = self.plan.candidates
        if len(candidates) == 1 and record.state in known.declared.sources:
            return known
        stated = [t for t in candidates if record.state in t.declared.sources]
        if not stated:
            raise self._wrong_state(record)
        permitted = [t for t in stated if t is known or may(self.pool, record, t, self.command.internal)]
        if not permitted:
            raise self._forbidden(record, stated[0])
        if len(permitted) == 1:
            return permitted[0]
        for transition in permitted:
            if self._guard_holds(transition, record, arguments):
                return transition
        where = f"{self.command.entity}.{self.command.name}"
        rules = "; ".join(render(t.declared.when) for t in permitted if t.declared.when is not None)
        raise _reject("guard-failed", f"{where} is only possible when one holds: {rules}.", rule=where)

    def _wrong_state(self, record: Record) -> Rejected:
        where = f"{self.command.entity}.{self.command.name}"
        if self.plan.event is not None:
            return self._untimely(self.plan.event, where, record)
        return _reject(
            "state-conflict",
            f"{where} isn't declared from the state {record.state}.",
            current_state=record.state,
            allowed=allowed(self.pool, record),
        )

    def _untimely(self, event: OnEvent, where: str, record: Record) -> Rejected:
        """An event that the record can't take now: too early, where it can still reach a state that does.

        It is an answer for good only where the declaration refuses it.
        """
        early = record.state in self.plan.ahead
        again = "it can still reach one" if early else "it can't reach one any more"
        return _reject(
            "event-early" if early else "event-late",
            f"No transition takes {where} from the state {record.state}; {again}.",
            recorded=(event.early if early else event.late) == REFUSE,
            current_state=record.state,
            rule=where,
        )

    def _create(self, plan: TransitionPlan, key: Key, arguments: dict[str, Value]) -> None:
        """A creation is judged on the record as its defaults and arguments make it, before its body."""
        if key in self.pool.loaded:
            raise _reject("unique-violated", "A record with this id exists.", rule=f"{key[0]}.id")
        self._demand_references(arguments)
        values = {**defaults(self.pool, key, plan), **_set(plan, arguments)}
        for name in self.entity.started_by_actor:
            if values[name] is None:
                raise _reject("unauthenticated", f"{key[0]}.{name} is who acts.", recorded=False)
        record = Record(key[0], key[1], plan.declared.target, 0, values)
        self.pool.records[key] = record
        if not may(self.pool, record, plan):
            raise self._forbidden(record, plan)
        self._perform(plan, key, arguments, None)

    def _perform(
        self, plan: TransitionPlan, key: Key, arguments: dict[str, Value], cause: OpenStep | None
    ) -> None:
        """One step: the command's own transition (cause is None), or one that a body calls for.

        A record that is in the middle of a step of its own completes it first: its changes so far are
        that step, and the new one starts from the state that it led to.
        """
        pool = self.pool
        if len(pool.steps) >= STEPS_MAX:
            detail = f"{plan.where} would be one step too many: a command takes at most {STEPS_MAX}."
            raise _reject("refused", detail, rule=plan.where)
        if (running := pool.running.get(key)) is not None:
            self._complete(running)
        before = pool.records[key]
        if cause is not None:
            self._demand_nested(plan, before)
        if before.tasks:
            self._demand_unclaimed(plan, before)
        if plan.guard is not None and not self._guard_holds(plan, before, arguments):
            rule = "" if plan.declared.when is None else render(plan.declared.when)
            detail = f"{plan.where} is only possible when {rule}."
            raise _reject("guard-failed", detail, rule=f"{plan.where}: {rule}")
        values = {**before.values}
        if plan.sets:
            values |= _set(plan, arguments)
        if plan.assigns:
            values |= self._assigned(plan, before, arguments)
        at = None if cause is None else cause.at
        step = OpenStep(plan, key, before, values, arguments, at, len(pool.steps))
        pool.steps.append(None)  # the cause stands before its consequences
        if plan.declared.body is not None:
            self._run_body(step, plan.declared.body)
        if step.open:
            self._complete(step)

    def _demand_unclaimed(self, plan: TransitionPlan, record: Record) -> None:
        """What somebody has claimed, nobody else does meanwhile."""
        task, actor = record.tasks.get(plan.declared.step), self.pool.actor
        holder = None if task is None else task.held_at(self.pool.now)
        if holder is not None and plan.declared.trigger is None and holder != str(actor.subject):
            raise _reject("task-claimed", f"Somebody else has claimed {plan.where}.", rule=plan.where)

    def _assigned(
        self, plan: TransitionPlan, record: Record, arguments: Mapping[str, Value]
    ) -> dict[str, Value]:
        """The fields that take the value of an expression; one that must have a value keeps its own."""
        scope, fields = (
            RecordScope(self.pool, record, arguments=arguments),
            self.pool.plans[record.entity].declared.fields,
        )
        found: dict[str, Value] = {}
        for name, value in plan.assigns:
            given = value(scope)
            if given is not None:
                found[name] = fit(fields[name].type, given, record.entity, ".", name)
            elif fields[name].optional:
                found[name] = None
        return found

    def _complete(self, step: OpenStep) -> None:
        """Take the transition: the record enters its target, one version on."""
        pool, before, transition, values = self.pool, step.before, step.plan.declared, step.values
        step.open = False
        pool.running.pop(step.key, None)
        performers = self._performers(step) if step.plan.tracked else before.performers
        entity = pool.plans[step.key[0]]
        target, version = transition.target, before.version + 1
        after = made(Record, (*step.key, target, version, values, performers, before.head, before.tasks))
        pool.records[step.key] = after
        source = None if transition.creation else before
        changes = _changes(source, values)
        waits = waits_of(pool, step.plan, source, after) if entity.waits else NOTHING
        asking = NOBODY_ASKED
        if entity.asks:
            asking = tasks_of(pool, step.plan, source, after)
            pool.records[step.key] = after = after._replace(tasks=left_of(after.tasks, asking, pool.now))
        done = (transition, source, after, step.arguments, changes, step.cause, waits, asking)
        pool.steps[step.place] = made(Step, done)

    def _demand_nested(self, plan: TransitionPlan, record: Record) -> None:
        if not may(self.pool, record, plan, internal=True):
            raise self._forbidden(record, plan, internal=True)
        if record.state not in plan.declared.sources:
            detail = f"{plan.where} isn't declared from the state {record.state}."
            raise _reject("state-conflict", detail, current_state=record.state, rule=plan.where, allowed=[])

    def _guard_holds(self, plan: TransitionPlan, record: Record, arguments: Mapping[str, Value]) -> bool:
        if plan.guard is None:
            return True
        try:
            return plan.guard(RecordScope(self.pool, record, arguments=arguments)) is True
        except Refusal as refusal:
            raise _reject("refused", refusal.message, rule=plan.where) from None

    def _run_body(self, step: OpenStep, body: Callable[..., None]) -> None:
        """Run a body on the record as it stands; what it assigns goes into the step's values."""
        pool, before, where = self.pool, step.before, step.plan.where
        pool.running[step.key] = step
        pool.records[step.key] = made(Record, (*before[:4], step.values, *before[5:]))
        draft = RecordDraft(pool, step.key, step, self._perform)
        given = step.arguments
        own: dict[str, Value] = {}
        for name, kind in step.plan.own:
            own[name] = given[name] if kind is None else draft.shown(kind, given[name])
        try:
            body(pool.plans[before.entity].declared.bind(draft), **own)
        except Refusal as refusal:
            raise _reject("refused", refusal.message, rule=where) from None
        except (Rejected, BodyFault):
            raise
        except Exception as error:
            raise BodyFault(f"{where} raised {type(error).__name__}: {error}") from error
        if pool.failure is not None:
            raise pool.failure

    def _performers(self, step: OpenStep) -> Mapping[str, tuple[str, ...]]:
        """Who has performed which tracked step, this one included, without those whom it voids."""
        before, plan, actor = step.before, step.plan, self.pool.actor
        known = dict(before.performers)
        for name in plan.declared.voids:
            known.update((kept, ()) for kept in (name, delegated(name)) if known.get(kept))
        if not actor.authenticated:
            return known
        subject, task = str(actor.subject), before.tasks.get(plan.declared.step)
        others = () if task is None else task.delegated.get(subject, ())
        for name, new in zip(plan.kept, ((subject,), others), strict=False):
            added = tuple(one for one in new if one not in known.get(name, ()))
            if added:
                known[name] = (*known.get(name, ()), *added)
        return known

    def _demand_values(self, start: Step, final: Mapping[Key, Record]) -> None:
        """What was created has a value in every field that must have one."""
        values = final[start.after.key].values
        for field in self.entity.declared.fields.values():
            if values.get(field.name) is None and not field.optional:
                where = f"{self.command.entity}.{start.transition.name}"
                raise BodyFault(f"{where} left {field.name} without a value")

    def _demand_invariants(self, final: Mapping[Key, Record]) -> None:
        """Every invariant of every touched record, on what the command leaves behind."""
        for record in final.values():
            if not (invariants := self.pool.plans[record.entity].invariants):
                continue
            scope = RecordScope(self.pool, record)
            for invariant, holds in invariants:
                if holds(scope) is False:
                    rule = f"{record.entity}.{invariant.name}: {render(invariant.condition)}"
                    raise _reject("invariant-violated", invariant.message, rule=rule)


def _changes(source: Record | None, values: Mapping[str, Value]) -> dict[str, Value]:
    """The fields that have another value than before; of a creation, all that have one."""
    changes: dict[str, Value] = {}
    before: Mapping[str, Value] = {} if source is None else source.values
    for name, value in values.items():
        if value != before.get(name):
            changes[name] = value
    return changes


def _set(plan: TransitionPlan, arguments: Mapping[str, Value]) -> dict[str, Value]:
    """The fields that take arguments. Absent and null: the default at a creation, then no value.

    A field that must have a value keeps the one it has.
    """
    return {name: value for name, removes in plan.sets if (value := arguments[name]) is not None or removes}
