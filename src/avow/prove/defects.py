"""Known defects of engines of this kind, planted to see that they are found.

Each is switched on in a run's own database, or in what is handed to its engine; nothing that serves knows of
them. A defect whose words no longer fit the engine raises ValueError: then it has to be planted anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4, uuid5

from avow.engine.execute import Reply, Request
from avow.engine.workers.calls import Call, DontKnow, Ending, No, Result
from avow.model.effect import Effect
from avow.model.entity import Entity, Transition
from avow.model.expression import Everybody
from avow.model.system import System
from avow.prove.defect import Defect
from avow.prove.node import Node
from avow.store.driver import Connection
from avow.store.trials import trial
from avow.store.trials.watched import Gate, Send, Statement, Watched


def _function(name: str, *changes: tuple[str, str]) -> Callable[[Connection, System], Any]:
    """Alters one function of the database."""

    async def alter(connection: Connection, system: System) -> None:
        for old, new in changes:
            await trial.alter_function(connection, f"avow.{name}", old, new)

    return alter


class Rewrites:
    """A gate that gives other answers than the server's."""

    def __init__(self, gate: Gate, rewrite: Callable[[Statement, Any], Any], name: str) -> None:
        self._gate, self._rewrite, self._name = gate, rewrite, name

    async def through(self, session: Watched, statement: Statement, send: Send) -> Any:
        answer = await self._gate.through(session, statement, send)
        return self._rewrite(statement, answer) if statement.name == self._name else answer


class Forgets:
    """A gate that keeps the refusals of commands to itself."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def through(self, session: Watched, statement: Statement, send: Send) -> Any:
        if statement.name == "commit" and any(one is not None for one in statement.parameters[_REFUSALS]):
            return ["done"] * len(statement.parameters[_REFUSALS])
        return await self._gate.through(session, statement, send)


_REFUSALS = 8
"""The place of the refusals among the parameters of avow.commit."""


class Remembers:
    """A gate that never loads anything twice."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._known = dict[str, Any]()

    async def through(self, session: Watched, statement: Statement, send: Send) -> Any:
        said = statement.sql + repr(statement.parameters)
        if statement.name != "load":
            return await self._gate.through(session, statement, send)
        if said not in self._known:
            self._known[said] = await self._gate.through(session, statement, send)
        known: Any = self._known[said]
        # Behind locks one row is asked for, and not a list of them.
        return known[0] if session.is_in_transaction() and hasattr(known, "append") else known


def _stale_is_done(_: Statement, outcomes: list[str]) -> list[str]:
    return ["done" if outcome == "stale" else outcome for outcome in outcomes]


_KEY, _FENCE = 6, 9
"""Places in what a worker takes: see `take` in queue.sql."""


def _another_key(_: Statement, rows: list[Any]) -> list[Any]:
    return [(*row[:_KEY], uuid5(row[_KEY], str(row[_FENCE])), *row[_KEY + 1 :]) for row in map(tuple, rows)]


def _of_entities(change: Callable[[Entity], Entity]) -> Callable[[System], System]:
    """An engine that takes the declaration for another one, under the same name."""

    def of_system(system: System) -> System:
        changed = replace(system, entities={name: change(e) for name, e in system.entities.items()})
        for member in ("description", "fingerprint"):
            object.__setattr__(changed, member, getattr(system, member))
        return changed

    return of_system


def _of_transitions(change: Callable[[Transition], Transition]) -> Callable[[System], System]:
    return _of_entities(
        lambda entity: replace(entity, transitions={n: change(t) for n, t in entity.transitions.items()})
    )


def _without_undoes(entity: Entity) -> Entity:
    states = {name: replace(state, undoes=None) for name, state in entity.states.items()}
    return replace(entity, states=states)


async def _no_checks(connection: Connection, system: System) -> None:
    for entity in system.entities.values():
        for invariant in entity.invariants:
            await trial.drop_rule(connection, system, entity, invariant.name)


async def _no_uniques(connection: Connection, system: System) -> None:
    for entity in system.entities.values():
        for unique in entity.uniques:
            await trial.drop_rule(connection, system, entity, unique.name)


async def _no_tenants(connection: Connection, system: System) -> None:
    for entity in system.entities.values():
        await trial.open_rows(connection, system, entity)
    await trial.alter_function(connection, "avow.lock_versions", "r.tenant = lock_versions.p_tenant AND ", "")


class _NewKeys:
    """Gives each attempt of a command a key of its own."""

    def __init__(self, execute: Callable[[Request], Any]) -> None:
        self._execute = execute

    async def __call__(self, request: Request) -> Reply:
        return await self._execute(replace(request, key=None if request.key is None else str(uuid4())))


def _new_keys(node: Node) -> None:
    setattr(node.engine, "execute", _NewKeys(node.engine.execute))  # noqa: B010 - a seam that isn't declared


class _Caller:
    """Stands in for what runs effects' functions."""

    def __init__(self, caller: Any, change: Callable[[Ending], Ending], *, calls: bool = True) -> None:
        self._caller, self._change, self._calls = caller, change, calls

    async def attempt(self, effect: Effect, record: Any, call: Call) -> Ending:
        ending: Ending = Result("made up" if effect.result else None)
        if self._calls:
            ending = await self._caller.attempt(effect, record, call)
        return self._change(ending)

    async def look_up(self, effect: Effect, record: Any, call: Call) -> Ending:
        return self._change(await self._caller.look_up(effect, record, call))


