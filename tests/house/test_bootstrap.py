"""A newcomer's machine is brought up, or told in one sentence what stands in the way."""

from __future__ import annotations

import fcntl
import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import bootstrap
from tests.house.tree import ROOT


def tool(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def source_environment(search: Path, group: str = "dev", **more: str) -> subprocess.CompletedProcess[str]:
    """Source the script as ./test does, with only `search` to look for programs in."""
    text = (
        (ROOT / "scripts" / "environment.sh")
        .read_text()
        .replace("/opt/homebrew/bin:/usr/local/bin:/usr/bin", "")
    )
    script = search / "environment.sh"
    script.write_text(text)
    command = ["/bin/sh", "-eu", "-c", f'set -- {group}; . "{script}"; echo "$python"']
    environment = {"PATH": str(search), "HOME": str(search), **more}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_without_python_one_sentence_says_what_to_install(tmp_path: Path) -> None:
    result = source_environment(tmp_path)
    assert result.returncode == 3
    assert "apt-get install python3" in result.stderr.splitlines()[-1]


def test_a_python_that_is_too_old_is_named(tmp_path: Path) -> None:
    tool(tmp_path, "uname", "echo Linux")
    tool(tmp_path, "python3", "exit 1")
    result = source_environment(tmp_path)
    assert result.returncode == 3
    assert f"too old or incomplete: {tmp_path}/python3" in result.stderr
    assert "Ubuntu 22.04: apt-get install python3.11 python3.11-venv" in result.stderr


@pytest.mark.parametrize(
    ("group", "taken", "venv"), [("dev", "first", ".venv"), ("bench", "later", ".venv-bench")]
)
def test_what_is_measured_is_measured_with_the_quickest_python(
    tmp_path: Path, group: str, taken: str, venv: str
) -> None:
    tool(tmp_path, "uname", "echo Linux")
    for folder, took in (("first", 3000), ("later", 1800), ("last", 2000)):
        (tmp_path / folder).mkdir()
        tool(
            tmp_path / folder,
            "python3",
            f'case "$*" in *timeit*) echo {took} ;; *bootstrap*) echo {folder} ;; esac',
        )
    search = ":".join(str(tmp_path / folder) for folder in ("", "first", "later", "last"))
    result = source_environment(tmp_path, group, PATH=search)
    assert result.stdout.split() == [taken, str(Path.cwd() / venv / "bin" / "python")], result.stderr


def test_nothing_keeps_python_from_reading_a_path_as_utf8(tmp_path: Path) -> None:
    """Until Python 3.12 the path to Avow's source is read in the locale's encoding when Python starts."""
    tool(tmp_path, "uname", "echo Linux")
    tool(tmp_path, "python3", 'echo "${LC_ALL-none} $LANG" > "${0%/*}/seen"; exit 1')
    source_environment(tmp_path, LC_ALL="C", LANG="en_US.UTF-8")
    assert (tmp_path / "seen").read_text() == "none C\n"


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        (
            "NewConnectionError: Temporary failure in name resolution\nERROR: No matching distribution",
            "be reached",
        ),
        ("ERROR: No matching distribution found for x\n", "no ready-made package"),
        ("[Errno 30] Read-only file system: '.avow'", "cannot be written"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES\n", "differs from the one"),
        ("something\nthat nobody has seen", "read .avow/install.log"),
    ],
)
def test_a_failure_becomes_a_sentence(log: str, said: str) -> None:
    assert said in bootstrap.mend_of(log)


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose environment has this very Python in it, and a stamp that says it is ready."""
    for name in ("pyproject.toml", "requirements-dev.lock", "requirements-demo.lock"):
        (tmp_path / name).write_text(name)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    places = {
        "ROOT": tmp_path,
        "VENV": tmp_path / ".venv",
        "PYTHON": tmp_path / ".venv" / "bin" / "python",
        "STATE": tmp_path / ".avow",
        "LOG": tmp_path / ".avow" / "install.log",
        "READY": tmp_path / ".venv" / "avow-ready.json",
        "UNFINISHED": tmp_path / ".avow" / "install-unfinished",
    }
    for name, place in places.items():
        monkeypatch.setattr(bootstrap, name, place)
    stamp = {"root": str(tmp_path), "python": bootstrap.venv_version(), "dev": bootstrap.digest_of("dev")}
    bootstrap.READY.write_text(json.dumps(stamp))
    return tmp_path


def test_what_is_ready_is_left_alone(clone: Path) -> None:
    assert bootstrap.main("dev") == 0
    assert not (clone / ".avow").exists()


def test_another_lock_file_makes_it_stale(clone: Path) -> None:
    (clone / "requirements-dev.lock").write_text("changed")
    assert not bootstrap.ready("dev")


def test_an_environment_that_was_copied_from_elsewhere_is_not_ready(clone: Path) -> None:
    written = json.loads(bootstrap.READY.read_text())
    bootstrap.READY.write_text(json.dumps(written | {"root": "elsewhere"}))
    assert not bootstrap.ready("dev")


def test_a_cut_installation_is_not_ready(clone: Path) -> None:
    (clone / ".avow").mkdir()
    bootstrap.UNFINISHED.touch()
    assert not bootstrap.ready("dev")


def test_a_failed_installation_says_so_and_is_not_ready(
    clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(group: str, held: int) -> None:
        raise bootstrap.InstallError("Failed to fetch x\ny")

    (clone / "requirements-dev.lock").write_text("changed")
    monkeypatch.setattr(bootstrap, "install", refuse)
    assert bootstrap.main("dev") == 3
    assert capsys.readouterr().err.endswith("respected), then run the same command again.\n")


def test_a_python_without_pip_is_told_which_package_has_it(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian and Ubuntu pack it apart, once for each Python: python3-venv is that of their own one alone."""
    (clone / ".avow").mkdir()
    index = clone / "index"
    index.mkdir()
    monkeypatch.setenv("PIP_INDEX_URL", index.as_uri())
    with pytest.raises(bootstrap.InstallError) as caught:
        bootstrap.download_pip()
    package = f"apt-get install python3.{sys.version_info.minor}-venv"
    assert package in bootstrap.mend_of(str(caught.value))


def test_a_folder_of_somebody_else_is_named_in_one_sentence(
    clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", refuse)
    assert bootstrap.main("dev") == 3
    said = capsys.readouterr().err
    assert (said.startswith("This folder, or a part of it, cannot be written"), said.count("\n")) == (True, 1)


WAITING = """
import sys
sys.path.insert(0, sys.argv[1])
from scripts import bootstrap
with open(sys.argv[2], "a") as lock:
    bootstrap.wait_for(lock.fileno())
    print("mine")
"""


def test_an_account_without_a_home_can_install(
    clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in a container that runs under a number: `~` leads nowhere."""
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    bootstrap.STATE.mkdir()
    with (clone / "lock").open("w") as held:
        bootstrap.run(["/bin/sh", "-c", "echo $PIP_NO_CACHE_DIR"], "", held.fileno())
    assert bootstrap.LOG.read_text() == "1\n"
    assert capsys.readouterr().out == ""


def test_a_second_run_waits_for_the_first(tmp_path: Path) -> None:
    path = tmp_path / "install.lock"
    command = [sys.executable, "-u", "-c", WAITING, str(ROOT), str(path)]
    with path.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as second:
            assert second.stderr is not None
            assert second.stdout is not None
            assert second.stderr.readline().startswith("Waiting for another")
            assert second.poll() is None
            fcntl.flock(held, fcntl.LOCK_UN)
            assert second.stdout.read() == "mine\n"
