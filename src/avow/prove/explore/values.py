"""Boundary values: the few inputs that a type, the conditions around it, and the records so far set apart.

The first value of a list is the plainest. Which values there are is worked out from the model alone.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import islice, product
from typing import Any, Final, TypeVar
from uuid import UUID

from avow.model import types as kinds
from avow.model.entity import Entity
from avow.model.exact import DecimalType, MoneyType
from avow.model.expression import Arithmetic, Compare, Const, Expression, FieldOf, OneOf, walk
from avow.model.private import PartlyPrivate, PrivateType
from avow.model.system import System
from avow.model.times import DateTimeType, DateType, DurationType
from avow.model.types import Misfit, ValueType
from avow.model.values import Money
from avow.prove.explore.flows import conditions_of, flows_of, name_of, named_in, words_of
from avow.prove.explore.spoken import compared_in, lengths_in
from avow.prove.private import made_of, planted

Instant = TypeVar("Instant", bound=date)

OBJECTS_MAX: Final = 4
"""How many value objects of one type are tried."""
OBJECTS_ASKED_MAX: Final = 5_000
"""How many a value object's own check is asked about, until it has let some pass."""
PLAIN: Final = 2
"""Up to this number, what a field is compared with tells no more than whether it is empty."""
NEAR_MAX: Final = 3
"""So many of the numbers that something is compared with are tried, and those beside them."""
NEAR_RANGE: Final = 4
"""A range of whole numbers up to this long is tried as a whole."""
DAY: Final = timedelta(days=1)
"""How far apart instants are tried."""


@dataclass(frozen=True, slots=True)
class Apart:
    """A length of time by which an instant is compared with another one: so far apart they may be."""

    length: timedelta


def constants_of(system: System) -> Mapping[tuple[str, str], tuple[Any, ...]]:
    """What the fields and arguments of each entity are compared with, by entity and name."""
    return system.derived(_constants_of)


def _constants_of(system: System) -> Mapping[tuple[str, str], tuple[Any, ...]]:
    found = dict[tuple[str, str], dict[Any, None]]()
    for entity in system.entities.values():
        for condition in conditions_of(entity):
            for node in walk(condition):
                for name, value in _compared(node):
                    found.setdefault((entity.name, name), {})[value] = None
    for name, value in _spoken(system):
        for entity in system.entities.values():
            if name in entity.fields:
                found.setdefault((entity.name, name), {})[value] = None
    for entity in system.entities.values():  # what is weighed and what it is weighed against, alike
        for quota in entity.quotas:
            anchor = system.referred(entity, quota.anchor).name
            near = {} if quota.weight is None else found.get((entity.name, quota.weight), {})
            for name in filter(None, map(name_of, walk(quota.limit))):
                found[anchor, name] = {**found.get((anchor, name), {}), **near}
    for place, length in _before(system):
        found.setdefault(place, {}).setdefault(length)
    for place, length in _apart(system):
        found.setdefault(place, {}).setdefault(Apart(length))
    for place, amount in _scaled(system):
        found.setdefault(place, {}).setdefault(amount)
    for place, value in _flowing(system, found):
        found.setdefault(place, {}).setdefault(value)
    return {key: tuple(sorted(values, key=_is_plain)) for key, values in found.items()}


def _before(system: System) -> Iterator[tuple[tuple[str, str], timedelta]]:
    """Each field, and the times that have to lie before it, or before one that it is compared with."""
    groups, told = flows_of(system), dict[str, list[timedelta]]()
    for condition in (one for entity in system.entities.values() for one in conditions_of(entity)):
        for node in (one for one in walk(condition) if isinstance(one, Compare)):
            constants = (part.value for part in walk(node) if isinstance(part, Const))
            lengths = [abs(one) for one in constants if isinstance(one, timedelta)]
            for name in named_in(node):
                told.setdefault(groups.get(name, name), []).extend(lengths)
    for entity in system.entities.values():
        for name in sorted(words_of(entity)):
            yield from (((entity.name, name), length) for length in told.get(groups.get(name, name), ()))


def _apart(system: System) -> Iterator[tuple[tuple[str, str], timedelta]]:
    """Each field or argument, and the length of time by which it is compared with another one."""
    for names, length in system.derived(_lengths_spoken):
        for entity in system.entities.values():
            yield from (
                ((entity.name, name), length) for name in sorted(names & words_of(entity)) if len(names) > 1
            )
    for entity in system.entities.values():
        for node in (n for c in conditions_of(entity) for n in walk(c) if isinstance(n, Compare)):
            names = dict.fromkeys(named_in(node))
            constants = (part.value for part in walk(node) if isinstance(part, Const))
            for length in (abs(one) for one in constants if isinstance(one, timedelta)):
                yield from (((entity.name, name), length) for name in names if len(names) > 1)


