"""`avow prove`: who breaks a guard is told which one, by file and line, and can see it again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from avow.cli.changed import moved_since
from avow.cli.target import load_target
from avow.prove.act import Act
from avow.prove.model import Model
from avow.prove.phase import Bench, Budget
from avow.store.pool import connect, with_login
from avow.store.trials import trial
from tests.acceptance.command_line import ROOT, avow

SOUND = (ROOT / "examples" / "enrollment" / "system.py").read_text("utf-8")
GUARD = "dean & ~performed(verify)"


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The enrollment, in which somebody has dropped the second pair of eyes."""
    folder = tmp_path_factory.mktemp("broken")
    assert SOUND.count(GUARD) == 1
    (folder / "system.py").write_text(SOUND.replace(GUARD, "dean"), "utf-8")
    return folder


def kept(folder: Path) -> Path:
    ended = avow("prove", ".", "--phase", "model", "--budget", "5", "--html", "report.html", cwd=folder)
    assert ended.returncode == 1, ended.stderr
    line = 1 + next(at for at, text in enumerate(SOUND.splitlines()) if GUARD in text)
    assert "BROKE  four_eyes   Who is approved was verified before, by somebody else." in ended.stdout
    assert f"Enrollment.approve ({folder / 'system.py'}:{line}): by dean" in ended.stdout
    assert ended.stderr.startswith("prove: model: ")
    (file,) = (folder / ".avow" / "prove").glob("*.json")
    assert f"avow prove . --replay .avow/prove/{file.name}" in ended.stdout
    return file


def moved_with_its_project(file: Path) -> Path:
    """The test of a finding, as part of its project, which somebody else has somewhere else."""
    project = file.parents[2]
    elsewhere = project.parent / "elsewhere"
    (elsewhere / "tests").mkdir(parents=True)
    (elsewhere / "system.py").write_text((project / "system.py").read_text("utf-8"), "utf-8")
    for name in (file.name, f"test_{file.stem}.py"):
        (elsewhere / "tests" / name).write_text(file.with_name(name).read_text("utf-8"), "utf-8")
    return elsewhere / "tests" / f"test_{file.stem}.py"


def test_a_broken_guard_is_told_with_its_line_kept_and_seen_again_until_it_is_mended(broken: Path) -> None:
    file = kept(broken)
    assert "<svg" in (broken / "report.html").read_text("utf-8")
    first, second = (avow("prove", ".", "--replay", str(file), cwd=broken) for _ in range(2))
    assert (first.returncode, first.stdout) == (1, second.stdout)
    pytest_ = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    ready = moved_with_its_project(file)  # where the project lies is nothing that a test knows
    test = subprocess.run([*pytest_, ready], cwd=ready.parent, capture_output=True, text=True, check=False)
    assert test.returncode == 1, test.stdout + test.stderr
    assert f"Enrollment.approve ({ready.parents[1] / 'system.py'}:" in test.stdout
    (broken / "system.py").write_text(SOUND, "utf-8")
    mended = avow("prove", ".", "--replay", str(file), cwd=broken)
    assert mended.returncode == 0
    said = "it holds now: this schedule breaks nothing; act 5 isn't accepted: "
    assert mended.stdout.startswith(said), mended.stdout
    assert mended.stderr == "the declaration has changed since this was found\n"


def test_what_cant_be_kept_is_told_and_takes_nothing_from_the_rest(tmp_path: Path) -> None:
    (tmp_path / "system.py").write_text(SOUND.replace(GUARD, "dean"), "utf-8")
    (tmp_path / ".avow").write_text("in the way", "utf-8")
    asked = ("--phase", "model", "--budget", "2", "--html", "report.html", "--json")
    ended = avow("prove", ".", *asked, cwd=tmp_path)
    told = json.loads(ended.stdout)
    assert (ended.returncode, told["verdict"], told["kept"]) == (1, "broke", [])
    assert "can't be written" in ended.stderr
    assert "<svg" in (tmp_path / "report.html").read_text("utf-8")


def test_programs_are_told_the_same() -> None:
    ended = avow(
        "prove", "examples/enrollment", "--phase", "lint", "--phase", "model", "--budget", "4", "--json"
    )
    told = json.loads(ended.stdout)
    assert (ended.returncode, told["verdict"], told["findings"]) == (0, "held", [])
    assert [row["fault"] for row in told["tallies"]][1] == "any act in any situation of the model"
    assert told["not_tried"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--quick", "--deep"),
        ("--replay", "nowhere.json"),
        ("--changed-since", "no-such-revision"),
        ("--html", "nowhere/report.html"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_tried(arguments: tuple[str, ...]) -> None:
    ended = avow("prove", "examples/enrollment", *arguments)
    assert ended.returncode == 2
    assert "mend:" in ended.stderr


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True)


def test_what_a_change_has_moved_is_known_by_its_names(tmp_path: Path) -> None:
    file = tmp_path / "app" / "system.py"
    file.parent.mkdir()
    file.write_text(SOUND, "utf-8")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "Begin")
    was = "to=archived, by=registrar"
    assert SOUND.count(was) == 1
    file.write_text(SOUND.replace(was, "to=archived, by=dean"), "utf-8")
    system = load_target(str(file.parent))
    assert moved_since(system, str(file.parent), "HEAD") == {"Enrollment.archive"}
    bench = Bench(system, 0, touched=frozenset({"Enrollment.archive"}))
    archive, verify = (Act("command", "Enrollment", word, 1) for word in ("archive", "verify"))
    assert bench.touches([verify, archive])
    assert not bench.touches([verify])


