"""Choose the account that a local PostgreSQL runs under, and try what that account may do.

PostgreSQL refuses to run as root. A root process therefore starts it under an account that exists already.
This module must never create an account, and never change an owner or a permission of anything.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from avow.errors import EnvironmentFault
from avow.store.server.binaries import server_environment

PROBE_TIMEOUT_S = 10.0

# The accounts that packages make for PostgreSQL on Linux and on macOS; then the one that every system has.
_PREFERRED = ("postgres", "_postgres", "nobody")
_MEND = (
    "Run Avow as an ordinary user, or set AVOW_DATABASE_URL to a PostgreSQL of your own. "
    "(PostgreSQL itself refuses to run as root.)"
)


class ProcessIdentity(TypedDict, total=False):
    """The keyword arguments of `subprocess` that make a child run under an account."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class Account:
    """An account other than root; `name` is for messages only."""

    name: str
    uid: int
    gid: int


def is_root() -> bool:
    """True when this process has root's rights, so that PostgreSQL needs another account."""
    return os.geteuid() == 0


def choose(data_owner_uid: int | None) -> Account | None:
    """The account to run the server under; None means "as ourselves", which is so for everybody but root.

    data_owner_uid: owner of a data directory that exists already; it stays with its account.
    Raises EnvironmentFault (`root-refused`) when there is no account that can be used.
    """
    if not is_root():
        return None
    if data_owner_uid is not None:
        if data_owner_uid == 0:
            raise EnvironmentFault("root-refused", "The data directory belongs to root.", _MEND)
        return _account_of(data_owner_uid)
    for name in _PREFERRED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        account = Account(name, entry.pw_uid, entry.pw_gid)
        if account.uid != 0 and may_run(["/bin/sh", "-c", ":"], account):
            return account
    raise EnvironmentFault(
        "root-refused",
        f"This process is root, and none of the accounts {', '.join(_PREFERRED)} can be used from here.",
        _MEND,
    )


def require_name() -> None:
    """Raise EnvironmentFault (`account-nameless`) when our own account has no name: initdb refuses that."""
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError as fault:
        raise EnvironmentFault(
            "account-nameless",
            f"The account with the number {os.geteuid()} has no name; PostgreSQL makes no data for it.",
            "Add the account to /etc/passwd (or run the container under one that is there), or set "
            "AVOW_DATABASE_URL to a PostgreSQL of your own.",
        ) from fault


def identity(account: Account | None) -> ProcessIdentity:
    """What to hand to `subprocess` so that a child runs under the account, with no further groups."""
    if account is None:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}


def may_enter(folder: Path, account: Account | None) -> bool:
    """True when the account can pass through the folder and all its parents; tried, not read from modes."""
    return may_run(["/bin/sh", "-c", 'cd -- "$1"', "sh", os.fspath(folder)], account)


def may_run(command: list[str], account: Account | None) -> bool:
    """True when the command runs under the account and ends with exit code 0."""
    try:
        ended = subprocess.run(
            command,
            cwd="/",
            env=server_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PROBE_TIMEOUT_S,
            check=False,
            **identity(account),
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return ended.returncode == 0


def _account_of(uid: int) -> Account:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        # A container's user without an entry; PostgreSQL runs on data that exists without knowing a name.
        return Account(f"uid {uid}", uid, uid)
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