def _scaled(system: System) -> Iterator[tuple[tuple[str, str], int]]:
    """Whole numbers of which multiples are compared, and from where on the least of the others is met."""
    for entity in system.entities.values():
        for node in (n for c in conditions_of(entity) for n in walk(c) if isinstance(n, Compare)):
            factors = [_factor(side) for side in (node.left, node.right)]
            paths = [
                {p.path for p in walk(side) if isinstance(p, FieldOf)} for side in (node.left, node.right)
            ]
            if factors == [1, 1] or not all(len(found) == 1 for found in paths):
                continue
            (mine,), (others,) = paths
            for path, other, up, down in ((mine, others, *factors[::-1]), (others, mine, *factors)):
                least = _least(system, entity, other)
                if len(path) == 1 and least is not None:
                    yield (entity.name, path[0]), max(least, 1) * up // down


def _factor(side: Expression) -> int:
    """By which whole number a side of a comparison is multiplied: 1 where by none."""
    if isinstance(side, Arithmetic) and side.operator == "*":
        for part in (side.left, side.right):
            if isinstance(part, Const) and type(part.value) is int and part.value > 0:
                return part.value
    return 1


def _least(system: System, entity: Entity, path: Sequence[str]) -> int | None:
    """The least value of a field, along references, that is a whole number; None of any other."""
    for name in path[:-1]:
        entity = system.referred(entity, name)
    kind = entity.fields[path[-1]].type
    return kind.ge or 0 if isinstance(kind, kinds.Integer) else None


def _is_plain(value: Any) -> bool:
    """Whether it is a number that is tried anyway, so that others come first."""
    return isinstance(value, int | Decimal | Money) and not tells(value)


def _flowing(
    system: System, found: Mapping[tuple[str, str], Mapping[Any, None]]
) -> list[tuple[tuple[str, str], Any]]:
    """What fields and arguments are compared with through others, whose values they take over or give."""
    groups = flows_of(system)
    compared = [(name, value) for (_, name), values in found.items() for value in values]
    bounds = [bound for entity in system.entities.values() for bound in _bounds(entity)]
    amounts = {(name, value) for name, value in (*compared, *bounds) if tells(value)}
    return [
        ((entity.name, name), value)
        for entity in system.entities.values()
        for name in sorted(words_of(entity))
        for other, value in sorted(amounts, key=str)
        if groups.get(name, name) == groups.get(other, other)
    ]


def _bounds(entity: Entity) -> Iterator[tuple[str, Any]]:
    """The least value of each number, by its name: whoever is to reach it has to know it."""
    own = [(f.name, f.type) for f in entity.fields.values()]
    given = [(p.name, p.type) for t in entity.transitions.values() for p in t.parameters]
    for name, kind in (*own, *given):
        match kind:
            case kinds.Integer(ge=ge):
                yield name, ge
            case MoneyType(currency=currency, ge=ge) if ge is not None:
                yield name, Money(ge, currency)
            case _:
                pass


def tells(value: Any) -> bool:
    """Whether it is a number that isn't among the plainest ones anyway."""
    amount = value.amount if isinstance(value, Money) else value
    return type(amount) in (int, Decimal) and amount > PLAIN


def _spoken(system: System) -> Iterator[tuple[str, int]]:
    """What the bodies of transitions and the promises over all records compare with numbers."""
    for function in _functions(system):
        yield from compared_in(function)


def _lengths_spoken(system: System) -> tuple[tuple[frozenset[str], timedelta], ...]:
    """What these compare with lengths of time, and these."""
    return tuple(found for function in _functions(system) for found in lengths_in(function))


def _functions(system: System) -> list[Callable[..., Any]]:
    """The bodies of transitions, and the promises over all records."""
    entities = system.entities.values()
    bodies = [t.body for entity in entities for t in entity.transitions.values() if t.body is not None]
    return [*bodies, *(promise.holds for promise in system.promises)]


def _compared(node: Expression) -> Iterator[tuple[str, Any]]:
    """The name and the constant of a comparison of the two, also where something is added to the one."""
    match node:
        case Compare(_, left, right):
            for one, other in ((left, right), (right, left)):
                constants = [part.value for part in walk(other) if isinstance(part, Const)]
                names = [name for part in walk(one) if (name := name_of(part))]
                yield from ((name, value) for name in names for value in constants if value is not None)
        case OneOf(part, options) if name := name_of(part):
            yield from ((name, value) for value in options)
        case _:
            return