STALLS = """
from avow import Entity, State, authenticated, create, field, internal, read, ref, system, transition


class Hall(Entity):
    free: int = field(ge=0)
    visible = read(by=authenticated)
    open, closed = State(initial=True), State(final=True)
    build = create(open, by=authenticated, sets=[free])
    close = transition(open, to=closed, by=authenticated)

    @transition(open, to=open, by=internal)
    def take(self) -> None:
        self.free -= 1


class Stall(Entity):
    hall: Hall = ref()
    visible = read(by=authenticated)
    asked, held = State(initial=True), State()
    gone, dropped = State(final=True), State(final=True)
    ask = create(asked, by=authenticated, sets=[hall])
    leave = transition(asked, to=gone, by=authenticated)
    leave_held = transition(held, to=dropped, by=authenticated, command="leave")

    @transition(asked, to=held, by=authenticated, uses=hall)
    def hold(self) -> None:
        self.hall.take()


app = system("stalls", Hall, Stall)
"""


async def test_what_a_body_calls_for_and_a_way_under_another_name_count_as_touched(tmp_path: Path) -> None:
    (tmp_path / "system.py").write_text(STALLS, "utf-8")
    system = load_target(str(tmp_path))
    bench = Bench(system, 0, touched=frozenset({"Hall.take", "Stall.leave_held"}))
    await Model().run(bench, Budget(2.0))
    hold, leave, close = (
        Act("command", *of.split("."), 1) for of in ("Stall.hold", "Stall.leave", "Hall.close")
    )
    assert [bench.touches([act]) for act in (hold, leave, close)] == [True, True, False]


def test_what_has_moved_is_told_also_of_a_file_that_had_another_name(tmp_path: Path) -> None:
    file = tmp_path / "was" / "before.py"
    file.parent.mkdir()
    file.write_text(SOUND + "\nother = app\n", "utf-8")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "Begin")
    git(tmp_path, "mv", "was/before.py", "system.py")
    (tmp_path / "system.py").write_text(SOUND.replace("to=archived, by=registrar", "to=archived, by=dean"))
    asked = ("--changed-since", "HEAD", "--phase", "lint", "--phase", "model", "--budget", "1")
    ended = avow("prove", "system.py:app", *asked, cwd=tmp_path)
    assert "\nattacked first, as it has moved: Enrollment.archive\n" in ended.stdout, ended.stderr
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "Go on")
    ended = avow("prove", ".", *asked, cwd=tmp_path)
    assert "\nnothing has moved: all is attacked alike\n" in ended.stdout, ended.stderr
    told = json.loads(avow("prove", ".", *asked, "--json", cwd=tmp_path).stdout)
    assert told["moved"] == []


@pytest.mark.parametrize("revision", ["nowhere", "--output=/tmp/x"])
def test_a_revision_that_isnt_there_is_named(revision: str) -> None:
    ended = avow("prove", "examples/enrollment", "--changed-since", revision)
    assert (ended.returncode, "mend: Name a revision" in ended.stderr) == (2, True)
    assert not ended.stderr.startswith("error[usage] git refuses: \n")


def test_a_target_outside_of_any_repository_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "system.py").write_text(SOUND, "utf-8")
    ended = avow(
        "prove", ".", "--changed-since", "HEAD", cwd=tmp_path, environment={"GIT_CEILING_DIRECTORIES": "/"}
    )
    assert ended.returncode == 2
    assert "lies in a Git repository" in ended.stderr


async def databases_and_logins(url: str) -> set[str]:
    connection = await connect(url)
    try:
        rows = await connection.fetch(
            "SELECT datname FROM pg_database UNION SELECT rolname FROM pg_roles WHERE rolcanlogin"
        )
        return {row[0] for row in rows}
    finally:
        await connection.close()


async def test_it_attacks_on_a_server_that_is_named_and_leaves_no_database_and_no_login_there() -> None:
    url = trial.own_server().url()
    before = await databases_and_logins(url)
    asked = ("prove", "examples/enrollment", "--phase", "conform", "--budget", "6", "--json", "--server")
    ended = avow(*asked, url)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["verdict"] == "held"
    assert await databases_and_logins(url) == before
    for wrong, code in (
        (with_login(url, "nobody", "at all"), "database-refused"),
        ("postgresql://x@127.0.0.1:1/x", "database-unreachable"),
    ):
        refused = avow(*asked, wrong)
        assert refused.returncode == 3
        error = json.loads(refused.stdout)["error"]
        assert (error["code"], "check --server" in error["mend"].lower()) == (code, True), error
