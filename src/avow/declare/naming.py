"""From tokens to names: what a condition refers to, once the class body has ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from avow.declare.place import Token
from avow.declare.surface import Command, FieldTerm, FieldWord, State
from avow.model import expression as ast
from avow.model.expression import Expression

UNKNOWN_NAME = "?"
"""The name of what couldn't be named; it has been reported, and checks pass over it."""


class Names:
    """The names that one entity's words have. Whatever isn't its own is reported through `foreign`."""

    def __init__(self, words: Mapping[str, Any], foreign: Callable[[str, str, str], None]) -> None:
        self.words, self.foreign = words, foreign

    def named(self, node: Expression) -> Expression:
        """The expression with names in place of tokens."""
        match node:
            case ast.FieldOf(path) if path:
                return ast.FieldOf((self._name(path[0]), *path[1:]))
            case ast.InState(states, path):
                at = tuple(self._name(part) if index == 0 else part for index, part in enumerate(path))
                return ast.InState(tuple(self._state(state, bool(path)) for state in states), at)
            case ast.Performed(transition):
                return ast.Performed(self._name(transition))
            case ast.Votes(transition):
                return ast.Votes(self._name(transition))
            case ast.Compare(op, left, right):
                return ast.Compare(op, self.named(left), self.named(right))
            case ast.Arithmetic(op, left, right):
                return ast.Arithmetic(op, self.named(left), self.named(right))
            case ast.All(parts):
                return ast.All(tuple(map(self.named, parts)))
            case ast.AnyOf(parts):
                return ast.AnyOf(tuple(map(self.named, parts)))
            case ast.Not(part):
                return ast.Not(self.named(part))
            case ast.Missing(part):
                return ast.Missing(self.named(part))
            case ast.OneOf(part, options):
                return ast.OneOf(self.named(part), options)
            case _:
                return node

    def _state(self, state: str, remote: bool) -> str:
        """A state's name; the states of a referred record are checked by name, with the expressions."""
        return (
            state.word.name if remote and isinstance(state, Token) and state.word.name else self._name(state)
        )

    def _name(self, token: str) -> str:
        if not isinstance(token, Token):
            return token
        word = token.word
        held = self.words.get(word.name)
        if held is word or (isinstance(held, FieldTerm | Command) and _word_of(held) is word):
            return word.name
        shown = word.name or "something"
        match word:
            case FieldWord():
                mend = (
                    "Name a field of the same body; another record's goes through a reference: course.seats."
                )
                self.foreign("field-unknown", f"`{shown}` is a field of another entity", mend)
            case State():
                self.foreign(
                    "state-undeclared", f"`{shown}` isn't a state of this entity", "Declare it here."
                )
            case _:
                mend = "Name a transition of the same entity."
                self.foreign("transition-unknown", f"`{shown}` isn't a transition of this entity", mend)
        return UNKNOWN_NAME


def _word_of(held: FieldTerm | Command[...]) -> Any:
    return held.avow_word if isinstance(held, FieldTerm) else held.word
