"""The verbs by name, and the edge at which everything that can go wrong becomes an exit code.

Exit codes: 0 holds, 1 found something, 2 usage or declaration, 3 environment, 4 no verdict,
130 interrupted. It must never load a verb that wasn't asked for.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

import click

from avow import __version__
from avow.cli import output
from avow.cli.output import ENVIRONMENT, HOLDS, INTERRUPTED, NO_VERDICT, USAGE
from avow.errors import AvowError

VERBS: Final[Mapping[str, str]] = {
    "init": "Make a new application.",
    "dev": "Run an application with a database of its own, for development.",
    "serve": "Serve an application on a PostgreSQL of yours.",
    "work": "Do an application's work beside its servers: calls to the outside, and times that come.",
    "check": "Report every mistake in a declaration.",
    "prove": "Try to break what is declared, and say what was tried.",
    "diagram": "Draw the state machines.",
    "why": "Say why a record looks the way it does.",
    "history": "Show what happened to a record.",
    "inbox": "Show what people are asked to do, and do it.",
    "verify": "Recompute the audit log and compare it with the tables.",
    "export": "Write the log as files, and check such files.",
    "log": "Show the log that entries are sealed in, take a checkpoint, begin a new epoch.",
    "receipt": "Issue receipts that anybody can check, and check them.",
    "witness": "Stand for the checkpoints of somebody else's log.",
    "effects": "Look at calls to the outside and times to come, and settle them by hand.",
    "erase": "Have everything private about a person erased.",
    "subject": "Look at what is held about a person, give it to them, or hold it.",
    "subscriptions": "Say who is told of what happens, and tell them again.",
    "keys": "Make, list and revoke API keys, and the keys of private values.",
    "doctor": "Say what is wrong with the surroundings.",
    "migrate": "Bring the tables to the declaration.",
}
"""Every verb with its line in the help; the one named X is `avow.cli.X.command`, where that exists."""

COMPLETION: Final = "_AVOW_COMPLETE"
"""Set by the shell's completion; click answers it."""

_EPILOGUE: Final = (
    "Exit codes: 0 holds, 1 found something, 2 usage or declaration, 3 environment, 4 no verdict, "
    "130 interrupted."
)


class Verbs(click.Group):
    """A group that finds its verbs by name and imports the one that is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [verb for verb in VERBS if _exists(verb)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS or not _exists(cmd_name):
            return None
        found: click.Command = import_module(f"avow.cli.{cmd_name}").command
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(verb, VERBS[verb]) for verb in self.list_commands(ctx)])


def _exists(verb: str) -> bool:
    return find_spec(f"avow.cli.{verb}") is not None


@click.command(cls=Verbs, epilog=_EPILOGUE, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="avow %(version)s")
def command() -> None:
    """Declare what must stay true. Avow holds it on PostgreSQL, and shows why each record looks the way
    it does."""


def run(arguments: Sequence[str]) -> int:
    """Run `avow` with these arguments. Never raises; gives back the exit code."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    as_json = "--json" in options
    try:
        return _invoke(arguments)
    except click.exceptions.NoArgsIsHelpError as error:
        output.talk(error.format_message())
        return USAGE
    except click.ClickException as error:
        return _usage(error, as_json)
    except AvowError as error:
        return output.failure(error, as_json)
    except (KeyboardInterrupt, click.Abort):
        output.talk("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # Who read our output has gone; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NO_VERDICT
    except OSError as error:
        if _nowhere():
            mend = "Change to a folder that is there."
            output.error("folder-gone", "the current folder isn't there any more", mend, as_json)
            return ENVIRONMENT
        if error.filename is None:
            return _crashed(error, as_json)
        detail = f"{error.filename} can't be used: {error.strerror}"
        output.error("file-unusable", detail, "Name another file or folder, or look at its rights.", as_json)
        return ENVIRONMENT
    except Exception as error:  # noqa: BLE001  the last answer: a crash must not look like a finding
        return _crashed(error, as_json)


def _nowhere() -> bool:
    """Whether the current folder has been removed: then no path leads anywhere from it."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def _crashed(error: Exception, as_json: bool) -> int:
    traceback.print_exception(error)
    detail = f"Avow failed with {type(error).__name__}; this says nothing about your application"
    output.error("internal-error", detail, "Report the lines above.", as_json)
    return NO_VERDICT


def _invoke(arguments: Sequence[str]) -> int:
    # Not through click's own main: it answers a closed pipe with 1, which here means a finding.
    if COMPLETION in os.environ:
        command.main([*arguments], "avow", complete_var=COMPLETION)
    try:
        with command.make_context("avow", [*arguments]) as context:
            code: Any = command.invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
    return code if isinstance(code, int) else HOLDS


def _usage(error: click.ClickException, as_json: bool) -> int:
    """A wrong command line, with the command that was meant if one is near."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    mend = f"See `{'avow' if context is None else context.command_path} --help`."
    detail = error.format_message().splitlines()[0].rstrip(".")
    if isinstance(error, click.exceptions.NoSuchCommand):
        near = get_close_matches(error.command_name, command.list_commands(click.Context(command)), n=1)
        mend = f"Did you mean `avow {near[0]}`?" if near else mend
        detail = f"there is no command `{error.command_name[:40]}`"
    output.error("usage", detail[:1].lower() + detail[1:], mend, as_json)
    return USAGE
