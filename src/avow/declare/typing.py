"""The types of expressions, so that a declaration can't compare a name with a number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, NoReturn
from uuid import UUID

from avow.canonical import INTEGER_MAX
from avow.declare.naming import UNKNOWN_NAME
from avow.model import expression as ast
from avow.model import types as kinds
from avow.model.article import with_article
from avow.model.entity import Entity, Transition
from avow.model.expression import Expression, render
from avow.model.private import PRIVATE, PrivateType
from avow.model.types import Value, ValueType
from avow.model.values import Money, Subject

ORDERED = frozenset({"integer", "decimal", "text", "date", "instant", "duration"})
UNKNOWN = "unknown"
"""The type of what couldn't be built; it fits everything, since it was reported already."""


@dataclass(frozen=True, slots=True)
class Unbuilt:
    """Stands for the type of a field that couldn't be read."""

    def parse(self, raw: Any, at: str) -> NoReturn:
        raise TypeError("a declaration with mistakes reads nothing")

    def fit(self, value: Any, at: str) -> Value:
        return value

    def dump(self, value: Any) -> NoReturn:
        raise TypeError("a declaration with mistakes writes nothing")

    def describe(self) -> dict[str, Any]:
        return {"type": UNKNOWN}


@dataclass(frozen=True, slots=True)
class Fault:
    """What makes no sense in an expression: a stable code, what is wrong, what to write."""

    code: str
    detail: str
    mend: str


def condition_faults(
    condition: Expression, entity: Entity, entities: Mapping[str, Entity], transition: Transition | None
) -> list[Fault]:
    """Everything that is wrong with a condition."""
    reader = Reader(entity, entities, transition)
    reader.demand_condition(condition)
    return reader.faults


