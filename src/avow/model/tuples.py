"""How the named tuples are made of which every command makes some.

Their own constructor is a function of Python, which takes ten times as long as the one of C that it calls.
"""

from __future__ import annotations

from typing import Any, Final, Protocol, TypeVar, cast

Made = TypeVar("Made")


class _Make(Protocol):
    def __call__(self, kind: type[Made], values: tuple[Any, ...], /) -> Made: ...


made: Final = cast(_Make, cast(Any, tuple).__new__)
"""A named tuple of this kind, of all its values in their order; none has a default here."""
