"""The tree as the house tests see it: its files, and its Python parsed once."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "avow"
PURE_ROOMS = frozenset({"errors", "canonical", "model", "declare", "kernel", "evidence", "diagram"})
UNTRACKED = (".git", ".venv", ".venv-bench", ".avow", ".hypothesis", "__pycache__", "dist", "build")


@dataclass(frozen=True)
class Module:
    """One Python file. `place` is its path from the top; `room` the part of avow it stands in, if it does."""

    place: str
    room: str | None
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.place)

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """Every node of its tree; many tests look at them all."""
        return tuple(ast.walk(self.tree))

    def calls(self) -> Iterator[tuple[int, str]]:
        """Each call's line and dotted name, as it is written."""
        for node in self.nodes:
            if isinstance(node, ast.Call):
                yield node.lineno, name_of(node.func)

    def imports(self) -> Iterator[ast.Import | ast.ImportFrom]:
        for node in self.nodes:
            if isinstance(node, ast.Import | ast.ImportFrom):
                yield node


def name_of(called: ast.expr) -> str:
    """What is called, as it is written. Most are names and dots, which needn't be written out again."""
    parts = list[str]()
    inner = called
    while isinstance(inner, ast.Attribute):
        parts.append(inner.attr)
        inner = inner.value
    if not isinstance(inner, ast.Name):
        return ast.unparse(called)
    return ".".join((inner.id, *reversed(parts)))


@cache
def files() -> tuple[Path, ...]:
    """Every file of the product: what git tracks or would track; without git, what lies there."""
    command = [
        "git",
        "-c",
        "safe.directory=*",
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "-z",
    ]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        found = [ROOT / name for name in listed.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        everything = (path for path in ROOT.rglob("*") if not set(path.parts) & set(UNTRACKED))
        found = [path for path in everything if path.is_file()]
    return tuple(sorted(path for path in found if path.is_file()))


@cache
def modules(*under: str) -> tuple[Module, ...]:
    """The Python files under these folders (paths from the top); all of them without any."""
    if under:
        wanted = tuple(f"{folder}/" for folder in under)
        return tuple(module for module in modules() if module.place.startswith(wanted))
    return tuple(module_of(path) for path in files() if path.suffix == ".py")


def module_of(path: Path) -> Module:
    inside = path.relative_to(SOURCE).parts if path.is_relative_to(SOURCE) else ()
    room = inside[0].removesuffix(".py") if inside and inside != ("__init__.py",) else None
    return Module(path.relative_to(ROOT).as_posix(), room, path.read_text(encoding="utf-8"))


def rooms() -> set[str]:
    """The folders and single files of avow that hold code."""
    return {module.room for module in modules("src") if module.room}
