"""Whether two guards could both be true: by trying every truth of the comparisons in them."""

from __future__ import annotations

from itertools import product

from avow.model import expression as ast
from avow.model.expression import Expression

ATOMS_MAX = 10
"""More different comparisons than this aren't tried; the guards then count as overlapping."""

_OPPOSITE = {"!=": "==", ">": "<=", ">=": "<"}
_MIRROR = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}


def can_both_hold(one: Expression | None, other: Expression | None) -> bool:
    """False only when no truth of their comparisons makes both guards true."""
    if one is None or other is None:
        return True
    atoms = sorted({*_atoms(one), *_atoms(other)}, key=repr)
    if len(atoms) > ATOMS_MAX:
        return True
    for truths in product((False, True), repeat=len(atoms)):
        world = dict(zip(atoms, truths, strict=True))
        if _possible(world) and _holds(one, world) and _holds(other, world):
            return True
    return False


def _normal(node: Expression) -> tuple[Expression, bool]:
    """An atom in its one spelling, and whether the node is its opposite."""
    if not isinstance(node, ast.Compare):
        return node, False
    op, left, right = node.operator, node.left, node.right
    if repr(left) > repr(right):
        op, left, right = _MIRROR[op], right, left
    if op in _OPPOSITE:
        return ast.Compare(_OPPOSITE[op], left, right), True
    return ast.Compare(op, left, right), False


def _atoms(node: Expression) -> set[Expression]:
    match node:
        case ast.All(parts) | ast.AnyOf(parts):
            return set[Expression]().union(*map(_atoms, parts))
        case ast.Not(part):
            return _atoms(part)
        case ast.OneOf(part, options):
            return {_normal(ast.Compare("==", part, ast.Const(option)))[0] for option in options}
        case _:
            return {_normal(node)[0]}


def _holds(node: Expression, world: dict[Expression, bool]) -> bool:
    match node:
        case ast.All(parts):
            return all(_holds(part, world) for part in parts)
        case ast.AnyOf(parts):
            return any(_holds(part, world) for part in parts)
        case ast.Not(part):
            return not _holds(part, world)
        case ast.OneOf(part, options):
            return any(_holds(ast.Compare("==", part, ast.Const(option)), world) for option in options)
        case _:
            atom, opposite = _normal(node)
            return world[atom] is not opposite


def _possible(world: dict[Expression, bool]) -> bool:
    """Rule out worlds that no values make: a field equal to two constants; x < y but not x <= y; and so on."""
    true = [atom for atom, held in world.items() if held and isinstance(atom, ast.Compare)]
    equal = dict[Expression, Expression]()
    for atom in true:
        for part, constant in ((atom.left, atom.right), (atom.right, atom.left)):
            if atom.operator == "==" and isinstance(constant, ast.Const):
                if part in equal and equal[part] != constant:
                    return False
                equal[part] = constant
    for atom in true:
        less_or_equal = ast.Compare("<=", atom.left, atom.right)
        less = ast.Compare("<", atom.left, atom.right)
        if atom.operator in ("<", "==") and world.get(less_or_equal) is False:
            return False
        if atom.operator == "==" and world.get(less) is True:
            return False
    return True
