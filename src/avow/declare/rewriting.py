"""Conditions made of other conditions: their exact complement, and what they will be after an assignment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from avow.model import expression as ast
from avow.model.expression import Expression

MayMiss = Callable[[Expression], bool]
"""Whether a field or an argument may have no value."""

_OPPOSITE = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


def otherwise(node: Expression, may_miss: MayMiss) -> Expression:
    """True exactly when the condition isn't: also where what it compares has no value."""
    match node:
        case ast.All(parts):
            return any_of(otherwise(part, may_miss) for part in parts)
        case ast.AnyOf(parts):
            return all_of(otherwise(part, may_miss) for part in parts)
        case ast.Not(part):
            return any_of((part, *_gaps(part, may_miss)))
        case ast.Missing(part):
            return ast.Not(node)
        case ast.Compare(op, left, right):
            return any_of((ast.Compare(_OPPOSITE[op], left, right), *_gaps(node, may_miss)))
        case _:
            return any_of((ast.Not(node), *_gaps(node, may_miss)))


def _gaps(node: Expression, may_miss: MayMiss) -> Iterable[Expression]:
    """Each way in which a condition is neither true nor false."""
    for part in dict.fromkeys(ast.walk(node)):
        if isinstance(part, ast.FieldOf | ast.Argument) and may_miss(part):
            yield ast.Missing(part)
        elif isinstance(part, ast.InState) and part.path:
            yield ast.Missing(ast.FieldOf(part.path))


def all_of(parts: Iterable[Expression]) -> Expression:
    """True when every part is; of no parts, always."""
    held = tuple(dict.fromkeys(p for part in parts for p in parts_of(ast.All, part)))
    return held[0] if len(held) == 1 else ast.All(held)


def any_of(parts: Iterable[Expression]) -> Expression:
    """True when a part is."""
    held = tuple(dict.fromkeys(p for part in parts for p in parts_of(ast.AnyOf, part)))
    return held[0] if len(held) == 1 else ast.AnyOf(held)


def parts_of(kind: type[ast.All] | type[ast.AnyOf], node: Expression) -> tuple[Expression, ...]:
    """The parts of a conjunction or a disjunction; what is none of that kind is one part."""
    return node.parts if isinstance(node, kind) else (node,)


def assigned(node: Expression, values: Mapping[Expression, Expression]) -> Expression:
    """The expression as it will be once fields have taken these values."""

    def again(part: Expression) -> Expression:
        return assigned(part, values)

    match node:
        case ast.FieldOf(path):
            return _taken(node, values.get(ast.FieldOf(path[:1])), path[1:])
        case ast.Compare(op, left, right):
            return ast.Compare(op, again(left), again(right))
        case ast.Arithmetic(op, left, right):
            return ast.Arithmetic(op, again(left), again(right))
        case ast.All(parts):
            return ast.All(tuple(map(again, parts)))
        case ast.AnyOf(parts):
            return ast.AnyOf(tuple(map(again, parts)))
        case ast.Not(part):
            return ast.Not(again(part))
        case ast.Missing(part):
            return ast.Missing(again(part))
        case ast.OneOf(part, options):
            return ast.OneOf(again(part), options)
        case _:
            return node


def _taken(node: Expression, value: Expression | None, rest: ast.Path) -> Expression:
    """What stands for a field, or a member of one that is a value object."""
    match value:
        case None:
            return node
        case ast.Argument(name, path):
            return ast.Argument(name, (*path, *rest))
        case ast.FieldOf(path):
            return ast.FieldOf((*path, *rest))
        case _:
            return node if rest else value
