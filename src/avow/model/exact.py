"""Exact numbers: decimals of a declared size, and money of a declared currency."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, cast

from avow.canonical import JsonValue
from avow.model.flaw import misfit
from avow.model.values import EXACT, Money, plain

DECIMAL_DIGITS_MAX = 38

_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?", re.ASCII)


def _parse_decimal(raw: Any, at: str) -> Decimal:
    if not isinstance(raw, str) or len(raw) > DECIMAL_DIGITS_MAX + 3 or not _DECIMAL.fullmatch(raw):
        raise misfit(at, "not-a-decimal", 'must be a decimal number in a string, such as "12.50"')
    return Decimal(raw)


@cache
def _power_of_ten(exponent: int) -> Decimal:
    return Decimal((0, (1,), exponent))


def _fit_decimal(value: Any, digits: int, scale: int, at: str) -> Decimal:
    if type(value) is int:
        value = Decimal(value)
    if not isinstance(value, Decimal) or not value.is_finite():
        raise misfit(at, "not-a-decimal", "must be a finite decimal number")
    try:
        fitted = value.quantize(_power_of_ten(-scale), context=EXACT)
    except InvalidOperation:
        raise misfit(at, "too-large", f"must have at most {digits} digits") from None
    if fitted != value:
        raise misfit(at, "scale-exceeded", f"must have at most {scale} digits after the point")
    if fitted.copy_abs() >= _power_of_ten(digits - scale):
        raise misfit(at, "too-large", f"must have at most {digits - scale} digits before the point")
    return fitted.copy_abs() if fitted == 0 else fitted  # no negative zero


@dataclass(frozen=True, slots=True)
class DecimalType:
    """An exact decimal of `digits` digits in all, `scale` of them after the point."""

    digits: int = 18
    scale: int = 6
    ge: Decimal | None = None
    le: Decimal | None = None

    def parse(self, raw: Any, at: str) -> Decimal:
        return self.fit(_parse_decimal(raw, at), at)

    def fit(self, value: Any, at: str) -> Decimal:
        fitted = _fit_decimal(value, self.digits, self.scale, at)
        _demand_within(fitted, self.ge, self.le, at)
        return fitted

    def dump(self, value: Decimal) -> JsonValue:
        return f"{value:.{self.scale}f}"

    def describe(self) -> dict[str, Any]:
        return {"type": "decimal", "digits": self.digits, "scale": self.scale, **_described(self.ge, self.le)}


@dataclass(frozen=True, slots=True)
class MoneyType:
    """An amount of one declared currency, in its minor unit's scale."""

    currency: str
    scale: int
    digits: int = 18
    ge: Decimal | None = None
    le: Decimal | None = None

    def parse(self, raw: Any, at: str) -> Money:
        members = cast(Mapping[str, Any], raw if isinstance(raw, Mapping) else {})
        if set(members) != {"amount", "currency"}:
            raise misfit(at, "not-money", 'must be an object of exactly "amount" and "currency"')
        if members["currency"] != self.currency:
            raise misfit(f"{at}/currency", "currency-mismatch", f"must be {self.currency}")
        amount = _parse_decimal(members["amount"], f"{at}/amount")
        return self._within(amount, f"{at}/amount")

    def _within(self, amount: Any, at: str) -> Money:
        fitted = _fit_decimal(amount, self.digits, self.scale, at)
        _demand_within(fitted, self.ge, self.le, at)
        return Money(fitted, self.currency)

    def fit(self, value: Any, at: str) -> Money:
        if not isinstance(value, Money):
            raise misfit(at, "not-money", f"must be money in {self.currency}")
        if value.currency != self.currency:
            raise misfit(at, "currency-mismatch", f"must be money in {self.currency}")
        return self._within(value.amount, at)

    def dump(self, value: Money) -> JsonValue:
        return {"amount": f"{value.amount:.{self.scale}f}", "currency": value.currency}

    def describe(self) -> dict[str, Any]:
        size = {"currency": self.currency, "digits": self.digits, "scale": self.scale}
        return {"type": "money", **size, **_described(self.ge, self.le)}


def _demand_within(value: Decimal, ge: Decimal | None, le: Decimal | None, at: str) -> None:
    if ge is not None and value < ge:
        raise misfit(at, "too-small", f"must be at least {plain(ge)}")
    if le is not None and value > le:
        raise misfit(at, "too-large", f"must be at most {plain(le)}")


def _described(ge: Decimal | None, le: Decimal | None) -> dict[str, str]:
    return {key: plain(bound) for key, bound in (("ge", ge), ("le", le)) if bound is not None}