def lengths_of(system: System) -> tuple[timedelta, ...]:
    """Every length of time that a condition adds to an instant or a body compares now with, and none."""
    found = {timedelta(): None}
    found |= {length: None for names, length in system.derived(_lengths_spoken) if "now" in names}
    for entity in system.entities.values():
        for condition in conditions_of(entity):
            for node in walk(condition):
                if isinstance(node, Arithmetic):
                    for part in (node.left, node.right):
                        if isinstance(part, Const) and isinstance(part.value, timedelta):
                            found[abs(part.value)] = None
    return tuple(sorted(found))


def values_of(kind: ValueType, constants: Sequence[Any], now: datetime, wide: bool) -> list[Any]:
    """The boundary values of a type of plain values, fit for it. wide: more than the nearest.

    Of a private one, values that stand nowhere by chance, in clear.
    """
    if isinstance(kind, PrivateType):
        return list(planted(kind.inner, values_of(kind.inner, (), now, wide)))
    found = list[Any]()
    for value in _candidates(kind, constants, now, wide):
        try:
            # What is private in an object fits already: it was made of values that do.
            fitted = value if isinstance(kind, PartlyPrivate) else kind.fit(value, "")
        except Misfit:
            continue
        if fitted not in found:
            found.append(fitted)
    return found


def _candidates(kind: ValueType, constants: Sequence[Any], now: datetime, wide: bool) -> Iterable[Any]:
    match kind:
        case kinds.Integer(ge, le):
            return _integers(ge, le, [c for c in constants if type(c) is int], wide)
        case kinds.Boolean():
            return (False, True)
        case kinds.Text():
            return [*[c for c in constants if isinstance(c, str)], *_texts(kind)[: 2 if wide else 1]]
        case kinds.EnumType(_, _, python):
            return list(python)
        case DecimalType(_, scale, ge, le):
            return _decimals(ge, le, [c for c in constants if isinstance(c, Decimal | int)], scale, wide)
        case MoneyType(currency, scale, _, ge, le):
            amounts = [c.amount for c in constants if isinstance(c, Money)]
            return [Money(amount, currency) for amount in _decimals(ge, le, amounts, scale, wide)]
        case DateTimeType():
            known = [c for c in constants if isinstance(c, datetime)]
            return [*(now + away for away in _away(constants, wide)), *_beside(known)]
        case DateType():
            known = [c for c in constants if type(c) is date]
            return [*(now.date() + away for away in _away(constants, wide)), *_beside(known)]
        case DurationType():
            return _lengths([c for c in constants if isinstance(c, timedelta)], wide)
        case kinds.UuidType():
            return [UUID(int=0xA), UUID(int=0xB)] if wide else [UUID(int=0xA)]
        case _:
            return _compound(kind, now, wide)


def _away(constants: Sequence[Any], wide: bool) -> list[timedelta]:
    """How far away instants are tried: two near ones, and two beyond the longest time before that matters.

    And so far behind the first one as is said of two of them.
    """
    near = [DAY, 2 * DAY]
    lengths = [c for c in constants if isinstance(c, timedelta) and c >= DAY]
    beyond = [max(lengths) + step for step in near] if lengths else []
    apart = [DAY + c.length for c in constants if isinstance(c, Apart)]
    return [*dict.fromkeys([*near, *beyond, *apart[:NEAR_MAX]]), *([-DAY] if wide else [])]


def _beside(known: Sequence[Instant]) -> list[Instant]:
    """Days and instants that something is compared with, and those a day beside them."""
    return [one + step for step in (timedelta(), DAY, -DAY) for one in known[:NEAR_MAX]]


def _lengths(known: Sequence[timedelta], wide: bool) -> list[timedelta]:
    """Lengths of time: the plainest, those that they are compared with, and others on both sides of these."""
    near = [length for one in known[:NEAR_MAX] if one for length in (one, one * 2, one / 2)]
    return [timedelta(hours=1), *([timedelta(hours=2)] if wide else []), *near]


def _compound(kind: ValueType, now: datetime, wide: bool) -> Iterable[Any]:
    match kind:
        case kinds.ListOf(item):
            items = values_of(item, (), now, wide)
            return [tuple(items[:1]), (), *([tuple(items[:2])] if wide else [])]
        case kinds.ObjectOf():
            return _objects(kind, now, wide)
        case _:
            return ()


