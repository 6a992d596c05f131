"""What functions of an owner compare with what: the numbers in their Python, by the attribute beside them."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from types import FunctionType
from typing import Any


def compared_in(function: Callable[..., Any]) -> Iterator[tuple[str, int]]:
    """Each attribute and whole number of one comparison, in a function and in those that it names."""
    left, seen = [inspect.unwrap(function)], set[int]()
    while left:
        one = left.pop()
        if not isinstance(one, FunctionType) or id(one) in seen:
            continue
        seen.add(id(one))
        known: Mapping[str, Any] = one.__globals__
        for node in _nodes(one):
            if isinstance(node, ast.Compare):
                sides = [node.left, *node.comparators]
                yield from product(sorted(_attributes(sides)), _numbers(sides, known))
            elif isinstance(node, ast.Name) and isinstance(known.get(node.id), FunctionType):
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


def _numbers(sides: list[ast.expr], known: Mapping[str, Any]) -> list[int]:
    found = list[Any]()
    for side in sides:
        for node in ast.walk(side):
            if isinstance(node, ast.Constant):
                found.append(node.value)
            elif isinstance(node, ast.Name):
                found.append(known.get(node.id))
    return [value for value in found if type(value) is int]
