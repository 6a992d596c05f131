"""Claims by a declaration: whoever asks for a receipt writes values as the entity's fields have them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from avow.canonical import JsonValue
from avow.evidence.verifier import Invalid
from avow.evidence.verifier.claim import Amount, Condition, Constant
from avow.model.entity import Entity
from avow.model.private import PRIVATE, PrivateType
from avow.model.types import DecimalType, Misfit, ValueType


def typed(claim: tuple[Condition, ...], entity: Entity) -> tuple[Condition, ...]:
    """The claim with its constants as an entry writes them: `7` for a text is a text, a time has six digits.

    Raises Invalid for a name or a constant that no entry of this entity can have.
    """
    return tuple(_typed(condition, entity) for condition in claim)


def _typed(condition: Condition, entity: Entity) -> Condition:
    path, op, value = condition
    name, *members = path.split(".")
    if path == "state":
        if value not in entity.states:
            raise Invalid(f"{entity.name} has no such state; there are: {', '.join(entity.states)}")
        return condition
    if name not in entity.fields:
        known = ", ".join(entity.fields) or "none"
        raise Invalid(f"{entity.name} has no field {name[:60]}; there are: {known}. And there is `state`")
    if members or value is None:
        return condition
    if isinstance(entity.fields[name].type, PrivateType):
        raise Invalid(f"{name} is private: an entry has its digest alone, which is {name}.{PRIVATE}")
    return Condition(path, op, _constant(path, value, entity.fields[name].type))


def _constant(path: str, value: Constant, kind: ValueType) -> Constant:
    flaw = "doesn't fit"
    for raw in _readings(value):
        try:
            return _as_constant(kind.dump(kind.parse(raw, "")), kind)
        except Misfit as misfit:
            flaw = misfit.flaws[0].detail
    raise Invalid(f"{path} {flaw}")


def _readings(value: Constant) -> list[Any]:
    """What a constant may stand for in JSON, the likeliest last: its complaint is the one that is told."""
    match value:
        case Amount(number, currency):
            return [{"amount": f"{number:f}", "currency": currency}]
        case Decimal():
            text = f"{value:f}"
            return [text, int(text)] if "." not in text else [text]
        case _:
            return [value]


def _as_constant(held: JsonValue, kind: ValueType) -> Constant:
    match held:
        case {"amount": str() as amount, "currency": str() as currency}:
            return Amount(Decimal(amount), currency)
        case bool():
            return held
        case int():
            return Decimal(held)
        case str():
            return Decimal(held) if isinstance(kind, DecimalType) else held
        case _:
            raise Invalid("a claim is about a plain value, or about one member of an object")
