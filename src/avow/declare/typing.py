"""The types of expressions, so that a declaration can't compare a name with a number."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from uuid import UUID

from avow.model import expression as ast
from avow.model import types as kinds
from avow.model.entity import Entity, Transition
from avow.model.expression import Expression, render
from avow.model.system import System
from avow.model.types import Value, ValueType
from avow.model.values import Money, Subject

ORDERED = frozenset({"integer", "decimal", "text", "date", "instant", "duration"})


@dataclass(frozen=True, slots=True)
class Untypable(Exception):
    """An expression that makes no sense: a stable code, what is wrong, what to write."""

    code: str
    detail: str
    mend: str


def condition_fault(
    condition: Expression, entity: Entity, system: System, transition: Transition | None
) -> Untypable | None:
    """What is wrong with a condition, or None."""
    try:
        kind = type_of(condition, entity, system, transition)
    except Untypable as untypable:
        return untypable
    if kind != "boolean":
        return Untypable("condition-unreadable", f"`{render(condition)}` isn't a condition", "Compare it with something.")
    return None


def type_of(node: Expression, entity: Entity, system: System, transition: Transition | None) -> str:
    """The type of an expression as one word (money carries its currency). Raises Untypable."""

    def of(part: Expression) -> str:
        return type_of(part, entity, system, transition)

    match node:
        case ast.Const(value):
            return _type_of_value(value)
        case ast.FieldOf(path):
            return word_of(resolve(path, entity, system))
        case ast.Argument(name):
            return _type_of_argument(name, transition)
        case ast.ActorSubject():
            return "subject"
        case ast.Now():
            return "instant"
        case ast.Compare(op, left, right):
            return _compared(node, op, of(left), of(right))
        case ast.Arithmetic(op, left, right):
            return _calculated(node, op, of(left), of(right))
        case ast.All(parts) | ast.AnyOf(parts):
            for part in parts:
                _demand_condition(part, of(part))
        case ast.Not(part):
            _demand_condition(part, of(part))
        case ast.Missing(part):
            of(part)
        case ast.OneOf(part, options):
            kind = of(part)
            for option in options:
                _compared(node, "==", kind, _type_of_value(option))
        case ast.Performed(name):
            if name not in entity.transitions:
                raise Untypable("transition-unknown", f"there is no transition {name}", "Name a transition of the same entity.")
        case ast.InState(states, path):
            _demand_states(states, path, entity, system)
        case _:
            pass
    return "boolean"


def resolve(path: ast.Path, entity: Entity, system: System) -> ValueType:
    """The type at the end of a path. Raises Untypable."""
    at = entity
    for depth, name in enumerate(path):
        field = at.fields.get(name)
        if field is None:
            raise Untypable("field-unknown", f"{at.name} has no field `{name}`", f"{at.name} has {', '.join(at.fields)}.")
        rest = path[depth + 1 :]
        if not rest:
            return field.type
        if isinstance(field.type, kinds.ObjectOf) and len(rest) == 1:
            member = next((m for m in field.type.members if m.name == rest[0]), None)
            if member is not None:
                return member.type
        if not isinstance(field.type, kinds.Reference):
            raise Untypable("field-unknown", f"`{at.name}.{name}` has no `{rest[0]}`", "Only references and value objects have parts.")
        if field.type.entity not in system.entities:
            raise Untypable("reference-unknown", f"{field.type.entity} isn't part of the system", "Pass it to system() too.")
        at = system.entities[field.type.entity]
    raise Untypable("field-unknown", "an empty path names nothing", "Name a field.")


_WORDS: dict[type, str] = {
    kinds.Text: "text",
    kinds.SubjectType: "subject",
    kinds.Integer: "integer",
    kinds.Boolean: "boolean",
    kinds.DecimalType: "decimal",
    kinds.DateType: "date",
    kinds.DateTimeType: "instant",
    kinds.DurationType: "duration",
    kinds.UuidType: "uuid",
    kinds.ListOf: "list",
    kinds.ObjectOf: "object",
}


def word_of(kind: ValueType) -> str:
    """The one word for a type."""
    match kind:
        case kinds.MoneyType(currency):
            return f"money {currency}"
        case kinds.EnumType(name):
            return f"enum {name}"
        case kinds.Reference(entity):
            return f"reference to {entity}"
        case _:
            return _WORDS[type(kind)]


def _type_of_value(value: Value) -> str:
    match value:
        case Enum():
            return f"enum {type(value).__name__}"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case Subject():
            return "subject"
        case Money():
            return f"money {value.currency}"
        case _:
            for python, name in ((str, "text"), (Decimal, "decimal"), (datetime, "instant"), (date, "date"), (timedelta, "duration"), (UUID, "uuid")):
                if isinstance(value, python):
                    return name
    raise Untypable("constant-unreadable", f"a {type(value).__name__} can't stand in an expression", "Use exact values: int, Decimal, Money, str, an enum, a date, a time; missing(x) for None.")


def _type_of_argument(name: str, transition: Transition | None) -> str:
    found = next((p for p in transition.parameters if p.name == name), None) if transition else None
    if found is None:
        raise Untypable("argument-unknown", f"the command has no argument `{name}`", "Name an argument of the body, or a field in sets=.")
    return word_of(found.type)


def _same(left: str, right: str) -> bool:
    if left == right or {left, right} in ({"integer", "decimal"}, {"text", "subject"}):
        return True
    return {left.split()[0], right.split()[0]} == {"reference", "uuid"}


def _compared(node: Expression, op: str, left: str, right: str) -> str:
    if not _same(left, right):
        raise Untypable("comparison-mixed", f"`{render(node)}` compares {left} with {right}", "Compare values of one type.")
    ordered = left in ORDERED or left.startswith("money")
    if op not in ("==", "!=") and not ordered:
        raise Untypable("comparison-unordered", f"`{render(node)}`: {left} has no order", "Use == or !=.")
    if left in ("list", "object"):
        raise Untypable("comparison-mixed", f"`{render(node)}` compares a whole {left}", "Compare one of its parts.")
    return "boolean"


def _calculated(node: Expression, op: str, left: str, right: str) -> str:
    numbers = {"integer", "decimal"}
    if left in numbers and right in numbers:
        return "integer" if left == right == "integer" else "decimal"
    if op in "+-" and left == right and (left.startswith("money") or left == "duration"):
        return left
    if op in "+-" and left == "instant" and right == "duration":
        return "instant"
    if op == "-" and left == right == "instant":
        return "duration"
    if op == "*" and left.startswith("money") and right == "integer":
        return left
    raise Untypable("arithmetic-mixed", f"`{render(node)}` can't be calculated: {left} {op} {right}", "Calculate with values that fit.")


def _demand_condition(part: Expression, kind: str) -> None:
    if kind != "boolean":
        raise Untypable("condition-unreadable", f"`{render(part)}` isn't a condition", "Compare it with something.")


def _demand_states(states: tuple[str, ...], path: ast.Path, entity: Entity, system: System) -> None:
    at = entity
    if path:
        kind = resolve(path, entity, system)
        if not isinstance(kind, kinds.Reference):
            raise Untypable("state-undeclared", f"`{'.'.join(path)}` isn't a reference", "Name a reference in of=.")
        at = system.entities[kind.entity]
    for state in states:
        if state not in at.states:
            raise Untypable("state-undeclared", f"{at.name} has no state `{state}`", f"{at.name} has {', '.join(at.states)}.")
