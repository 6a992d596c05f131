"""What holds for every verb: exit codes, where things are printed, and errors with what to do."""

from __future__ import annotations

import json
import os
import pty
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from avow import __version__
from avow.cli.group import VERBS, command, run
from tests.acceptance.command_line import ROOT, avow, avow_from_nothing

PAGE = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")


def test_the_version_is_data() -> None:
    assert avow("--version").stdout == f"avow {__version__}\n"


def test_help_lists_the_verbs_that_exist_and_no_other() -> None:
    shown = avow("--help").stdout
    existing = {verb for verb in VERBS if (ROOT / "src" / "avow" / "cli" / f"{verb}.py").exists()}
    assert {verb for verb in VERBS if f"\n  {verb} " in shown} == existing
    assert {"init", "check", "diagram"} <= existing


def leaves() -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, with how it is called: `check`, `keys create`."""
    context = click.Context(command)
    for verb in command.list_commands(context):
        found = command.get_command(context, verb)
        assert found is not None
        if isinstance(found, click.Group):
            yield from ((f"{verb} {name}", below) for name, below in found.commands.items())
        else:
            yield verb, found


def section(verb: str) -> str:
    """What the page says about a verb."""
    return PAGE.partition(f"\n## avow {verb}\n")[2].partition("\n## ")[0]


def test_every_command_has_help_and_json() -> None:
    for name, found in leaves():
        assert found.help, name
        assert "--json" in {option for parameter in found.params for option in parameter.opts}, name


def test_a_file_that_the_system_refuses_is_named_and_is_no_fault_of_ours() -> None:
    for arguments in (("check", "x" * 300), ("export", "x" * 300, "--check")):
        ended = avow(*arguments, "--json")
        assert (ended.returncode, "Traceback" in ended.stderr) == (3, False), arguments
        assert json.loads(ended.stdout)["error"]["code"] == "file-unusable"


def test_a_current_folder_that_was_removed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tmp_path.rmdir()
    assert run(["init"]) == 3
    assert "the current folder isn't there any more" in capsys.readouterr().err


def test_every_number_has_an_end() -> None:
    """One that the database can't hold is a mistake of who types it, and no fault of ours."""
    endless = [
        f"{name} {parameter.name}"
        for name, found in leaves()
        for parameter in found.params
        if parameter.type is click.INT and parameter.name != "port"
    ]
    assert endless == []
    refused = avow("effects", "show", "9" * 30)
    assert (refused.returncode, "not in the range" in refused.stderr) == (2, True)


def test_help_is_shown_by_a_process_too() -> None:
    shown = avow("check", "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith("Usage: avow check [OPTIONS] [TARGET]\n")


def test_every_verb_is_documented_and_every_documented_verb_exists() -> None:
    titles = [line.removeprefix("## avow ") for line in PAGE.splitlines() if line.startswith("## avow ")]
    assert sorted(titles) == sorted(command.list_commands(click.Context(command)))


def test_every_command_and_every_option_is_documented() -> None:
    for name, found in leaves():
        said = section(name.split()[0])
        assert f"`avow {name}" in said, name
        for parameter in found.params:
            if parameter.param_type_name == "option":
                for option in (*parameter.opts, *parameter.secondary_opts):
                    assert f"`{option}" in said, f"avow {name} {option}"


@pytest.mark.parametrize(
    ("arguments", "mend"),
    [
        (["chekc"], "Did you mean `avow check`?"),
        (["qqqq"], "See `avow --help`."),
        (["check", "--stric"], "See `avow check --help`."),
        (["check", "a", "b"], "See `avow check --help`."),
        (["diagram", "--format", "png"], "See `avow diagram --help`."),
        (["check", "nowhere/at-all"], "Name a folder with a system.py, a Python file, or a module."),
    ],
)
def test_a_wrong_command_line_ends_with_2_and_what_to_do(arguments: list[str], mend: str) -> None:
    ended = avow(*arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("error[usage] ")
    assert ended.stderr.endswith(f"\n    mend: {mend}\n")
    in_json = avow(*arguments, "--json")
    assert in_json.returncode == 2
    assert json.loads(in_json.stdout)["error"]["mend"] == mend


def test_no_arguments_at_all_show_the_help_as_talk() -> None:
    ended = avow()
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "Usage: avow" in ended.stderr


PYTHON = shlex.quote(sys.executable)


def test_a_closed_pipe_is_neither_a_finding_nor_a_traceback() -> None:
    run = subprocess.run(
        f"{PYTHON} -m avow.cli check examples/enrollment | true; exit ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode in (0, 4)
    assert "Traceback" not in run.stderr
    assert "BrokenPipe" not in run.stderr


def broken_application(folder: Path) -> Path:
    (folder / "system.py").write_text("from avow import system\napp = system('Bad Name')\n")
    return folder


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colour_is_for_terminals_only_and_never_with_no_color(
    tmp_path: Path, no_color: str, coloured: bool
) -> None:
    broken_application(tmp_path)
    try:
        ours, theirs = pty.openpty()
    except OSError:
        pytest.skip("this machine has no terminal devices")
    environment = {**os.environ, "NO_COLOR": no_color, "TERM": "xterm"}
    subprocess.run(
        [sys.executable, "-m", "avow.cli", "check"],
        cwd=tmp_path,
        env=environment,
        stdout=theirs,
        stderr=theirs,
        check=False,
    )
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert ("\x1b[" in shown) is coloured
    assert "\x1b[" not in avow("check", cwd=tmp_path).stdout


def test_a_crash_of_our_own_is_no_verdict(tmp_path: Path) -> None:
    """Exit code 1 would say that something was found."""
    (tmp_path / "sitecustomize.py").write_text(
        "import avow.cli.check, avow.cli.target\n"
        "def broken(target):\n    raise ZeroDivisionError\n"
        "avow.cli.check.load_target = broken\n"
    )
    ended = avow_from_nothing("check", "--json", environment={"PYTHONPATH": str(tmp_path)})
    assert ended.returncode == 4
    assert json.loads(ended.stdout)["error"]["code"] == "internal-error"
    assert "ZeroDivisionError" in ended.stderr


def test_interrupting_ends_with_130(tmp_path: Path) -> None:
    (tmp_path / "system.py").write_text("raise KeyboardInterrupt\n")
    ended = avow("check", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (130, "interrupted\n")
