"""Run everything that must hold, part by part, and say in one line each what came out.

`./test` runs all parts, `./test unit layers` these two, `./test unit -k money` hands the rest to pytest.
The parts come from what is there: the checkers, and one part for each folder under tests/ that holds tests;
so a part is never passed over in silence. It decides nothing about the code itself.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
STATE = ROOT / ".avow"
SAMPLES = ("examples/enrollment", "tests/unit/declare/optional_fields.py")

PART_TIMEOUT_S = 2_400
"""Only what hangs takes so long: the longest part takes six minutes on two cores that others use, too."""
LOG_LINES_SHOWN_MAX = 40
SUMMARY_CHARS_MAX = 70
LANES = 2
"""How many parts run side by side."""

# Of those with workers of their own the longest is begun first, so that none is left alone at the end. Of the
# others the quick questions come first. A folder that is not named here runs after these.
FOLDER_ORDER = ("unit", "docs", "canaries", "house", "acceptance", "contract", "store", "upgrade")

# These wait for processes and databases much of their time; each worker brings its own.
PARALLEL_FOLDERS = ("store", "contract", "acceptance")
# One more than cores of the smallest machine: what one waits for is time for the others.
PARALLEL = ("-n", "3", "--dist", "loadfile")

# Files with many tests are begun first. Where few tests may take long, those would come last, and one worker
# would wait for the other: there the order is that of their names.
BY_NAME = "--no-loadscope-reorder"

# Forked, a process may not use the frameworks of a Mac, which are asked for proxies unless none is wanted.
OF_A_MAC = {"OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES", "no_proxy": "*"}

USAGE = """usage: ./test [PART ...] [pytest arguments]
       ./test --list

Without a name all parts run. Arguments after the names go to pytest; given alone, only pytest's parts run.
"""


@dataclass(frozen=True, slots=True)
class Part:
    """One named piece of the whole, and the commands it consists of."""

    name: str
    commands: tuple[tuple[str, ...], ...]
    is_pytest: bool = False

    @property
    def is_parallel(self) -> bool:
        """Whether it keeps all cores busy by itself."""
        return any(PARALLEL[0] in command for command in self.commands)


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a part: whether it held, all that it said, the line that sums it up, and its seconds."""

    part: Part
    held: bool
    said: list[str]
    summary: str
    seconds: float


def parts() -> Mapping[str, Part]:
    """All parts of this tree, in the order they run."""
    tool = {name: str(BIN / name) for name in ("ruff", "pyright", "mypy", "ty", "lint-imports")}
    types: list[tuple[str, ...]] = [(tool["pyright"], "--pythonpath", sys.executable)]
    samples = [sample for sample in SAMPLES if (ROOT / sample).exists()]
    if samples:
        types.append((tool["mypy"], "--python-executable", sys.executable, *samples))
        types.append(
            (tool["ty"], "check", "--python", sys.executable, "--output-format", "concise", *samples)
        )
    found = [
        Part(
            "lint",
            ((tool["ruff"], "check", "--output-format", "concise"), (tool["ruff"], "format", "--check")),
        ),
        Part(
            "layers", ((tool["lint-imports"], "--no-logo", "--cache-dir", str(STATE / "cache" / "imports")),)
        ),
        Part("types", tuple(types)),
    ]
    for folder in sorted(test_folders(), key=place_of):
        how = (*PARALLEL, BY_NAME) if folder in PARALLEL_FOLDERS else ()
        command = (sys.executable, "-m", "pytest", "-q", *how, f"tests/{folder}")
        found.append(Part(folder, (command,), is_pytest=True))
    if any((ROOT / "examples").rglob("test_*.py")):
        command = (sys.executable, "-m", "pytest", "-q", *PARALLEL, "examples")
        found.append(Part("examples", (command,), is_pytest=True))
    return {part.name: part for part in found}


def test_folders() -> set[str]:
    """The folders under tests/ that hold at least one file of tests."""
    return {path.relative_to(ROOT / "tests").parts[0] for path in (ROOT / "tests").rglob("test_*.py")}


def place_of(folder: str) -> tuple[int, str]:
    return (FOLDER_ORDER.index(folder) if folder in FOLDER_ORDER else len(FOLDER_ORDER), folder)


def split(arguments: Sequence[str], known: Mapping[str, Part]) -> tuple[list[Part], list[str]]:
    """The parts that were asked for, and what is pytest's. ValueError names what is no part."""
    names: list[str] = []
    for_pytest: list[str] = []
    for argument in arguments:
        (for_pytest if for_pytest or argument.startswith("-") else names).append(argument)
    for name in names:
        if name not in known:
            raise ValueError(name)
    if names:
        return [known[name] for name in known if name in names], for_pytest
    return [part for part in known.values() if part.is_pytest or not for_pytest], for_pytest


