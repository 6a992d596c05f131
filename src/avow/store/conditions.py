"""Expressions as SQL: in CHECK constraints with constants, in queries with parameters."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from avow.model import expression as ast
from avow.model import types as kinds
from avow.model.actor import Actor
from avow.model.entity import Entity
from avow.model.expression import Expression
from avow.model.system import System
from avow.model.types import Value, instant
from avow.model.values import Money
from avow.store.columns import from_json, from_text, performers_column
from avow.store.statements import literal, named, quote

TRUE = ast.Everybody()
FALSE = ast.Not(TRUE)
_COMPARE = {"==": "=", "!=": "<>"}


def sql_literal(value: Value) -> str:
    """A constant of a declaration as SQL."""
    match value:
        case Enum():
            return literal(str(value.value))
        case bool():
            return "true" if value else "false"
        case int() | Decimal():
            return f"({value})" if value < 0 else str(value)
        case Money():
            return sql_literal(value.amount)
        case str():
            return literal(value)
        case datetime():
            return f"timestamptz {literal(instant(value))}"
        case date():
            return f"date {literal(value.isoformat())}"
        case timedelta():
            return from_text(kinds.DurationType(), literal(str(kinds.DurationType().dump(value))))
        case UUID():
            return f"uuid {literal(str(value))}"
        case _:
            raise TypeError(f"{type(value).__name__} can't stand in SQL")


def settle(node: Expression, actor: Actor) -> Expression:
    """The expression with everything about the actor's rights decided; what remains reads the record."""
    match node:
        case ast.HasRole(role):
            return TRUE if role in actor.roles else FALSE
        case ast.Authenticated():
            return TRUE if actor.authenticated else FALSE
        case ast.Internal():
            return FALSE
        case ast.All(parts):
            left = [part for part in (settle(p, actor) for p in parts) if part != TRUE]
            return (
                FALSE
                if FALSE in left
                else left[0]
                if len(left) == 1
                else ast.All(tuple(left))
                if left
                else TRUE
            )
        case ast.AnyOf(parts):
            left = [part for part in (settle(p, actor) for p in parts) if part != FALSE]
            return (
                TRUE
                if TRUE in left
                else left[0]
                if len(left) == 1
                else ast.AnyOf(tuple(left))
                if left
                else FALSE
            )
        case ast.Not(part):
            held = settle(part, actor)
            return FALSE if held == TRUE else TRUE if held == FALSE else ast.Not(held)
        case _:
            return node


