"""`avow prove`: try to break what is declared, and say what was tried."""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from shutil import get_terminal_size
from types import FrameType
from typing import Any, Final, TextIO

import click

from avow.cli import output
from avow.cli.changed import moved_since
from avow.cli.target import load_target
from avow.errors import UsageError
from avow.model.system import System
from avow.prove.explore.path import follow
from avow.prove.explore.situation import Happened
from avow.prove.finding import Finding
from avow.prove.keep import FOLDER, Kept, keep, read_kept
from avow.prove.lanes import Source
from avow.prove.lint import NAME as LINT
from avow.prove.model import NAME as MODEL
from avow.prove.patience import patient
from avow.prove.phase import Bench, Phase
from avow.prove.phases import PHASES
from avow.prove.report.document import as_document, finding_json
from avow.prove.report.page import as_page
from avow.prove.report.text import as_text, broke
from avow.prove.run import DEEP_S, DEFAULT_S, QUICK_S, Report, run
from avow.prove.story import what, who
from avow.store.trials.trial import require_server

BUDGET_S_MAX: Final = 86_400.0
ATTACKED: Final = ("avow.engine", "avow.store")
"""Who logs while it is attacked."""
SEED_MAX: Final = 2**31
REFUSING: Final = ("conform", "race")
"""The phases in whose schedules an act may be refused and all be well."""
AT_WORK_S: Final = 2.0
"""A phase that has told nothing for so long isn't shown any more."""


@click.command(name="prove")
@click.argument("target", default=".")
@click.option(
    "--quick",
    is_flag=True,
    help=f"Take {QUICK_S:.0f} seconds at most, for what finds most; end where something broke.",
)
@click.option("--deep", is_flag=True, help=f"Take {DEEP_S / 60:.0f} minutes.")
@click.option("--budget", type=click.FloatRange(1, BUDGET_S_MAX), metavar="S", help="Take so many seconds.")
@click.option("--seed", type=click.IntRange(0, SEED_MAX), help="Draw again what a run with this seed drew.")
@click.option("--replay", type=click.Path(path_type=Path), metavar="FILE", help="Do one kept schedule again.")
@click.option(
    "--phase", "named", multiple=True, type=click.Choice([phase.name for phase in PHASES]),
    help="Go through this phase, and the model that it rests on; may be given several times.",
)  # fmt: skip
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="Write the report as a page.")
@click.option("--changed-since", metavar="REV", help="Attack first what has moved since this Git revision.")
@click.option(
    "--server",
    metavar="URL",
    help="Make databases on this server, and drop them; a superuser's address. Else on one of Avow's own.",
)
@click.option("--verbose", is_flag=True, help="Show on stderr what the engine logs while it is attacked.")
@output.json_option
def command(
    target: str, quick: bool, deep: bool, budget: float | None, seed: int | None, replay: Path | None,
    named: tuple[str, ...], html: Path | None, changed_since: str | None, server: str | None, verbose: bool,
    as_json: bool,
) -> int:  # fmt: skip
    """Try to break what TARGET declares, on its model and on a real PostgreSQL, for two minutes.

    Ends with 0 where all of it held within the bounds that the report names, 1 where something broke, and 4
    where there is no verdict. What broke is kept in .avow/prove, with a test of it.
    """
    if sum((quick, deep, budget is not None)) > 1:
        raise UsageError("--quick, --deep and --budget exclude each other", "Name one of them.")
    if html is not None and not html.resolve().parent.is_dir():
        raise UsageError(f"there is no folder for {html}", "Make it first, or name another file.")
    system = load_target(target)
    if server is not None:
        asyncio.run(require_server(server))
    if replay is not None:
        return _again(system, read_kept(replay, system), server, as_json)
    seconds = QUICK_S if quick else DEEP_S if deep else budget or DEFAULT_S
    bench = Bench(system, secrets.randbelow(SEED_MAX) if seed is None else seed, server, alone=server is None)
    if changed_since is not None:
        bench.touched = moved_since(system, target, changed_since)
    told = _Told(seconds)
    attack = run(
        bench, _chosen(named, quick), seconds, until_broken=quick, progress=told.tell,
        beside=Source(load_target, target),
    )  # fmt: skip
    with nullcontext() if verbose else _quiet(), _undisturbed():
        try:
            report = asyncio.run(attack)
        finally:
            told.end()
    _show(system, target, bench, report, html, as_json)
    return {True: output.HOLDS, False: output.FOUND, None: output.NO_VERDICT}[report.held]


def _chosen(named: tuple[str, ...], quick: bool) -> list[Phase]:
    """The phases to go through: those that are named, else all, or those of a quick run."""
    if named:
        return [
            phase for phase in PHASES if phase.name in named or (phase.name == MODEL and named != (LINT,))
        ]
    return [phase for phase in PHASES if phase.quick or not quick]