def environment() -> dict[str, str]:
    """Tools keep their caches in .avow and ask no network for newer versions of themselves."""
    more = OF_A_MAC if sys.platform == "darwin" else dict[str, str]()
    return {
        **os.environ,
        **more,
        "XDG_CACHE_HOME": str(STATE / "cache"),
        "PYRIGHT_PYTHON_CACHE_DIR": str(STATE / "cache" / "pyright"),
        "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1",
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }


_running = set[subprocess.Popen[bytes]]()


def run(part: Part, for_pytest: Sequence[str]) -> Result:
    """Run one part."""
    started = time.monotonic()
    path = STATE / "log" / f"{part.name}.log"
    own = path.with_suffix(f".{os.getpid()}.log")  # another ./test may be running here
    deadline = started + PART_TIMEOUT_S
    said: list[str] = []
    summary = ""
    held = True
    for command in part.commands:
        with own.open("w") as log:
            held_now = run_command((*command, *(for_pytest if part.is_pytest else ())), log, deadline)
        lines = own.read_text(errors="replace").splitlines()
        said += lines
        if held:
            summary = next((line for line in reversed(lines) if line.strip()), "")
        held &= held_now
    own.write_text("\n".join(said))
    own.replace(path)
    return Result(part, held, said, summary.strip(" =")[:SUMMARY_CHARS_MAX], time.monotonic() - started)


def run_command(command: Sequence[str], log: IO[str], deadline: float) -> bool:
    """Run one command until `deadline` (monotonic seconds); whether it ended well."""
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, env=environment(), start_new_session=True
    )
    _running.add(process)
    try:
        return process.wait(timeout=max(deadline - time.monotonic(), 1)) == 0
    except subprocess.TimeoutExpired:
        print(f"stopped: this part may take {PART_TIMEOUT_S} s", file=log)
        return False
    finally:
        stop(process)
        _running.discard(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a part that is still running, with all that it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def results(chosen: Sequence[Part], for_pytest: Sequence[str]) -> Iterator[Result]:
    """Run the parts, some side by side; what came of each as soon as it ends."""
    waiting, running = list(chosen), dict[Future[Result], Part]()
    with ThreadPoolExecutor(LANES) as lanes:
        try:
            while waiting or running:
                while waiting and len(running) < LANES:
                    part = next_of(waiting, running.values())
                    waiting.remove(part)
                    running[lanes.submit(run, part, for_pytest)] = part
                for done in wait(running, return_when=FIRST_COMPLETED).done:
                    del running[done]
                    yield done.result()
        except BaseException:
            for process in tuple(_running):
                stop(process)
            raise


def next_of(waiting: Sequence[Part], running: Iterable[Part]) -> Part:
    """What is to be begun beside what runs.

    One that has workers of its own, beside one that hasn't: what one waits for is time for the other. When
    only one sort is left, that has all lanes.
    """
    wide = not any(part.is_parallel for part in running)
    return next((part for part in waiting if part.is_parallel is wide), waiting[0])


def run_all(chosen: Sequence[Part], for_pytest: Sequence[str]) -> int:
    """Run the parts and tell of each; 0 when all held, 1 when one didn't."""
    (STATE / "log").mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    failed: list[str] = []
    width = max(len(part.name) for part in chosen)
    print(f"running {', '.join(part.name for part in chosen)}: a line for each as it ends", flush=True)
    for result in results(chosen, for_pytest):
        name, word = result.part.name, "pass" if result.held else "FAIL"
        print(f"  {name:{width}}  {word}  {duration(result.seconds):>10}  {result.summary}", flush=True)
        if not result.held:
            failed.append(name)
            print("\n".join(f"      {line}" for line in result.said[-LOG_LINES_SHOWN_MAX:]))
            print(f"      (all of it: .avow/log/{name}.log; again: ./test {name})", flush=True)
    verdict = f"FAIL  {', '.join(failed)}" if failed else f"PASS  {len(chosen)} of {len(parts())} parts"
    print(f"{verdict}  {duration(time.monotonic() - started)}")
    return 1 if failed else 0


def main(arguments: Sequence[str]) -> int:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # Started as `./test &` by a script. The parts would inherit it, and some of them interrupt a process.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    known = parts()
    if arguments and arguments[0] in ("-h", "--help"):
        print(USAGE + "\nParts: " + " ".join(known))
        return 0
    if list(arguments) == ["--list"]:
        print("\n".join(known))
        return 0
    try:
        chosen, for_pytest = split(arguments, known)
        return run_all(chosen, for_pytest)
    except ValueError as unknown:
        print(f"There is no part {unknown}; there are: {' '.join(known)}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{error}: make this folder writable for you, then run ./test again.", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
