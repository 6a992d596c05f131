"""The bodies of transitions as source: their fingerprint, and what can be seen to go wrong in them.

Bodies are plain Python and are never traced or rewritten. Their source is read once, when the system
is built; where there is none (an interactive session), the byte code stands in for the fingerprint.
"""

from __future__ import annotations

import ast as python
import hashlib
import inspect
import linecache
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

_Function: TypeAlias = "python.FunctionDef | python.AsyncFunctionDef"


def source_hash(function: Callable[..., Any]) -> str:
    """SHA-256 of a function's source from its `def` on; of its byte code where there is no source."""
    source = _source(function)
    if source is None:
        code = getattr(function, "__code__", None)
        if code is None:  # no function of Python's own, and so nothing to read
            return ""
        data = code.co_code + repr((code.co_consts, code.co_names)).encode()
    else:
        lines, _ = source
        tree = _parse(lines)
        begin = 0 if tree is None else tree.lineno - 1  # decorators are the model's own business
        data = "".join(lines[begin:]).rstrip().encode()
    return hashlib.sha256(data).hexdigest()


def _source(function: Callable[..., Any]) -> tuple[list[str], int] | None:
    """The function's lines without their indentation, and the number of the first."""
    try:
        lines, first = inspect.getsourcelines(function)
    except (OSError, TypeError):
        return None
    return textwrap.dedent("".join(lines)).splitlines(keepends=True), first


def class_body(file: str, line: int) -> list[python.stmt]:
    """The statements of the class that begins on this line of a file; none where there is no source."""
    try:
        tree = python.parse("".join(linecache.getlines(file)))
    except (SyntaxError, ValueError):
        return []
    classes = [node for node in python.walk(tree) if isinstance(node, python.ClassDef)]
    return [part for node in classes if node.lineno == line for part in node.body]


def _parse(lines: list[str]) -> _Function | None:
    try:
        tree = python.parse("".join(lines)).body
    except SyntaxError:  # a lambda in the middle of another statement
        return None
    single = tree[0] if len(tree) == 1 else None
    return single if isinstance(single, python.FunctionDef | python.AsyncFunctionDef) else None


@dataclass(slots=True)
class Reading:
    """What a body does with its record, as far as its source shows it.

    assigned: fields of the record. foreign: (line, reference, field) assigned on another record.
    used: (line, reference, name) of another record. named: (line, name) of the record itself.
    handed_on: whether the record leaves the body, so that others may do more with it.
    plain: whether it is a function that runs to its end at once.
    """

    assigned: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    foreign: list[tuple[int, str, str]] = field(default_factory=list[tuple[int, str, str]])
    used: list[tuple[int, str, str]] = field(default_factory=list[tuple[int, str, str]])
    named: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    handed_on: bool = False
    plain: bool = True


def read_body(function: Callable[..., Any]) -> Reading | None:
    """Read a body's source; None where there is none."""
    source = _source(function)
    tree = None if source is None else _parse(source[0])
    if source is None or tree is None or not tree.args.args:
        return None
    owner, offset = tree.args.args[0].arg, source[1] - 1
    plain = isinstance(tree, python.FunctionDef) and not any(
        isinstance(node, python.Yield | python.YieldFrom) for node in python.walk(tree)
    )
    reading = Reading(plain=plain)
    bases = {id(node.value) for node in python.walk(tree) if isinstance(node, python.Attribute)}
    for node in python.walk(tree):
        if isinstance(node, python.Name) and node.id == owner and id(node) not in bases:
            reading.handed_on = True
        if isinstance(node, python.Attribute):
            _note(reading, node, owner, offset)
    return reading


def _note(reading: Reading, node: python.Attribute, owner: str, offset: int) -> None:
    line, stored, base = node.lineno + offset, isinstance(node.ctx, python.Store), node.value
    if isinstance(base, python.Name) and base.id == owner:
        (reading.assigned if stored else reading.named).append((line, node.attr))
    elif (
        isinstance(base, python.Attribute) and isinstance(base.value, python.Name) and base.value.id == owner
    ):
        (reading.foreign if stored else reading.used).append((line, base.attr, node.attr))


def body_mistakes(
    reading: Reading, name: str, known: Callable[[str], bool], fields: Callable[[str], bool],
    loaded: Callable[[str], bool],
) -> Iterator[tuple[int, str, str, str]]:  # fmt: skip
    """What can be seen to go wrong: line, code, detail, mend.

    known: whether a record has this attribute. fields: whether it is a declared field.
    loaded: whether what stands under this name is no reference, or one whose record is loaded.
    """
    for line, attribute in dict.fromkeys(reading.assigned):
        if not fields(attribute):
            yield (
                line,
                "field-unknown",
                f"`{name}` assigns `{attribute}`, which isn't a field",
                (f"Declare it: {attribute}: TYPE = field(...)."),
            )
    for line, attribute in dict.fromkeys(reading.named):
        if not known(attribute) and (line, attribute) not in reading.assigned:
            yield (
                line,
                "field-unknown",
                f"`{name}` reads `{attribute}`, which isn't declared",
                ("Name a field, a transition or a method of the same entity."),
            )
    for line, reference, attribute in dict.fromkeys(reading.foreign):
        yield (
            line,
            "foreign-assignment",
            f"`{name}` assigns `{reference}.{attribute}` of another record",
            ("Declare a transition there, and call it."),
        )
    for line, reference, attribute in dict.fromkeys(reading.used):
        if attribute != "id" and known(reference) and not loaded(reference):
            yield (
                line,
                "uses-missing",
                f"`{name}` uses `{reference}.{attribute}`, which isn't loaded",
                (f"Write uses={reference} in the transition."),
            )