class Reader:
    """Reads the types of one expression; what makes no sense is collected in `faults`."""

    def __init__(
        self, entity: Entity, entities: Mapping[str, Entity], transition: Transition | None = None
    ) -> None:
        self.entity, self.entities, self.transition = entity, entities, transition
        self.faults = list[Fault]()

    def _fault(self, code: str, detail: str, mend: str) -> str:
        self.faults.append(Fault(code, detail, mend))
        return UNKNOWN

    def demand_condition(self, node: Expression) -> None:
        """Demand that an expression is true or false."""
        if isinstance(node, ast.Const) and isinstance(node.value, bool):
            detail = f"a condition is always {node.value}"
            mend = (
                "Compare fields, not constants; missing(x) asks for None; everybody and internal are words."
            )
            self._fault("condition-constant", detail, mend)
        elif self.type_of(node) not in ("boolean", UNKNOWN):
            self._fault(
                "condition-unreadable", f"`{render(node)}` isn't a condition", "Compare it with something."
            )

    def type_of(self, node: Expression) -> str:
        """The type of an expression as one word (money carries its currency)."""
        match node:
            case ast.Const(value):
                return self._type_of_value(value)
            case ast.FieldOf(path):
                return self._type_of_field(path)
            case ast.Argument(name, path):
                return self._type_of_argument(name, path)
            case ast.ActorSubject():
                return "subject"
            case ast.Votes(name):
                self._demand_transition(name)
                return "integer"
            case ast.Now():
                return "instant"
            case ast.Arithmetic(op, left, right):
                return self._calculated(node, op, self.type_of(left), self.type_of(right))
            case _:
                self._read_condition(node)
                return "boolean"

    def _read_condition(self, node: Expression) -> None:
        match node:
            case ast.Compare(op, left, right):
                self._compared(node, op, self.type_of(left), self.type_of(right))
            case ast.All(parts) | ast.AnyOf(parts):
                for part in parts:
                    self.demand_condition(part)
            case ast.Not(part):
                self.demand_condition(part)
            case ast.Missing(part):
                self.type_of(part)
            case ast.OneOf(part, options):
                kind = self.type_of(part)
                for option in options:
                    self._compared(node, "==", kind, self._type_of_value(option))
            case ast.Performed(name):
                self._demand_transition(name)
            case ast.InState(states, path):
                self._demand_states(states, path)
            case _:
                pass

    def resolve(self, path: ast.Path) -> ValueType:
        """The type at the end of a path; Unbuilt after a fault."""
        at = self.entity
        for depth, name in enumerate(path):
            if name == UNKNOWN_NAME:
                return Unbuilt()
            field, rest = at.fields.get(name), path[depth + 1 :]
            if field is None:
                self._fault(
                    "field-unknown",
                    f"{at.name} has no field `{name}`",
                    f"{at.name} has {', '.join(at.fields) or 'no field at all'}.",
                )
                return Unbuilt()
            if not rest or isinstance(field.type, Unbuilt):
                return field.type
            if isinstance(field.type, kinds.ObjectOf) and len(rest) == 1:
                member = next((m for m in field.type.members if m.name == rest[0]), None)
                if member is not None:
                    return member.type
            if not isinstance(field.type, kinds.Reference):
                mend = "Only references and value objects have parts."
                self._fault("field-unknown", f"`{at.name}.{name}` has no `{rest[0]}`", mend)
                return Unbuilt()
            if field.type.entity not in self.entities:
                return Unbuilt()  # reported with the reference itself
            at = self.entities[field.type.entity]
        return Unbuilt()

    def _type_of_field(self, path: ast.Path) -> str:
        return word_of(self.resolve(path))

    def _type_of_argument(self, name: str, path: ast.Path) -> str:
        parameters = self.transition.parameters if self.transition else ()
        found = next((p for p in parameters if p.name == name), None)
        if found is None:
            mend = "Name an argument of the body, or a field in sets=."
            return self._fault("argument-unknown", f"the command has no argument `{name}`", mend)
        kind: ValueType = found.type
        for part in path:
            members = kind.members if isinstance(kind, kinds.ObjectOf) else ()
            member = next((m for m in members if m.name == part), None)
            if member is None:
                mend = "Only value objects have parts."
                return self._fault("argument-unknown", f"the argument `{name}` has no `{part}`", mend)
            kind = member.type
        return word_of(kind)

    def _type_of_value(self, value: Value) -> str:
        if isinstance(value, datetime):
            mend = "Write `now`, or keep the time in a field."
            return self._fault("constant-instant", "an instant would be frozen at the time of import", mend)
        exact = not isinstance(value, Decimal) or value.is_finite()
        small = not isinstance(value, int) or -INTEGER_MAX <= value <= INTEGER_MAX
        kind = _word_of_value(value) if exact and small else None
        if kind is None:
            mend = "Use exact values: int (53 bits), Decimal, Money, str, an enum, a date, a length of time;"
            detail = f"{with_article(type(value).__name__)} can't stand in an expression"
            return self._fault("constant-unreadable", detail, f"{mend} missing(x) for None.")
        return kind

    def _compared(self, node: Expression, op: str, left: str, right: str) -> None:
        if UNKNOWN in (left, right):
            return
        if PRIVATE in (left, right):
            detail = f"`{render(node)}` looks at a private value, which nobody here knows"
            mend = "Use a field that isn't private; missing(x) asks whether there is a value."
            self._fault("private-compared", detail, mend)
        elif left in ("list", "object") or right in ("list", "object"):
            detail = f"`{render(node)}` compares a whole {left if left in ('list', 'object') else right}"
            self._fault("comparison-mixed", detail, "Compare one of its parts.")
        elif not _same(left, right):
            detail = f"`{render(node)}` compares {left} with {right}"
            self._fault("comparison-mixed", detail, "Compare values of one type.")
        elif op not in ("==", "!=") and left not in ORDERED and not left.startswith("money"):
            self._fault("comparison-unordered", f"`{render(node)}`: {left} has no order", "Use == or !=.")

    def _calculated(self, node: Expression, op: str, left: str, right: str) -> str:
        kind = UNKNOWN if UNKNOWN in (left, right) else _kind_of_result(op, left, right)
        if kind is not None:
            return kind
        detail = f"`{render(node)}` can't be calculated: {left} {op} {right}"
        return self._fault("arithmetic-mixed", detail, "Calculate with values that fit.")

    def _demand_transition(self, name: str) -> None:
        if name not in self.entity.transitions and name != UNKNOWN_NAME:
            mend = "Name a transition of the same entity."
            self._fault("transition-unknown", f"there is no transition {name}", mend)

    def _demand_states(self, states: tuple[str, ...], path: ast.Path) -> None:
        at = self.entity
        if path:
            kind = self.resolve(path)
            if isinstance(kind, Unbuilt):
                return
            if not isinstance(kind, kinds.Reference):
                self._fault("state-undeclared", f"`{'.'.join(path)}` isn't a reference", "Name one in of=.")
                return
            if kind.entity not in self.entities:
                return
            at = self.entities[kind.entity]
        for state in states:
            if state not in at.states and state != UNKNOWN_NAME:
                mend = f"{at.name} has {', '.join(at.states)}."
                self._fault("state-undeclared", f"{at.name} has no state `{state}`", mend)


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
    PrivateType: PRIVATE,
    Unbuilt: UNKNOWN,
}

_PYTHON: tuple[tuple[type, str], ...] = (
    (bool, "boolean"), (int, "integer"), (Subject, "subject"), (str, "text"), (Decimal, "decimal"),
    (date, "date"), (timedelta, "duration"), (UUID, "uuid"),
)  # fmt: skip


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


def _word_of_value(value: Value) -> str | None:
    if isinstance(value, Enum):
        return f"enum {type(value).__name__}"
    if isinstance(value, Money):
        return f"money {value.currency}"
    return next((word for python, word in _PYTHON if isinstance(value, python)), None)


def fits(kind: str, wanted: str) -> bool:
    """Whether a value of one type can be assigned to a field of another."""
    return UNKNOWN in (kind, wanted) or _same(kind, wanted)


def _same(left: str, right: str) -> bool:
    if left == right or {left, right} in ({"integer", "decimal"}, {"text", "subject"}):
        return True
    return {left.split()[0], right.split()[0]} == {"reference", "uuid"}


def _kind_of_result(op: str, left: str, right: str) -> str | None:
    numbers = {"integer", "decimal"}
    money = [kind for kind in (left, right) if kind.startswith("money")]
    if left in numbers and right in numbers:
        return "integer" if left == right == "integer" else "decimal"
    if op in "+-" and left == right and (money or left == "duration"):
        return left
    if op in "+-" and left == "instant" and right == "duration":
        return "instant"
    if op == "-" and left == right == "instant":
        return "duration"
    if op == "*" and len(money) == 1 and "integer" in (left, right):
        return money[0]
    return None