def _objects(kind: kinds.ObjectOf, now: datetime, wide: bool) -> list[Any]:
    """Some that the type's own check lets pass: of the nearest values, or where it lets none, of many."""
    near = [values_of(m.type, (), now, wide) + ([None] if m.optional else []) for m in kind.members]
    found = _passed(kind, near, OBJECTS_MAX)
    if found:
        return found
    many = [[*values, *_more(m.type, now)] for values, m in zip(near, kind.members, strict=True)]
    return _passed(kind, many, OBJECTS_ASKED_MAX)


def _passed(kind: kinds.ObjectOf, each: list[list[Any]], most: int) -> list[Any]:
    found = list[Any]()
    for chosen in islice(product(*each), most):
        try:
            found.append(made_of(kind, dict(zip((m.name for m in kind.members), chosen, strict=True))))
        except ValueError:
            continue
        if len(found) == OBJECTS_MAX:
            break
    return found


def _more(kind: ValueType, now: datetime) -> list[Any]:
    if isinstance(kind, kinds.Text):
        return _fitting(kind, _TEXTS)
    return values_of(kind, (), now, wide=True)


def _integers(ge: int | None, le: int | None, constants: list[int], wide: bool) -> list[int]:
    least = 1 if ge is None else ge
    found = [max(least, 1), max(least, 1) + 1]
    found += [least] if wide or least == 0 else []
    near = [c + step for step in (0, 1, -1) for c in constants[: None if wide else NEAR_MAX]]
    found += near
    if le is not None and le - least < NEAR_RANGE:
        found += range(least, le + 1)
    if ge is None:
        found += [-1, 0] if wide else [-1]
    return found


def _decimals(
    ge: Decimal | None, le: Decimal | None, constants: Sequence[Decimal | int], scale: int, wide: bool
) -> list[Decimal]:
    unit = Decimal((0, (1,), -scale))
    found = [Decimal(1) if ge is None or ge <= 1 else ge, Decimal(2) if ge is None or ge <= 2 else ge + unit]
    near = [Decimal(c) + step for c in constants for step in (Decimal(0), unit, -unit)]
    found += near if wide else near[: 3 * NEAR_MAX]
    found += [] if ge is None else [ge]
    found += [le] if le is not None and wide else []
    return found + ([-unit] if ge is None else [])


_TEXTS: Final = (
    "a", "b", "ab", "A", "B", "AB", "ABC", "1", "12", "123", "1234", "a@example.org", "+4912345678", "DE",
    "EUR", "2026-01-05", "https://example.org/", "a-1", "A-1", "A1",
)  # fmt: skip
_TEXT: Final = "a text of some length "


def _texts(kind: kinds.Text) -> list[str]:
    """Two texts that fit, if such can be made: with a pattern, one that the pattern spells."""
    candidates = [*_TEXTS, (_TEXT * (kind.min_length // len(_TEXT) + 1))[: max(kind.min_length, 1)]]
    if kind.pattern is not None:
        candidates += [spelled(kind.pattern, choice) for choice in (0, 1)]
    return _fitting(kind, candidates)[:2]


def _fitting(kind: kinds.Text, candidates: Iterable[str]) -> list[str]:
    found = list[str]()
    for text in candidates:
        try:
            found.append(kind.fit(text, ""))
        except Misfit:
            continue
    return found


def spelled(pattern: str, choice: int) -> str:
    """A text that a pattern is likely to match: of each choice in it the one of this place, if there is."""
    parser: Any = importlib.import_module("re._parser")
    return "".join(_spelled(part, choice) for part in parser.parse(pattern))


def _spelled(part: Any, choice: int) -> str:
    operator, given = str(part[0]), part[1]
    match operator:
        case "LITERAL":
            return chr(given)
        case "IN":
            return _spelled(given[min(choice, len(given) - 1)], choice)
        case "RANGE":
            return chr(min(given[0] + choice, given[1]))
        case "CATEGORY":
            return "1" if "DIGIT" in str(given) else " " if "SPACE" in str(given) else "a"
        case "ANY":
            return "a"
        case "MAX_REPEAT" | "MIN_REPEAT":
            least, _, body = given
            return "".join(_spelled(one, choice) for one in body) * least
        case "SUBPATTERN":
            return "".join(_spelled(one, choice) for one in given[-1])
        case "BRANCH":
            branches = given[1]
            return "".join(_spelled(one, choice) for one in branches[min(choice, len(branches) - 1)])
        case _:
            return ""


def is_tried_whole(kind: ValueType) -> bool:
    """Whether every value of a type is tried, but for those that nothing can tell from one that is."""
    match kind:
        case kinds.Boolean() | kinds.EnumType() | kinds.Reference() | kinds.SubjectType() | PrivateType():
            return True
        case kinds.Integer(ge, le):
            return ge is not None and le is not None and le - ge < NEAR_RANGE
        case _:
            return False
