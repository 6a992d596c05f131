"""The code blocks of the documentation, and how each is tried. The convention is in CONTRIBUTING.md.

```python            runs by itself           ```sh run     runs, and must end well
```python continue   runs after those above   ```sh         is only looked at
```python sketch     must only be valid Python
```python file=NAME  is written to NAME, for the blocks below it
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^( *)```(\w+)([^\n`]*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
MARKS = {"python": ("", "continue", "sketch"), "sh": ("", "run")}


@dataclass(frozen=True)
class Block:
    """One fenced block: `line` is where its fence stands, `mark` what follows the language."""

    page: str
    line: int
    language: str
    mark: str
    code: str

    @property
    def file(self) -> str | None:
        """The name to write it to, when it is marked so."""
        return self.mark.removeprefix("file=") if self.mark.startswith("file=") else None


def pages() -> list[Path]:
    """Every page that a user may copy from."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def blocks_of(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    name = page.relative_to(ROOT).as_posix()
    for match in FENCE.finditer(text):
        indent, language, mark, code = match.groups()
        line = text.count("\n", 0, match.start()) + 1
        yield Block(name, line, language, mark.strip(), re.sub(f"^{indent}", "", code, flags=re.MULTILINE))
