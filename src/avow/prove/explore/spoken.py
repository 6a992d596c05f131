"""What functions of an owner compare with what, and what they make of what: as their Python says."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import product
from types import FunctionType
from typing import Any, Final, TypeAlias

UNITS: Final = {word: timedelta(**{word: 1}) for word in ("seconds", "minutes", "hours", "days", "weeks")}
"""The words that make a length of time, in bodies and in declarations, and what one of each is."""
LONGEST: Final = timedelta(days=36_500)
"""A longer one isn't tried."""


def compared_in(function: Callable[..., Any]) -> Iterator[tuple[str, int]]:
    """Each attribute and whole number of one comparison, in a function and in those that it names."""
    for node, known in _all_nodes(function):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            yield from product(sorted(_attributes(sides)), _numbers(sides, known))


def lengths_in(function: Callable[..., Any]) -> Iterator[tuple[frozenset[str], timedelta]]:
    """The attributes of each comparison with a length of time, and this; of `hours=value` one hour."""
    for node, known in _all_nodes(function):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            for length in dict.fromkeys(_lengths(sides, known)):
                yield frozenset(_attributes(sides)), length


Taken: TypeAlias = Mapping[str, Sequence[Sequence[str]]]
"""The arguments that a word may take, in order, for each transition of that word."""


def flows_in(function: Callable[..., Any], takes: Taken) -> Iterator[frozenset[str]]:
    """Names of values that have to do with each other: compared, assigned, or given to a transition."""
    for node, _ in _all_nodes(function):
        match node:
            case ast.Compare(left, _, others):
                yield frozenset(_names([left, *others]))
            case ast.Assign(targets, value):
                yield from (frozenset({*_names([target]), *_names([value])}) for target in targets)
            case ast.AugAssign(target, _, value):
                yield frozenset({*_names([target]), *_names([value])})
            case ast.Call(ast.Attribute(_, word), given, named):
                for parameters in takes.get(word, ()):
                    pairs = [*zip(parameters, given, strict=False), *((k.arg, k.value) for k in named)]
                    yield from (frozenset({str(name), *_names([value])}) for name, value in pairs)
            case _:
                pass


def _names(parts: list[ast.expr]) -> set[str]:
    nodes = [node for part in parts for node in ast.walk(part)]
    return _attributes(parts) | {node.id for node in nodes if isinstance(node, ast.Name)}


def _all_nodes(function: Callable[..., Any]) -> Iterator[tuple[ast.AST, Mapping[str, Any]]]:
    """What a function and those that it names are made of, each with what is known there."""
    left, seen = [inspect.unwrap(function)], set[int]()
    while left:
        one = left.pop()
        if not isinstance(one, FunctionType) or id(one) in seen:
            continue
        seen.add(id(one))
        known: Mapping[str, Any] = one.__globals__
        for node in _nodes(one):
            yield node, known
            if isinstance(node, ast.Name) and isinstance(known.get(node.id), FunctionType):
                left.append(known[node.id])


def _nodes(function: FunctionType) -> Iterator[ast.AST]:
    """What a function is made of; nothing of one without a source, or in the middle of a statement."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return iter(())
    return ast.walk(tree)


def _attributes(sides: list[ast.expr]) -> set[str]:
    return {node.attr for side in sides for node in ast.walk(side) if isinstance(node, ast.Attribute)}


def _lengths(sides: list[ast.expr], known: Mapping[str, Any]) -> Iterator[timedelta]:
    for node in (node for side in sides for node in ast.walk(side)):
        match node:
            case ast.Call(ast.Name(word) | ast.Attribute(_, word), given, named):
                units = [(UNITS.get(word), value) for value in given[:1]]
                units += [(UNITS.get(f"{k.arg}"), k.value) for k in named if word == timedelta.__name__]
                for unit, value in units:
                    if unit is not None:
                        many = value.value if isinstance(value, ast.Constant) else 1
                        yield unit * many if isinstance(many, int) and 0 < many <= LONGEST / unit else unit
            case ast.Name(name) if isinstance(length := known.get(name), timedelta):
                yield abs(length)
            case _:
                pass


def _numbers(sides: list[ast.expr], known: Mapping[str, Any]) -> list[int]:
    found = list[Any]()
    for side in sides:
        for node in ast.walk(side):
            if isinstance(node, ast.Constant):
                found.append(node.value)
            elif isinstance(node, ast.Name):
                found.append(known.get(node.id))
    return [value for value in found if type(value) is int]