def _show(
    system: System, target: str, bench: Bench, report: Report, html: Path | None, as_json: bool
) -> None:
    """Print the report, whatever can't be written to files beside it."""
    files, faults, again = list[Path](), list[str](), dict[int, str]()
    with _noting(faults):
        files += [keep(FOLDER, target, system, finding, report.postgresql) for finding in report.findings]
        again = {at: f"avow prove {target} --replay {file}" for at, file in enumerate(files)}
    if html is not None:
        with _noting(faults):
            html.write_text(as_page(system, report, bench.coverage, again), "utf-8")
    if as_json:
        output.document({**as_document(system, report), "kept": [str(file) for file in files]})
    else:
        output.data(as_text(report, again))
    for fault in faults:
        output.talk(fault)


@contextmanager
def _noting(faults: list[str]) -> Generator[None]:
    """Note what can't be written; what was found is told all the same."""
    try:
        yield
    except OSError as error:
        faults.append(f"{error.filename} can't be written: {error.strerror}")


def _again(system: System, kept: Kept, server: str | None, as_json: bool) -> int:
    """Do a kept schedule again."""
    if kept.fingerprint != system.fingerprint.hex():
        output.talk("the declaration has changed since this was found")
    phase = next((phase for phase in PHASES if phase.name == kept.phase), None)
    if phase is None:
        raise UsageError(f"there is no phase {kept.phase}", "Run `avow prove` again.")
    bench = Bench(system, 0, server)

    async def replayed() -> Finding | None:
        async with bench.stack:
            return await phase.replay(bench, kept.schedule)

    with _undisturbed():
        finding = asyncio.run(replayed())
    if as_json:
        found: dict[str, Any] | None = None if finding is None else finding_json(system, finding)
        output.document({"verdict": "held" if finding is None else "broke", "finding": found})
    else:
        output.data(broke(finding, "") if finding is not None else _held(system, kept))
    return output.HOLDS if finding is None else output.FOUND


def _held(system: System, kept: Kept) -> str:
    """That a schedule breaks nothing, and the act at which it can't go on as it did."""
    said = "it holds now: this schedule breaks nothing"
    outcomes = [] if kept.phase in REFUSING else follow(system, kept.schedule.acts)
    for number, (act, outcome) in enumerate(zip(kept.schedule.acts, outcomes, strict=False), start=1):
        if not isinstance(outcome, Happened):
            return f"{said}; act {number} isn't accepted: {who(act)}: {what(system, act)}"
    return said


@contextmanager
def _undisturbed() -> Generator[None]:
    """Let the owner's code neither write into the report nor run for ever, and let a run that is told to end
    put everything away."""
    known = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number, was in known.items():
        if was is signal.SIG_DFL:
            signal.signal(number, _interrupt)
    try:
        with redirect_stdout(sys.stderr), patient():
            yield
    finally:
        for number, was in known.items():
            signal.signal(number, was)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGINT)  # for which the loop ends what it does, and each server with it


@contextmanager
def _quiet() -> Generator[None]:
    """Keep what the engine logs out of the progress: it is attacked, and says so all the time."""
    logs, kept = [logging.getLogger(name) for name in ATTACKED], _Counting()
    for log in logs:
        log.addHandler(kept)
        log.propagate = False
    try:
        yield
    finally:
        for log in logs:
            log.removeHandler(kept)
            log.propagate = True
        if kept.count:
            output.talk(f"the engine logged {kept.count:,} messages under attack; --verbose shows them")


class _Counting(logging.Handler):
    """Counts warnings, and what is worse."""

    count = 0

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1


class _Told:
    """Shows on stderr how far a run is: which phases, what they have tried, and what is left of the budget.

    On a terminal in one line that is drawn anew, else as a line every ten seconds and at each new phase.
    """

    def __init__(self, seconds: float, stream: TextIO = sys.stderr) -> None:
        self._until, self._stream = time.monotonic() + seconds, stream
        self._terminal, self._drawn = stream.isatty(), 0.0
        self._told, self._shown = dict[str, tuple[float, str]](), dict[str, float]()

    def tell(self, phase: str, tried: int, left: int | None) -> None:
        """Take the news of a phase."""
        now = time.monotonic()
        ahead = "" if left is None else f" of {tried + left:,}"
        self._told[phase] = now, f"{phase}: {tried:,}{ahead} tried"
        if self._terminal:
            self._draw(now)
        elif now - self._shown.get(phase, -output.PROGRESS_LINE_S) >= output.PROGRESS_LINE_S:
            self._shown[phase] = now
            print(f"prove: {self._told[phase][1]}, {self._left(now)}", file=self._stream, flush=True)

    def _draw(self, now: float) -> None:
        if now - self._drawn >= output.PROGRESS_REDRAW_S:
            self._drawn = now
            at_work = [said for told, said in self._told.values() if now - told < AT_WORK_S]
            line = f"prove: {'; '.join(at_work)}, {self._left(now)}"
            wide = get_terminal_size().columns - 1  # a line that breaks couldn't be drawn anew
            print(f"\r\x1b[K{line[:wide]}", end="", file=self._stream, flush=True)

    def _left(self, now: float) -> str:
        return f"{max(self._until - now, 0):.0f} s left"

    def end(self) -> None:
        """Take the line away."""
        if self._terminal:
            print("\r\x1b[K", end="", file=self._stream, flush=True)
