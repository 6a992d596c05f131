"""Commands of `avow`, run in the tests' own process: starting one each costs most."""

from __future__ import annotations

import subprocess
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from avow.cli.group import run
from tests.fix_database import Database


def run_here(
    made: Database, folder: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run one command in a folder, with the key of the log that lies there."""
    settings = {"AVOW_DATABASE_URL": made.admin_url, "NO_COLOR": "1", "AVOW_LOG_KEY": str(folder / "log.key")}
    out, err = StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patch, chdir(folder), redirect_stdout(out), redirect_stderr(err):
        for name, value in {**settings, **environment}.items():
            patch.setenv(name, value)
        code = run(arguments)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())
