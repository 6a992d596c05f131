"""What reading a part of an entity needs of its builder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from avow.model import expression as ast
from avow.model.place import Place


class Notes(Protocol):
    """Names words, and remembers what is wrong with them."""

    @property
    def note(self) -> Callable[[Place, str, str, str], None]: ...
    @property
    def named(self) -> Callable[[object, Place], ast.Expression]: ...
    @property
    def condition(self) -> Callable[[Any, Place], ast.Expression]: ...
    @property
    def field_names(self) -> Callable[[Iterable[Any], Place], tuple[str, ...]]: ...
    @property
    def words(self) -> Mapping[str, Any]: ...
    @property
    def namespace(self) -> Mapping[str, Any]: ...
