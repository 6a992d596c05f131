"""Whether two conditions could both be true: by trying every truth of the comparisons in them."""

from __future__ import annotations

from itertools import product
from typing import Any

from avow.model import expression as ast
from avow.model.expression import Expression

ATOMS_MAX = 10
"""More different comparisons than this aren't tried; the conditions then count as overlapping."""

_OPPOSITE = {"!=": "==", ">": "<=", ">=": "<"}
_MIRROR = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}


def can_both_hold(one: Expression | None, other: Expression | None) -> bool:
    """False only when no values make both conditions true."""
    if one is None or other is None:
        return True
    one, other = _plain(one), _plain(other)
    atoms = sorted({*_atoms(one), *_atoms(other)}, key=repr)
    if len(atoms) > ATOMS_MAX:
        return True
    for truths in product((False, True), repeat=len(atoms)):
        world = dict(zip(atoms, truths, strict=True))
        if _truth(one, world) is True and _truth(other, world) is True and _possible(world):
            return True
    return False


def _plain(node: Expression) -> Expression:
    """The condition in All, AnyOf, Not and atoms, each atom in its one spelling."""
    match node:
        case ast.All(parts):
            return ast.All(tuple(map(_plain, parts)))
        case ast.AnyOf(parts):
            return ast.AnyOf(tuple(map(_plain, parts)))
        case ast.Not(part):
            return ast.Not(_plain(part))
        case ast.OneOf(part, options):
            return ast.AnyOf(tuple(_plain(ast.Compare("==", part, ast.Const(o))) for o in options))
        case ast.InState(states, path):
            return ast.AnyOf(tuple(ast.InState((state,), path) for state in states))
        case ast.Compare(op, left, right):
            return _comparison(op, left, right)
        case _:
            return node


def _comparison(op: str, left: Expression, right: Expression) -> Expression:
    if isinstance(left, ast.Const) or (not isinstance(right, ast.Const) and repr(left) > repr(right)):
        op, left, right = _MIRROR[op], right, left
    if isinstance(right, ast.Const) and isinstance(right.value, bool) and op in ("==", "!="):
        return left if right.value is (op == "==") else ast.Not(left)
    if op in _OPPOSITE:
        return ast.Not(ast.Compare(_OPPOSITE[op], left, right))
    return ast.Compare(op, left, right)


def _atoms(node: Expression) -> set[Expression]:
    match node:
        case ast.All(parts) | ast.AnyOf(parts):
            return set[Expression]().union(*map(_atoms, parts))
        case ast.Not(part):
            return _atoms(part)
        case _:
            return {node}


def _truth(node: Expression, world: dict[Expression, bool]) -> bool | None:
    """Three-valued: what compares a value that is missing in this world is neither true nor false."""
    match node:
        case ast.All(parts):
            held = [_truth(part, world) for part in parts]
            return False if False in held else None if None in held else True
        case ast.AnyOf(parts):
            held = [_truth(part, world) for part in parts]
            return True if True in held else None if None in held else False
        case ast.Not(part):
            inner = _truth(part, world)
            return None if inner is None else not inner
        case ast.Missing():
            return world[node]
        case _:
            gone = any(world.get(ast.Missing(part)) for part in ast.walk(node))
            return None if gone else world[node]


def _possible(world: dict[Expression, bool]) -> bool:
    """Rule out worlds that no values make."""
    states = dict[ast.Path, int]()
    for atom, held in world.items():
        if isinstance(atom, ast.InState) and held:
            states[atom.path] = states.get(atom.path, 0) + 1
        if isinstance(atom, ast.Compare) and not _agrees(atom, held, world):
            return False
    if any(count > 1 for count in states.values()):
        return False
    compared = {a.left for a in world if isinstance(a, ast.Compare) and isinstance(a.right, ast.Const)}
    return all(_has_value(left, world) for left in compared)


def _agrees(atom: ast.Compare, held: bool, world: dict[Expression, bool]) -> bool:
    """x < y, x <= y and x == y of the same x and y fit together."""
    less = world.get(ast.Compare("<", atom.left, atom.right))
    most = world.get(ast.Compare("<=", atom.left, atom.right))
    same = world.get(ast.Compare("==", atom.left, atom.right))
    if atom.operator == "<" and held and (most is False or same is True):
        return False
    if atom.operator == "==" and held and most is False:
        return False
    return not (atom.operator == "<=" and held and less is False and same is False)


def _has_value(left: Expression, world: dict[Expression, bool]) -> bool:
    """Whether some value stands to all the constants it is compared with as this world says."""
    stated = [
        (atom.operator, atom.right.value, held)
        for atom, held in world.items()
        if isinstance(atom, ast.Compare) and atom.left == left and isinstance(atom.right, ast.Const)
    ]
    equal = [constant for op, constant, held in stated if op == "==" and held]
    if equal:
        return all(_stands(equal[0], op, constant) is held for op, constant, held in stated)
    # No constant equals it: some value lies strictly between the greatest below and the least above.
    above = [(op, c) for op, c, held in stated if op != "==" and held]
    below = [(op, c) for op, c, held in stated if op != "==" and not held]
    return all(_room(*least, *most, ("==", least[1], False) in stated) for least in below for most in above)


def _room(least_op: str, least: Any, most_op: str, most: Any, apart: bool) -> bool:
    """Whether a value that isn't under `least` is under `most`; `apart`: and isn't `least` itself."""
    if least == most:
        return least_op == "<" and most_op == "<=" and not apart
    return bool(least < most)


def _stands(value: Any, op: str, constant: Any) -> bool:
    return bool(value == constant if op == "==" else value < constant if op == "<" else value <= constant)
