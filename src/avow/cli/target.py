"""Which application is meant: a folder, a file or a module, and the system that it declares.

It must never show a traceback for what is wrong in the owner's file, and never load it twice.
"""

from __future__ import annotations

import importlib
import os
import re
import stat
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import Final

from avow.errors import AvowError, UsageError
from avow.model.system import System

FILE_NAME: Final = "system.py"
REASON_CHARACTERS_MAX: Final = 300

_DOTTED: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
_OWN: Final = str(Path(__file__).resolve().parents[1])


@dataclass(frozen=True, slots=True)
class Target:
    """What a target means: a file or a module's dotted name, and the name of the system in it, if given."""

    file: Path | None
    module: str | None
    name: str | None


def load_target(target: str) -> System:
    """Import what the target names, and find its system.

    target: a folder with a `system.py`, a file, or the dotted name of a module; `:NAME` picks one of
    several systems. Raises UsageError for everything that can be wrong with it, and DeclarationError
    for mistakes in the declaration.
    """
    found = find_target(target)
    module = _import_file(found.file) if found.file is not None else _import_module(str(found.module))
    return _system_in(module, found.name, target)


def source_folder(target: str) -> Path:
    """The folder in which the target's own source lies: what a reload watches."""
    found = find_target(target)
    if found.file is not None:
        return found.file.parent
    module = _import_module(str(found.module))
    return Path.cwd() if module.__file__ is None else Path(module.__file__).resolve().parent


def find_target(target: str) -> Target:
    """Read a target without importing anything; raises UsageError when it leads nowhere."""
    place, name = target, None
    head, colon, tail = target.rpartition(":")
    if colon and tail.isidentifier() and len(head) > 1:
        place, name = head, tail
    path = Path(place)
    mode = mode_of(path)
    if stat.S_ISDIR(mode):
        file = path / FILE_NAME
        if stat.S_ISREG(mode_of(file)):
            return Target(file.resolve(), None, name)
        raise UsageError(
            f"there is no {FILE_NAME} in {_shown(path)}",
            "Name the folder or file of an application, or make one: `avow init DIR`.",
        )
    if stat.S_ISREG(mode):
        return Target(path.resolve(), None, name)
    if _DOTTED.fullmatch(place) and not place.endswith(".py"):
        return Target(None, place, name)
    raise UsageError(
        f"there is no {_shown(path)}", "Name a folder with a system.py, a Python file, or a module."
    )


def _import_file(file: Path) -> ModuleType:
    """Import a file under the name that its own neighbours would import it by."""
    root, parts = file.parent, [file.stem]
    while (root / "__init__.py").is_file():
        parts.insert(0, root.name)
        root = root.parent
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    name = ".".join(parts)
    if len(parts) > 1:
        return _owners_code(partial(importlib.import_module, name), file)
    if _is_of(sys.modules.get(name), file):
        return sys.modules[name]
    # The name may be taken, by another application or by a module of Python itself.
    name = f"{name}@{file.parent}" if name in sys.modules else name
    return sys.modules[name] if name in sys.modules else _owners_code(partial(_execute, name, file), file)


def _is_of(module: ModuleType | None, file: Path) -> bool:
    return module is not None and module.__file__ is not None and Path(module.__file__).resolve() == file


def _execute(name: str, file: Path) -> ModuleType:
    spec = spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UsageError(f"{_shown(file)} isn't a Python file", "Name a file that ends in .py.")
    module = module_from_spec(spec)
    # Annotations are resolved through sys.modules while the module is still being executed.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _import_module(name: str) -> ModuleType:
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return _owners_code(partial(importlib.import_module, name), None, name)
    except ModuleNotFoundError:
        mend = "Name a folder with a system.py, a Python file, or a module that can be imported here."
        raise UsageError(f"there is no {name[:REASON_CHARACTERS_MAX]}", mend) from None


def _owners_code(load: Callable[[], ModuleType], file: Path | None, asked: str = "") -> ModuleType:
    """Run what imports the owner's file. Raises ModuleNotFoundError only if `asked` isn't there."""
    try:
        with redirect_stdout(sys.stderr):  # what it prints is talk: stdout is for what was asked
            return load()
    except (AvowError, KeyboardInterrupt):
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and f"{asked}.".startswith(f"{error.name}."):
            raise
        raise _broken(error, file) from None


def _broken(error: BaseException, file: Path | None) -> UsageError:
    """The owner's file can't be imported: where, and in one line why."""
    if isinstance(error, SyntaxError):
        where = f"{error.filename or file}:{error.lineno or 0}"
        reason, mend = f"{type(error).__name__}: {error.msg}", "Correct the syntax there."
    else:
        frames = extract_tb(error.__traceback__)
        theirs = [f for f in frames if not f.filename.startswith((_OWN, "<"))]
        where = f"{theirs[-1].filename}:{theirs[-1].lineno}" if theirs else str(file or "?")
        lines = str(error).splitlines() or [""]
        reason, mend = f"{type(error).__name__}: {lines[0]}".rstrip(": "), "Correct that line."
        if isinstance(error, ModuleNotFoundError):
            mend = "Install it beside Avow, or correct its name."
    return UsageError(f"{where}: the import fails: {reason[:REASON_CHARACTERS_MAX]}", mend)


def _system_in(module: ModuleType, name: str | None, target: str) -> System:
    held = {key: value for key, value in vars(module).items() if isinstance(value, System)}
    several = {id(system): key for key, system in held.items()}
    known = ", ".join(held) or "none"
    if name is not None:
        if name in held:
            return held[name]
        raise UsageError(f"{target} has no system called {name}", f"Systems in it: {known}.")
    if not held:
        raise UsageError(
            f"{_shown(Path(module.__file__ or target))} declares no system",
            'Close the declaration with app = system("NAME", ENTITY, ...).',
        )
    if len(several) > 1:
        raise UsageError(f"{target} declares several systems: {known}", f"Name one of them: {target}:NAME.")
    return next(iter(held.values()))


def mode_of(path: Path) -> int:
    """What sort of file it is; 0 for none. Raises OSError for what the system refuses, which Python 3.14's
    `is_file` and its like take for none."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _shown(path: Path) -> str:
    return str(path)[:REASON_CHARACTERS_MAX]
