"""What bodies and opaque guards reach for beyond what they are given, and what none of them calls for.

As far as byte code shows it: what is reached through a value isn't seen. `avow prove` runs the bodies and
watches them.
"""

from __future__ import annotations

import builtins
import dis
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

from avow.declare.machine import at
from avow.errors import Mistake
from avow.model import expression as ast
from avow.model.entity import Entity, Transition
from avow.model.place import Place

OUTSIDE: Final = frozenset(
    {
        "aiohttp", "asyncio", "asyncpg", "boto3", "ftplib", "http.client", "httpx", "httpx2", "os", "posix",
        "psycopg", "psycopg2", "random", "redis", "requests", "secrets", "shutil", "smtplib", "socket",
        "sqlite3", "ssl", "subprocess", "tempfile", "urllib.request", "urllib3",
    }
)  # fmt: skip
"""Modules of which nothing has a place in a decision."""
_CLOCK: Final = frozenset(
    {
        "ctime", "gmtime", "localtime", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns",
        "process_time", "process_time_ns", "sleep", "thread_time", "thread_time_ns", "time", "time_ns",
    }
)  # fmt: skip
_TODAY: Final = frozenset({"now", "today", "utcnow"})
_DRAWN: Final = frozenset({"getnode", "uuid1", "uuid4", "uuid6", "uuid7"})
_PASSED_OVER: Final = frozenset(
    {"CACHE", "COPY_FREE_VARS", "EXTENDED_ARG", "NOP", "PRECALL", "PUSH_NULL", "RESUME"}
)
_FOLLOWED_MAX: Final = 50
"""How many functions are looked into, beginning with one body."""
_ABSENT: Final = object()
_IMPORTED: Final = object()
"""Stands for a module of OUTSIDE that a function imports itself."""


_PURE: Final = "Use self.now, or an argument; what has to ask the outside is an @effect()."
_INDIRECT: Final = frozenset({"getattr", "methodcaller", "attrgetter", "vars", "eval", "exec"})
"""With one of these, a transition may be called for without being named."""


def impure(entity: Entity, written: Sequence[Transition]) -> Iterator[Mistake]:
    """Warnings: a body or an opaque guard that would decide otherwise when it is asked again."""
    for t in written:
        opaque = [n.python for n in ast.walk(t.when) if isinstance(n, ast.Opaque)] if t.when else []
        for function in (*(() if t.body is None else (t.body,)), *opaque):
            for line, said in dict.fromkeys(reach_of(function, _owner(entity)).outside):
                what = f"{entity.name}.{t.name}" + (": when" if function is not t.body else "")
                detail = f"{what} reaches for `{said}`: it would decide otherwise when it is asked again"
                yield at(Place(t.place.file, line), "body-impure", detail, _PURE, warning=True)


def uncalled(entities: Mapping[str, Entity]) -> Iterator[Mistake]:
    """Warnings: internal transitions that no body names, so that they can never happen."""
    steps = [(e, t) for e in entities.values() for t in e.transitions.values()]
    alone = [(e, t) for e, t in steps if t.by == ast.Internal() and t.trigger is None and not t.creation]
    if not alone:
        return
    named = set[str]()
    for entity, t in steps:
        if t.body is not None:
            named |= reach_of(t.body, _owner(entity)).names
    for entity, t in alone:
        if t.name not in named and not named & _INDIRECT:
            detail = f"{entity.name}.{t.name} is internal, and no body calls for it: it can never happen"
            mend = f"Call it, as in self.REFERENCE.{t.name}(); or write by= of somebody, or drop it."
            yield at(t.place, "transition-uncalled", detail, mend, warning=True)


def _owner(entity: Entity) -> type | None:
    return entity.bind if isinstance(entity.bind, type) else None


@dataclass(slots=True)
class Reach:
    """What a function names, together with the functions that it calls.

    outside: (line, name) of what lies beyond its record; the line is the function's own.
    names:   every name and every text in it: what isn't there, isn't called.
    """

    outside: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    names: set[str] = field(default_factory=set[str])