class Compiler:
    """Compiles expressions over one entity's rows.

    alias:     how the row is called in the statement; empty in a CHECK.
    subject:   SQL for the actor's subject; None where nobody acts.
    parameter: takes a constant and gives the SQL that stands for it.
    now:       SQL for the time; by itself it is asked for once a statement, not once a row.
    """

    def __init__(
        self, system: System, entity: Entity, alias: str, subject: str | None = None,
        parameter: Callable[[Any], str] = sql_literal, now: str = "(SELECT avow.now())",
    ) -> None:  # fmt: skip
        self.system, self.entity, self.alias = system, entity, alias
        self.subject, self.parameter, self.now = subject, parameter, now

    def compile(self, node: Expression) -> str:
        """The expression as SQL with the same three-valued logic."""
        match node:
            case ast.Const(value):
                return self.parameter(value)
            case ast.FieldOf(path):
                return self._field(path)
            case ast.Compare(op, left, right):
                return self._compared(op, left, right)
            case ast.Arithmetic(op, left, right):
                return f"({self._operand(left)} {op} {self._operand(right)})"
            case ast.All(parts):
                return f"({' AND '.join(map(self.compile, parts))})"
            case ast.AnyOf(parts):
                return f"({' OR '.join(map(self.compile, parts))})"
            case ast.Not(part):
                return f"(NOT {self.compile(part)})"
            case ast.Missing(part):
                return f"({self.compile(part)} IS NULL)"
            case ast.OneOf(part, options):
                return self._one_of(part, options)
            case ast.InState(states, path):
                listed = ", ".join(literal(state) for state in states)
                return f"({self._state(path)} IN ({listed}))"
            case ast.Now():
                return self.now
            case ast.Votes(transition):
                return f"coalesce(cardinality({self._column(performers_column(transition))}), 0)"
            case _:
                return self._about_actor(node)

    def _about_actor(self, node: Expression) -> str:
        match node:
            case ast.Everybody():
                return "true"
            case ast.ActorSubject():
                return self.subject or "NULL::text"
            case ast.Performed(transition):
                kept = (t for t in (transition, ast.delegated(transition)) if t in self.entity.tracked)
                subject = self.subject or "NULL::text"
                columns = [self._column(performers_column(step)) for step in kept]
                held = " OR ".join(f"{subject} = ANY (coalesce({column}, '{{}}'))" for column in columns)
                # Nobody is not one who hasn't: for the anonymous actor it is unknown.
                return f"(CASE WHEN {subject} IS NOT NULL THEN {held} END)"
            case _:
                raise TypeError(f"{type(node).__name__} can't become SQL")

    def _operand(self, node: Expression) -> str:
        """An operand of arithmetic, which may lead beyond every bound: as a number without limits."""
        if self._temporal(node):
            return self._seconds(node)
        whole = isinstance(node, ast.FieldOf) and isinstance(self._type(node.path), kinds.Integer)
        whole = whole or isinstance(node, ast.Votes)
        whole = whole or (isinstance(node, ast.Const) and type(node.value) is int)
        return f"{self.compile(node)}::numeric" if whole else self.compile(node)

    def _temporal(self, node: Expression) -> bool:
        """Whether it is an instant or a length of time."""
        match node:
            case ast.Now():
                return True
            case ast.Const(value):
                return isinstance(value, datetime | timedelta)
            case ast.FieldOf(path):
                return isinstance(self._type(path), kinds.DateTimeType | kinds.DurationType)
            case ast.Arithmetic(_, left, right):
                return self._temporal(left) or self._temporal(right)
            case _:
                return False

    def _seconds(self, node: Expression) -> str:
        """An instant or a length of time as exact seconds; what was calculated already is."""
        compiled = self.compile(node)
        return compiled if isinstance(node, ast.Arithmetic) else f"extract(epoch FROM {compiled})"

    def _compared(self, op: str, left: Expression, right: Expression) -> str:
        calculated = isinstance(left, ast.Arithmetic) or isinstance(right, ast.Arithmetic)
        form = self._seconds if calculated and self._temporal(left) else self.compile
        return f"({form(left)} {_COMPARE.get(op, op)} {form(right)})"

    def _one_of(self, part: Expression, options: tuple[Any, ...]) -> str:
        if isinstance(part, ast.Arithmetic) and self._temporal(part):
            return f"({' OR '.join(self._compared('==', part, ast.Const(option)) for option in options)})"
        return f"({self.compile(part)} IN ({', '.join(self.parameter(option) for option in options)}))"

    def _type(self, path: ast.Path) -> kinds.ValueType:
        """The type of a field, also behind references and in value objects."""
        kind = self.entity.fields[path[0]].type
        if len(path) == 1:
            return kind
        if isinstance(kind, kinds.ObjectOf):
            return next(m.type for m in kind.members if m.name == path[1])
        target = self.system.referred(self.entity, path[0])
        return Compiler(self.system, target, "")._type(path[1:])

    def _column(self, name: str) -> str:
        return f"{self.alias}.{quote(name)}" if self.alias else quote(name)

    def _state(self, path: ast.Path) -> str:
        return self._remote(path, "state") if path else self._column("state")

    def _field(self, path: ast.Path) -> str:
        if len(path) == 1:
            return self._column(path[0])
        kind = self.entity.fields[path[0]].type
        if isinstance(kind, kinds.ObjectOf):
            member = next(m for m in kind.members if m.name == path[1])
            return from_json(member.type, self._column(path[0]), member.name)
        return self._remote(path[:1], path[1:])

    def _remote(self, path: ast.Path, rest: str | ast.Path) -> str:
        """A value of the record behind a reference, as a scalar subquery of the same tenant."""
        target = self.system.referred(self.entity, path[0])
        alias = f"{self.alias or 'own'}_{path[0]}"
        inner = Compiler(self.system, target, quote(alias), self.subject, self.parameter, self.now)
        if isinstance(rest, str):
            value = inner._state(path[1:])
        else:
            value = inner._field(rest)
        return named("reads.sql")["remote"].substitute(
            value=value,
            table=f"{quote(self.system.name)}.{quote(target.plural)}",
            alias=quote(alias),
            tenant=f"{self.alias}.tenant" if self.alias else "tenant",
            wanted=self._column(path[0]),
        )
