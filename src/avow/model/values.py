"""The values that the language lacks: an amount of money and a person's identity."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from typing import Any

EXACT = Context(prec=200, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow])
"""The arithmetic of every decision, whatever the process has set: exact on numbers of declared sizes."""

_CURRENCY = re.compile("[A-Z]{3}", re.ASCII)

# ISO 4217 currencies whose minor unit isn't a hundredth (table A.1 of the standard).
_SCALES = {
    **dict.fromkeys(
        ["BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV"], 0
    ),
    **dict.fromkeys(["XAF", "XOF", "XPF"], 0),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
    **dict.fromkeys(["CLF", "UYW"], 4),
}
# Every other currency that is in use, by the same table.
_OF_TWO_DIGITS = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD
CDF CHE CHF CHW CNY COP COU CRC CUC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP
GMD GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD
MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR
PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP
TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG ZWL
"""


def is_currency(code: str) -> bool:
    """Whether ISO 4217 knows a currency of this code; what it says of metals and tests isn't one."""
    return code in _SCALES or code in _OF_TWO_DIGITS.split()


def currency_scale(currency: str) -> int:
    """Digits after the point in the minor unit of an ISO 4217 currency; 2 where it isn't special."""
    return _SCALES.get(currency, 2)


def plain(number: Decimal) -> str:
    """An exact number in its one written form: no exponent, no needless zeros, no negative zero."""
    text = format(number.normalize(EXACT), "f")
    return "0" if text == "-0" else text


class Subject(str):
    """The identity of a person or program, as authentication established it. Never an e-mail address."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount of one currency, equal whatever zeros it is written with.

    amount: a Decimal or an int. currency: an ISO 4217 code. Adding, subtracting and ordering need
    the same currency on both sides, else TypeError.
    """

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        amount: Any = self.amount
        if type(amount) is int:
            object.__setattr__(self, "amount", Decimal(amount))
        elif not isinstance(amount, Decimal) or not amount.is_finite():
            raise TypeError("an amount of money is a finite Decimal or an int, never a float")
        if not _CURRENCY.fullmatch(self.currency):
            raise ValueError("a currency is an ISO 4217 code, such as EUR")

    def _same(self, other: Any) -> Decimal:
        if not isinstance(other, Money) or other.currency != self.currency:
            raise TypeError(f"{self.currency} can only be combined with {self.currency}")
        return other.amount

    def __add__(self, other: Money) -> Money:
        return Money(EXACT.add(self.amount, self._same(other)), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(EXACT.subtract(self.amount, self._same(other)), self.currency)

    def __mul__(self, factor: int | Decimal) -> Money:
        return Money(EXACT.multiply(self.amount, factor), self.currency)

    __rmul__ = __mul__

    def __neg__(self) -> Money:
        return Money(EXACT.minus(self.amount), self.currency)

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