def reach_of(function: Callable[..., Any], owner: type | None = None) -> Reach:
    """Read the byte code of a function, and of those that it names and that are no part of Python or Avow.

    owner: the class whose methods its first argument has.
    """
    reach, seen = Reach(), set[CodeType]()
    waiting: list[tuple[Any, int | None]] = [(function, None)]
    while waiting and len(seen) < _FOLLOWED_MAX:
        one, line = waiting.pop()
        if isinstance(one, FunctionType) and one.__code__ not in seen:
            seen.add(one.__code__)
            waiting += _Reading(one, owner, reach, line).read(one.__code__)
    return reach


class _Reading:
    """One function on its way through its instructions. line: where the first one has named it."""

    def __init__(self, function: FunctionType, owner: type | None, reach: Reach, line: int | None) -> None:
        self._function, self._owner, self._reach, self._line = function, owner, reach, line
        self._cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        self._called = list[tuple[Any, int | None]]()

    def read(self, code: CodeType) -> list[tuple[Any, int | None]]:
        """Note what it names; the functions that it may call."""
        own = code.co_varnames[0] if code.co_argcount else None
        held, said, line = _ABSENT, "", code.co_firstlineno
        for step in dis.get_instructions(code):
            if step.opname in _PASSED_OVER:
                continue
            line = (step.positions.lineno if step.positions else None) or line
            held, said = self._after(step, held, said, own)
            if held is not _ABSENT:
                self._note(held, said, self._line or line)
        self._reach.names.update(code.co_names)
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                self.read(constant)
            elif isinstance(constant, str):
                self._reach.names.add(constant)
        return self._called

    def _after(self, step: dis.Instruction, held: Any, said: str, own: str | None) -> tuple[Any, str]:
        """What lies on top after an instruction, as far as it is known, and how it was named."""
        name = step.argval
        if not isinstance(name, str):
            return _ABSENT, ""
        if step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            return _attribute(held, name), f"{said}.{name}"
        if step.opname == "IMPORT_NAME":
            return (_IMPORTED if name in OUTSIDE or name == "time" else _ABSENT), name
        return (self._loaded(step.opname, name, own) if step.opname.startswith("LOAD_") else _ABSENT), name

    def _loaded(self, how: str, name: str, own: str | None) -> Any:
        if "FAST" in how:
            return self._owner if self._owner is not None and name == own else _ABSENT
        if "DEREF" in how and name in self._cells:
            try:
                return self._cells[name].cell_contents
            except ValueError:  # nothing is in it yet
                return _ABSENT
        if "GLOBAL" in how or "NAME" in how:
            return self._function.__globals__.get(name, getattr(builtins, name, _ABSENT))
        return _ABSENT

    def _note(self, held: Any, said: str, line: int) -> None:
        if isinstance(held, FunctionType) and _is_owners(held):
            self._called.append((held, line))
        elif held is _IMPORTED or _is_outside(held):
            self._reach.outside.append((line, said))


def _attribute(held: Any, name: str) -> Any:
    """What stands under a name of a module or a class; of anything else nothing is known."""
    if isinstance(held, ModuleType):
        return getattr(held, name, _ABSENT)
    found: Any = inspect.getattr_static(held, name, _ABSENT) if isinstance(held, type) else _ABSENT
    if isinstance(found, property):
        return found.fget
    return getattr(found, "__func__", found)  # of a class method or a static one


def _is_owners(function: FunctionType) -> bool:
    root = (function.__module__ or "").partition(".")[0]
    return root not in sys.stdlib_module_names and root != "avow"


def _is_outside(held: Any) -> bool:
    """Whether it is a clock, chance, or something of a module that leads out of the process."""
    if isinstance(held, ModuleType):
        return False
    name, origin = getattr(held, "__name__", ""), _origin(held)
    if getattr(held, "__objclass__", None) in (date, datetime):
        return name in _TODAY
    if origin in ("time", "uuid"):
        return name in (_CLOCK if origin == "time" else _DRAWN)
    if held is open or held is input or (name == "Path" and origin.partition(".")[0] == "pathlib"):
        return True
    return any(origin == module or origin.startswith(f"{module}.") for module in OUTSIDE)


def _origin(held: Any) -> str:
    """The module that something is of: a function or a class, or the class of a value."""
    own = getattr(held, "__module__", None)
    if isinstance(own, str):
        return own
    bound = getattr(held, "__self__", None)
    return type(held if bound is None or isinstance(bound, ModuleType) else bound).__module__
