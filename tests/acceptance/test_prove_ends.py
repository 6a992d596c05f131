"""`avow prove` ends: when it is told to, with everything put away, and whatever the owner's code does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.command_line import ROOT, avow
from tests.acceptance.polling import until

PARCELS = '''
import time
from avow import Call, Entity, State, authenticated, create, effect, field, read, role, system, transition

print("said at the import")
clerk = role("clerk")


@effect(destination="payment")
async def pay(parcel: "Parcel", call: Call) -> str:
    """Take the money."""
    print("said by a call")
    return "x"


class Parcel(Entity):
    """Something that is paid for."""

    cents: int = field(ge=1)
    visible = read(by=authenticated)
    waiting, paying = State(initial=True), State(invoke=pay)
    sent, lost = State(final=True), State(final=True)
    post = create(waiting, by=authenticated, sets=[cents])
    paid = transition(paying, to=sent, on=pay.done)
    unpaid = transition(paying, to=lost, on=pay.failed)

    @transition(waiting, to=paying, by=clerk)
    def send(self) -> None:
        """Send it."""


app = system("parcels", Parcel)
'''
RUNS_ON = '        """Send it."""\n        while True:\n            pass\n'


def parcels(folder: Path, source: str = PARCELS) -> Path:
    (folder / "system.py").write_text(source, "utf-8")
    return folder


@pytest.mark.parametrize("more", [[], ["--phase", "crash"]], ids=["one process", "several"])
def test_what_the_owners_code_prints_is_talk_and_no_part_of_the_document(
    more: list[str], tmp_path: Path
) -> None:
    budget = "15" if more else "5"  # with less time than that, no other process is begun
    asked = ("--json", "--phase", "functions", *more, "--budget", budget)
    ended = avow("prove", str(parcels(tmp_path)), *asked)
    told = json.loads(ended.stdout)
    assert (ended.returncode, told["verdict"]) == (0, "held"), ended.stderr
    assert "said at the import" in ended.stderr
    assert "said by a call" in ended.stderr


def test_a_body_that_never_ends_is_a_finding_and_keeps_nobody(tmp_path: Path) -> None:
    source = PARCELS.replace('        """Send it."""\n', RUNS_ON)
    ended = avow("prove", ".", "--phase", "model", "--budget", "3", cwd=parcels(tmp_path, source))
    assert ended.returncode == 1, ended.stderr
    assert "Parcel.send" in ended.stdout
    assert "it doesn't come to its end" in ended.stdout


@contextmanager
def proving(target: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A run in a session of its own, and a word that stands in the environment of all that it starts."""
    mark = str(target)  # on the search path, which the server keeps of its environment
    environment = {**os.environ, "PATH": f"{mark}{os.pathsep}{os.environ['PATH']}"}
    process = subprocess.Popen(
        [sys.executable, "-m", "avow.cli", "prove", str(target), *arguments],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield process, mark
    finally:
        process.kill()
        process.communicate()


def told(process: subprocess.Popen[str], word: str) -> None:
    """Wait until a run has told of a phase."""
    assert process.stderr is not None
    for line in process.stderr:
        if word in line:
            return
    raise AssertionError(f"it never said {word!r}")


def begun_with(mark: str) -> list[str]:
    """The processes in whose environment a word stands."""
    found = list[str]()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text("utf-8").replace("\0", " "))
        except OSError:
            continue
    return found


def test_an_interrupt_ends_the_model_phase_at_once(tmp_path: Path) -> None:
    with proving(ROOT / "examples" / "checkout", "--phase", "model", "--budget", "600") as (process, _):
        told(process, "prove: model")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert err.endswith("interrupted\n")


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are looked at in /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_who_ends_a_run_leaves_no_server_behind(number: signal.Signals, tmp_path: Path) -> None:
    """Also one that ends it otherwise than by a key, as continuous integration does."""
    with proving(parcels(tmp_path), "--phase", "crash", "--phase", "race", "--budget", "60") as (
        process,
        mark,
    ):
        told(process, "prove: crash")
        assert any("postgres" in one for one in begun_with(mark))
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, ""), err
    assert err.endswith("interrupted\n")

    async def alone() -> bool:
        return not begun_with(mark)

    await until(alone, "nothing of the run is left")


BEGUN_IN_VAIN = """
import tempfile
from avow.store.server import cluster
from avow.store.trials import trial

made, make, start = [], tempfile.mkdtemp, cluster.start
def noted(**given):
    made.append(make(**given))
    return made[-1]
def interrupted(home, **given):
    start(home, **given)
    raise KeyboardInterrupt
tempfile.mkdtemp, cluster.start = noted, interrupted
try:
    trial.own_server()
except KeyboardInterrupt:
    print(made[0])
"""


def test_a_server_whose_start_is_interrupted_is_put_away() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BEGUN_IN_VAIN], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not Path(done.stdout.strip()).exists()


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are looked at in /proc")
def test_a_server_that_dies_leaves_no_verdict_and_what_was_said_before(tmp_path: Path) -> None:
    with proving(parcels(tmp_path), "--phase", "effects", "--budget", "60", "--json") as (process, mark):
        told(process, "prove: effects")
        servers = [p for p in Path("/proc").glob("[0-9]*") if _is_server(p, mark)]
        for server in servers:
            os.kill(int(server.name), signal.SIGKILL)
        out, err = process.communicate(timeout=60)
    document = json.loads(out)
    assert (process.returncode, document["verdict"]) == (4, "none"), err
    assert any(row["phase"] == "model" for row in document["tallies"])
    assert document["unfit"]


def _is_server(process: Path, mark: str) -> bool:
    """Whether a process is the first of a server that a run with this mark has started."""
    try:
        words = (process / "cmdline").read_text("utf-8").split("\0")
        return "-D" in words and mark.encode() in (process / "environ").read_bytes()
    except OSError:
        return False
