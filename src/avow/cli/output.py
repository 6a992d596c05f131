"""The one place that prints: data on stdout, talk on stderr, each error with what to do.

It must never mix the two: with `--json` stdout holds exactly what a program was promised.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Final, TextIO

import click

from avow.errors import AvowError, DeclarationError, EnvironmentFault, Mistake, ProblemError, UsageError

HOLDS: Final = 0
FOUND: Final = 1
USAGE: Final = 2
ENVIRONMENT: Final = 3
NO_VERDICT: Final = 4
INTERRUPTED: Final = 130

PROGRESS_REDRAW_S: Final = 0.1
PROGRESS_LINE_S: Final = 10.0
PROGRESS_BAR_CHARACTERS: Final = 30
_COLOURS: Final = {"error": "red", "warning": "yellow", "mend": "cyan"}

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document on stdout, also for an error."
)
"""The option that every verb has; the verb takes it as `as_json: bool`."""


def data(text: str) -> None:
    """Print lines of the answer, on stdout."""
    print(text, flush=True)


def document(value: Any) -> None:
    """Print the answer for programs: JSON in one line, on stdout, with escapes where that can't take all
    characters."""
    encoding: str | None = getattr(sys.stdout, "encoding", None)
    data(json.dumps(value, ensure_ascii=encoding is not None and encoding.lower() != "utf-8"))


def said(answer: dict[str, Any], text: str, as_json: bool) -> int:
    """Tell what a verb has done: the answer for programs, or the same in words; its exit code."""
    if as_json:
        document(answer)
    else:
        data(plain(text))
    return HOLDS


def talk(text: str) -> None:
    """Say something about the work, on stderr."""
    print(text, file=sys.stderr, flush=True)


def plain(text: str) -> str:
    """Words that come from a database, for a terminal: what could move its cursor or hide a line is escaped.

    `verify` has to be read when somebody has written into the log by hand.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def counted(count: int, one: str, many: str = "") -> str:
    """How many there are of something. many: the word for several, where an s isn't enough."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def mistake_text(mistake: Mistake, stream: TextIO | None = None) -> str:
    """A mistake or warning of a declaration, as it is printed on a stream; None: on stdout."""
    level, on = "warning" if mistake.warning else "error", stream or sys.stdout
    head = paint(f"{level}[{mistake.code}]", level, on)
    return f"{mistake.file}:{mistake.line}: {head} {mistake.detail}\n    {_mend(mistake.mend, on)}"


def warn(mistakes: Iterable[Mistake]) -> None:
    """Say what isn't as it should be in a declaration that can be served all the same, on stderr."""
    for mistake in sorted(mistakes):
        talk(mistake_text(mistake, sys.stderr))


def mistake_json(mistake: Mistake) -> dict[str, Any]:
    """A mistake or warning of a declaration for programs."""
    return {
        "file": mistake.file,
        "line": mistake.line,
        "code": mistake.code,
        "detail": mistake.detail,
        "mend": mistake.mend,
        "warning": mistake.warning,
    }


def error(code: str, detail: str, mend: str, as_json: bool, extra: Mapping[str, Any] | None = None) -> None:
    """Print why it didn't work: on stderr for people, as an object on stdout for programs."""
    if as_json:
        document({"error": {"code": code, "detail": detail, "mend": mend, **(extra or {})}})
    else:
        talk(f"{paint(f'error[{code}]', 'error', sys.stderr)} {detail}\n    {_mend(mend, sys.stderr)}")


def failure(raised: AvowError, as_json: bool) -> int:
    """Print an exception that was raised on purpose; gives back its exit code."""
    match raised:
        case DeclarationError():
            _declaration(raised.mistakes, as_json)
        case UsageError():
            error("usage", raised.detail, raised.mend, as_json)
        case EnvironmentFault():
            error(raised.code, raised.detail, raised.mend, as_json)
        case ProblemError():
            row, problem = raised.problem.type, raised.problem
            error(problem.code, problem.detail or row.title, row.mend, as_json, problem.extra)
        case _:
            error("failed", str(raised), "Look at what was said before this.", as_json)
    return raised.exit_code


def progress(label: str, total: int) -> Progress:
    """Show on stderr how far a long work is: a bar on a terminal, else one line each ten seconds."""
    return Progress(sys.stderr, label, total)


def paint(text: str, kind: str, stream: TextIO) -> str:
    """Colour for a terminal, unless NO_COLOR is set; kinds: error, warning, mend."""
    if os.environ.get("NO_COLOR") or not stream.isatty():
        return text
    return click.style(text, fg=_COLOURS[kind], bold=True)


def _mend(mend: str, stream: TextIO) -> str:
    return f"{paint('mend:', 'mend', stream)} {mend}"


def _declaration(mistakes: tuple[Mistake, ...], as_json: bool) -> None:
    count = sum(not mistake.warning for mistake in mistakes)
    detail = f"the declaration has {counted(count, 'mistake')}"
    if not as_json:
        for mistake in mistakes:
            talk(str(mistake))
    shown = [mistake_json(mistake) for mistake in mistakes]
    error("declaration", detail, "Correct each place that is named.", as_json, {"mistakes": shown})


class Progress:
    """How far a work of `total` steps is. Use it as a context and call `advance`.

    clock: seconds that only grow; tests bring their own.
    """

    def __init__(
        self, stream: TextIO, label: str, total: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream, self._label, self._total, self._clock = stream, label, total, clock
        self._terminal = stream.isatty()
        self._done = 0
        self._started = self._shown = clock()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._terminal:
            # The bar goes; what was found is printed by the verb.
            print("\r\x1b[K", end="", file=self._stream, flush=True)

    def reach(self, done: int, total: int) -> None:
        """So many steps of so many are done: for work that learns on the way how much there is."""
        self._total = total
        self.advance(done - self._done)

    def advance(self, steps: int = 1) -> None:
        """Count steps as done, and show it if it's time to."""
        self._done += steps
        now = self._clock()
        if now - self._shown < (PROGRESS_REDRAW_S if self._terminal else PROGRESS_LINE_S):
            return
        self._shown = now
        if self._terminal:
            print(f"\r\x1b[K{self._bar(now)}", end="", file=self._stream, flush=True)
        else:
            print(self._line(now), file=self._stream, flush=True)

    def _line(self, now: float) -> str:
        rate = self._done / max(now - self._started, 1e-9)
        share = f" ({100 * self._done // self._total} %)" if self._total else ""
        left = f", {max(self._total - self._done, 0) / rate:.0f} s left" if self._total and rate else ""
        return f"{self._label}: {self._done:,} of {self._total:,}{share}{left}"

    def _bar(self, now: float) -> str:
        full = min(PROGRESS_BAR_CHARACTERS * self._done // max(self._total, 1), PROGRESS_BAR_CHARACTERS)
        return f"[{'#' * full}{'.' * (PROGRESS_BAR_CHARACTERS - full)}] {self._line(now)}"