def _with_caller(change: Callable[[Ending], Ending], *, calls: bool = True) -> Callable[[Node], None]:
    def enter(node: Node) -> None:
        doing: Any = getattr(node.worker, "_doing")  # noqa: B009 - a seam that isn't declared
        setattr(doing, "_caller", _Caller(getattr(doing, "_caller"), change, calls=calls))  # noqa: B009, B010

    return enter


def _unclear_is_no(ending: Ending) -> Ending:
    return No("timeout", "no answer") if isinstance(ending, DontKnow) else ending


def _foreign_loads(node: Node) -> None:
    """Loads records by their ids alone."""
    plans: dict[tuple[str, str], Any] = getattr(node.engine, "_plans")  # noqa: B009 - a seam that isn't declared
    bare = dict[tuple[str, str], Any]()
    for key, plan in plans.items():
        sql = plan.load.sql.replace("t.tenant = s.tenant AND ", "")
        bare[key] = replace(plan, load=replace(plan.load, sql=sql))
    setattr(node.engine, "_plans", bare)  # noqa: B010


DEFECTS: tuple[Defect, ...] = (
    Defect("key not checked", "A second copy of a request is carried out as well.", "race",
           alter=_function("keep_answers", ("IF kept = cardinality(p_keys) THEN", "IF true THEN"))),
    Defect("answer not kept", "What is kept under a key isn't what was answered.", "conform",
           alter=_function("keep_answers", ("g.status, g.body,", "g.status, '{}'::bytea,"))),
    Defect("refusals forgotten", "A refusal isn't kept under its key.", "conform", at=Forgets),
    Defect("key per attempt", "Each attempt of a command has a key of its own.", "crash", enter=_new_keys),
    Defect("stale version accepted", "A decision counts although what it rests on has moved on.", "race",
           alter=_function("lock_versions", ("l.wanted IS NULL OR l.wanted = l.current", "true"))),
    Defect("no row lock", "What a decision rests on isn't locked.", "race",
           alter=_function("lock_versions", ("FOR NO KEY UPDATE OF r", ""), ("FOR SHARE OF r", ""))),
    Defect("error swallowed", "A command that was overtaken counts as done.", "race",
           at=lambda gate: Rewrites(gate, _stale_is_done, "commit")),
    Defect("stale cache", "What was loaded once is never loaded again.", "race", at=Remembers),
    Defect("queue after commit", "A command doesn't write what is to be done.", "conform",
           alter=_function("append_entries", ("IF waiting THEN", "IF false THEN"))),
    Defect("timer not ended", "A time stays when its state is left.", "conform",
           alter=_function("put_work", ("WHERE n.wait = 'null'", "WHERE false"))),
    Defect("timer early", "A time comes before it is due.", "conform",
           alter=_function("take_work", ("ready_at <= moment", "ready_at <= moment + interval '1 day'"))),
    Defect("lease without end", "What a dead worker had taken is never taken again.", "crash",
           alter=_function("take_work", ("ready_at = moment + taken_by", "ready_at = 'infinity'"))),
    Defect("call key per attempt", "Each attempt of a call has a key of its own.", "crash",
           at=lambda gate: Rewrites(gate, _another_key, "take")),
    Defect("done before it is made", "A call counts as done, and isn't made.", "conform",
           enter=_with_caller(lambda ending: ending, calls=False)),
    Defect("unclear is failed", "A call whose answer was lost counts as failed.", "crash",
           enter=_with_caller(_unclear_is_no)),
    Defect("undo without a key", "What undoes a call doesn't say which one.", "conform",
           of_system=_of_entities(_without_undoes)),
    Defect("quota not counted", "A quota isn't counted.", "race",
           alter=_function("append_entries", ("PERFORM avow.demand_quotas(p_tenant, entries);", "NULL;"))),
    Defect("unique not held", "Two records may have the same.", "race", alter=_no_uniques),
    Defect("invariant dropped", "An invariant isn't looked at.", "conform", alter=_no_checks,
           of_system=_of_entities(lambda entity: replace(entity, invariants=()))),
    Defect("guard dropped", "A guard isn't looked at.", "conform",
           of_system=_of_transitions(lambda transition: replace(transition, when=None))),
    Defect("policy dropped", "Everybody may do everything.", "conform",
           of_system=_of_transitions(lambda transition: replace(transition, by=Everybody()))),
    Defect("body not run", "What a body changes isn't changed.", "conform",
           of_system=_of_transitions(lambda transition: replace(transition, body=None))),
    Defect("entry missing", "A step that another one calls for isn't in the log.", "conform",
           alter=_function("append_entries", ("FROM given ORDER BY place", "FROM given WHERE place = 1"))),
    Defect("row differs", "A row isn't what its entry says.", "conform",
           alter=_function("apply_entries", ("changed_at = g.at", "changed_at = g.at + interval '1 s'"))),
    Defect("tenant forgotten", "A query doesn't ask for the tenant.", "conform",
           alter=_no_tenants, enter=_foreign_loads),
)  # fmt: skip
"""All of them."""
