"""The options that several verbs have: which application, whose data, and who acts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import click

from avow.cli import output
from avow.cli.word import SUBJECT, TENANT
from avow.model.actor import DEFAULT_TENANT

Command = Callable[..., Any]
Option = Callable[[Command], Command]

target_option: Final = click.option(
    "--target", default=".", show_default=True, help="The application: folder, file or module."
)
roles_option: Final = click.option(
    "--role", "roles", multiple=True, type=SUBJECT, help="A role of theirs. May be repeated."
)


def tenant_option(whose: str) -> Option:
    """The option --tenant, with what the help says of it."""
    return click.option("--tenant", default=DEFAULT_TENANT, show_default=True, type=TENANT, help=whose)


def subject_option(who: str) -> Option:
    """The option --as, without which a verb does nothing, with what the help says of it."""
    return click.option("--as", "subject", metavar="SUBJECT", required=True, type=SUBJECT, help=who)


def together(*options: Option) -> Option:
    """Several options as one decorator. The help shows them in this order."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def person_options(who: str) -> Option:
    """Who acts, with which roles, in which tenant of which application; and --json."""
    return together(
        subject_option(who), roles_option, tenant_option("Where they are."), target_option, output.json_option
    )
