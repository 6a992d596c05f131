"""Who may operate what happens by itself, read from `system(..., operators=..., pausers=...)`."""

from __future__ import annotations

from avow.declare.expression import Condition, Symbolic, node_of
from avow.declare.publishing import OF_THE_ACTOR
from avow.errors import Mistake
from avow.model.expression import Expression, walk
from avow.model.place import Place


def read_operating(
    name: str, given: Condition | None, place: Place, mistakes: list[Mistake]
) -> Expression | None:
    """A policy that looks at nothing but who asks; what is anything else is reported."""
    if given is None:
        return None
    node = node_of(given) if isinstance(given, Symbolic) else None
    if node is not None and all(isinstance(part, OF_THE_ACTOR) for part in walk(node)):
        return node
    detail, mend = f"`{name}` asks for more than who it is", f'Write {name}=role("operator").'
    mistakes.append(Mistake(place.file, place.line, "operators-unreadable", detail, mend))
    return None
