"""The values that the language lacks: an amount of money and a person's identity."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

# ISO 4217 currencies whose minor unit isn't a hundredth (table A.1 of the standard).
_SCALES = {
    **dict.fromkeys(
        ["BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV"], 0
    ),
    **dict.fromkeys(["XAF", "XOF", "XPF"], 0),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
    **dict.fromkeys(["CLF", "UYW"], 4),
}


def currency_scale(currency: str) -> int:
    """Digits after the point in the minor unit of an ISO 4217 currency; 2 where it isn't special."""
    return _SCALES.get(currency, 2)


class Subject(str):
    """The identity of a person or program, as authentication established it. Never an e-mail address."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount of one currency.

    Adding, subtracting and ordering need the same currency on both sides, else TypeError.
    """

    amount: Decimal
    currency: str

    def _same(self, other: Any) -> Decimal:
        if not isinstance(other, Money) or other.currency != self.currency:
            raise TypeError(f"{self.currency} can only be combined with {self.currency}")
        return other.amount

    def __add__(self, other: Money) -> Money:
        return Money(self.amount + self._same(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.amount - self._same(other), self.currency)

    def __mul__(self, factor: int) -> Money:
        return Money(self.amount * factor, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.amount, self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.amount < self._same(other)

    def __le__(self, other: Money) -> bool:
        return self.amount <= self._same(other)

    def __gt__(self, other: Money) -> bool:
        return self.amount > self._same(other)

    def __ge__(self, other: Money) -> bool:
        return self.amount >= self._same(other)

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"
